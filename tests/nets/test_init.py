"""Initialisation of layers."""

import jax
import numpy as np
import pytest

from quickstudy.nets.init import orthogonal_linear


@pytest.mark.parametrize(("num_in", "num_out"), [(6, 3), (3, 6), (4, 4)])
def test_weights_are_orthogonal_and_biases_zero(num_in, num_out):
    layer = orthogonal_linear(num_in, num_out, scale=0.5, key=jax.random.key(0))
    weight = np.asarray(layer.weight)
    assert weight.shape == (num_out, num_in)
    gram = weight @ weight.T if num_out <= num_in else weight.T @ weight
    np.testing.assert_allclose(gram, 0.25 * np.eye(min(num_in, num_out)), atol=1e-6)
    np.testing.assert_array_equal(layer.bias, np.zeros(num_out))
