"""Initialisation of layers."""

import jax
import numpy as np
import pytest

from quickstudy.nets.init import deviating_linear, drawn, orthogonal_linear


@pytest.mark.parametrize(("num_in", "num_out"), [(6, 3), (3, 6), (4, 4)])
def test_weights_are_orthogonal_and_biases_zero(num_in, num_out):
    layer = orthogonal_linear(num_in, num_out, scale=0.5, key=jax.random.key(0))
    weight = np.asarray(layer.weight)
    assert weight.shape == (num_out, num_in)
    gram = weight @ weight.T if num_out <= num_in else weight.T @ weight
    np.testing.assert_allclose(gram, 0.25 * np.eye(min(num_in, num_out)), atol=1e-6)
    np.testing.assert_array_equal(layer.bias, np.zeros(num_out))


def test_layers_are_drawn_by_their_deviations():
    layers = drawn((deviating_linear(100, 50, scale=2.0), deviating_linear(50, 100, scale=0.1)), key=jax.random.key(0))
    for layer, deviation in zip(layers, (2.0 / np.sqrt(100), 0.1 / np.sqrt(50)), strict=True):
        np.testing.assert_allclose(np.std(layer.weight), deviation, rtol=0.05)
        np.testing.assert_array_equal(layer.bias, np.zeros_like(layer.bias))
    assert layers[0](np.ones(100)).shape == (50,)
    assert abs(np.corrcoef(np.ravel(layers[0].weight), np.ravel(layers[1].weight))[0, 1]) < 0.05
