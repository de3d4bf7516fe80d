"""Products of Gaussians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.nets.gaussian_product import GaussianProductEncoder, IndependentEvidence


def _encoder(rank=0):
    return GaussianProductEncoder(5, width=8, code_size=3, rank=rank, key=jax.random.key(0))


def _product(rows, rank=0):
    total = _encoder(rank).nothing()
    for row in rows:
        total = total.plus(_encoder(rank).factor(row))
    return total


@pytest.mark.parametrize("rank", [0, 2])
def test_no_evidence_is_the_prior(rank):
    mean, variance = _encoder(rank).nothing().posterior
    np.testing.assert_array_equal(mean, np.zeros(3))
    np.testing.assert_array_equal(variance, np.ones(3))


@pytest.mark.parametrize("rank", [0, 2])
def test_the_order_of_transitions_does_not_matter(rank):
    rows = jax.random.normal(jax.random.key(1), (6, 5))
    one, other = _product(rows, rank), _product(rows[::-1], rank)
    np.testing.assert_allclose(one.posterior[0], other.posterior[0], rtol=1e-5)
    np.testing.assert_allclose(one.posterior[1], other.posterior[1], rtol=1e-5)


def test_the_posterior_is_that_of_conjugate_updates_one_by_one():
    rows = 3 * jax.random.normal(jax.random.key(2), (4, 5))
    mean, variance = np.zeros(3), np.ones(3)
    for row in rows:
        factor = _encoder().factor(row)
        noise, seen = 1 / np.asarray(factor.precision, float), np.asarray(factor.weighted / factor.precision, float)
        gain = variance / (variance + noise)  # a Kalman filter of a state that stands still
        mean, variance = mean + gain * (seen - mean), variance * (1 - gain)
    got = _product(rows).posterior
    np.testing.assert_allclose(got[0], mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(got[1], variance, rtol=1e-4)


def test_evidence_may_fade():
    evidence = IndependentEvidence(jnp.asarray([4.0, 2.0]), jnp.asarray([1.0, -2.0])).times(0.5)
    mean, variance = evidence.posterior
    np.testing.assert_allclose(variance, [1 / 3, 1 / 2])
    np.testing.assert_allclose(mean, [0.5 / 3, -0.5])


def test_joint_factors_are_linear_equations_with_noise():
    """Conditioning in the space of equations: a different formula from the code's."""
    rows, encoder = 3 * jax.random.normal(jax.random.key(2), (4, 5)), _encoder(2)
    factors = [encoder.factor(row) for row in rows]
    assert all(np.linalg.matrix_rank(factor.precision, tol=1e-4) == 2 for factor in factors)
    left, right = [], []
    for factor in factors:  # U and y up to a rotation, from Uᵀ U and Uᵀ y
        values, vectors = np.linalg.eigh(np.asarray(factor.precision, float))
        left.append(np.sqrt(values[1:, None]) * vectors.T[1:])
        right.append(vectors.T[1:] @ np.asarray(factor.weighted, float) / np.sqrt(values[1:]))
    matrix, said = np.concatenate(left), np.concatenate(right)
    gain = matrix.T @ np.linalg.inv(matrix @ matrix.T + np.eye(8))
    product = _product(rows, 2)
    mean, variance = product.posterior
    covariance = np.eye(3) - gain @ matrix
    np.testing.assert_allclose(mean, gain @ said, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(variance, np.diag(covariance), rtol=1e-3)
    draws = jax.random.normal(jax.random.key(3), (20_000, 3))
    np.testing.assert_allclose(np.cov(product.drawn(draws).T), covariance, atol=0.03)


def test_independent_draws_have_the_posterior_s_moments():
    evidence = _product(jax.random.normal(jax.random.key(1), (2, 5)))
    codes = evidence.drawn(jax.random.normal(jax.random.key(3), (20_000, 3)))
    mean, variance = evidence.posterior
    np.testing.assert_allclose(codes.mean(0), mean, atol=0.03)
    np.testing.assert_allclose(codes.var(0), variance, atol=0.03)
