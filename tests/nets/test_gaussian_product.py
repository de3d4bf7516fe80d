"""Products of Gaussians."""

import jax
import jax.numpy as jnp
import numpy as np

from quickstudy.nets.gaussian_product import Evidence, GaussianProductEncoder


def _encoder():
    return GaussianProductEncoder(5, width=8, code_size=3, key=jax.random.key(0))


def _product(rows):
    total = Evidence.none(3)
    for row in rows:
        total = total.plus(_encoder().factor(row))
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
    evidence = Evidence(jnp.asarray([4.0, 2.0]), jnp.asarray([1.0, -2.0])).times(0.5)
    mean, variance = evidence.posterior
    np.testing.assert_allclose(variance, [1 / 3, 1 / 2])
    np.testing.assert_allclose(mean, [0.5 / 3, -0.5])
