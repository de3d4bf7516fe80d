"""Products of Gaussians."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from quickstudy.nets.gaussian_product import Evidence, GaussianProductEncoder

ENCODER = GaussianProductEncoder(5, width=8, code_size=3, rank=2, key=jax.random.key(0))


def _factor(row):
    return ENCODER.product(row[None], jnp.ones(1))


def _product(rows):
    total = Evidence.none(3)
    for row in rows:
        total = total.plus(_factor(row))
    return total


def test_no_evidence_is_the_prior():
    mean, variance = Evidence.none(3).posterior
    np.testing.assert_array_equal(mean, np.zeros(3))
    np.testing.assert_array_equal(variance, np.ones(3))


def test_the_order_of_transitions_does_not_matter():
    rows = jax.random.normal(jax.random.key(1), (6, 5))
    one, other = _product(rows), _product(rows[::-1])
    np.testing.assert_allclose(one.posterior[0], other.posterior[0], rtol=1e-5)
    np.testing.assert_allclose(one.posterior[1], other.posterior[1], rtol=1e-5)


def test_weights_are_powers_of_the_factors():
    rows = jax.random.normal(jax.random.key(1), (3, 5))
    product = ENCODER.product(rows, jnp.asarray([1.0, 0.0, 0.5]))
    expected = _factor(rows[0]).plus(_factor(rows[2]).times(0.5))
    np.testing.assert_allclose(product.precision, expected.precision, rtol=1e-5)
    np.testing.assert_allclose(product.weighted, expected.weighted, rtol=1e-5)


def test_equations_count_as_much_as_their_noise_allows():
    noisy = eqx.tree_at(lambda e: e.log_deviations, ENCODER, jnp.log(jnp.asarray([1.0, 1e6])))
    said, of_both = (e.product(jnp.ones((1, 5)), jnp.ones(1)) for e in (noisy, ENCODER))
    left, right = ENCODER.equations(jnp.ones(5))
    np.testing.assert_allclose(said.precision, np.outer(left[0], left[0]), rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(said.weighted, left[0] * right[0], rtol=1e-4, atol=1e-8)
    assert np.linalg.matrix_rank(of_both.precision, tol=1e-4) == 2


def test_evidence_may_fade():
    evidence = Evidence(jnp.diag(jnp.asarray([4.0, 2.0])), jnp.asarray([1.0, -2.0])).times(0.5)
    mean, variance = evidence.posterior
    np.testing.assert_allclose(variance, [1 / 3, 1 / 2])
    np.testing.assert_allclose(mean, [0.5 / 3, -0.5])


def test_joint_factors_are_linear_equations_with_noise():
    """Conditioning in the space of equations: a different formula from the code's."""
    rows = 3 * jax.random.normal(jax.random.key(2), (4, 5))
    factors = [_factor(row) for row in rows]
    assert all(np.linalg.matrix_rank(factor.precision, tol=1e-4) == 2 for factor in factors)
    left, right = [], []
    for factor in factors:  # U and y up to a rotation, from Uᵀ U and Uᵀ y
        values, vectors = np.linalg.eigh(np.asarray(factor.precision, float))
        left.append(np.sqrt(values[1:, None]) * vectors.T[1:])
        right.append(vectors.T[1:] @ np.asarray(factor.weighted, float) / np.sqrt(values[1:]))
    matrix, said = np.concatenate(left), np.concatenate(right)
    gain = matrix.T @ np.linalg.inv(matrix @ matrix.T + np.eye(8))
    product = _product(rows)
    mean, variance = product.posterior
    covariance = np.eye(3) - gain @ matrix
    np.testing.assert_allclose(mean, gain @ said, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(variance, np.diag(covariance), rtol=1e-3)
    draws = jax.random.normal(jax.random.key(3), (20_000, 3))
    np.testing.assert_allclose(np.cov(product.drawn(draws).T), covariance, atol=0.03)
