"""Gaussians by their natural parameters, against NumPy in double precision."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.ops.gaussian import from_natural, inverse_factor


@pytest.mark.parametrize("size", [1, 2, 5, 32])
def test_mean_and_root_are_those_of_the_covariance(size):
    draw = np.random.default_rng(size).normal(size=(size + 3, size))
    precision, weighted = draw.T @ draw + 0.1 * np.eye(size), draw.sum(0)
    mean, root = jax.jit(from_natural)(jnp.asarray(precision, jnp.float32), jnp.asarray(weighted, jnp.float32))
    covariance = np.linalg.inv(precision)
    np.testing.assert_allclose(root @ root.T, covariance, rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(mean, covariance @ weighted, rtol=2e-3, atol=1e-4)


def test_the_inverse_factor_is_lower_triangular_and_by_hand():
    # [[4, 2], [2, 5]] = L Lᵀ with L = [[2, 0], [1, 2]], whose inverse is [[1/2, 0], [−1/4, 1/2]].
    found = inverse_factor(jnp.asarray([[4.0, 2.0], [2.0, 5.0]]))
    np.testing.assert_allclose(found, [[0.5, 0.0], [-0.25, 0.5]], rtol=1e-6)


def test_what_is_not_positive_definite_gives_no_number():
    assert np.isnan(inverse_factor(jnp.asarray([[1.0, 2.0], [2.0, 1.0]]))).any()


def test_what_rounding_makes_indefinite_still_gives_numbers_and_knows_what_was_observed():
    # A thousand observations of one direction, with noise .01: beside them the prior is below what 32 bits resolve.
    draw = np.random.default_rng(0)
    seen = draw.normal(size=32).astype(np.float32)
    rows = seen + 1e-4 * draw.normal(size=(1000, 32)).astype(np.float32)
    precision = 1e-3 * np.eye(32, dtype=np.float32) + rows.T @ rows / 1e-4
    assert np.linalg.eigvalsh(precision).min() < 0
    mean, root = jax.jit(from_natural)(precision, (rows.T @ (rows @ np.ones(32, np.float32))) / 1e-4)
    assert np.isfinite(mean).all()
    assert np.isfinite(root).all()
    np.testing.assert_allclose(seen @ mean, seen.sum(), rtol=1e-2)
    assert np.linalg.norm(root.T @ seen) < 0.01
