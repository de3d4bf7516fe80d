"""Distributions over actions, against closed forms and SciPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from quickstudy.nets.policy import Categorical, DiagonalGaussian, PolicyHead
from quickstudy.types import Spec

PROBABILITIES = np.array([0.5, 0.3, 0.0, 0.15, 0.05])
CATEGORICAL = Categorical(jnp.array([5.0 + np.log(p) if p else -50.0 for p in PROBABILITIES]))
GAUSSIAN = DiagonalGaussian(jnp.array([0.5, -1.0]), jnp.log(jnp.array([2.0, 0.1])))
DISCRETE = Spec(jax.ShapeDtypeStruct((3,), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32), 4)
CONTINUOUS = Spec(jax.ShapeDtypeStruct((3,), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.float32), None)


def _draws(policy, count):
    return np.asarray(jax.vmap(lambda key: policy.sample(key=key))(jax.random.split(jax.random.key(0), count)))


def test_categorical_samples_have_their_probabilities():
    draws = _draws(CATEGORICAL, 20_000)
    assert draws.dtype == np.int32
    counts = np.bincount(draws, minlength=5)
    assert counts[2] == 0
    expected = PROBABILITIES * 20_000
    # χ² with 3 degrees of freedom is above 16.3 once in a thousand keys.
    assert np.sum((counts - expected)[expected > 0] ** 2 / expected[expected > 0]) < 16.3


def test_categorical_log_prob_and_entropy():
    for action, p in enumerate(PROBABILITIES):
        if p:
            np.testing.assert_allclose(CATEGORICAL.log_prob(jnp.asarray(action)), np.log(p), rtol=1e-5)
    np.testing.assert_allclose(CATEGORICAL.entropy(), scipy.stats.entropy(PROBABILITIES), rtol=1e-5)
    assert int(CATEGORICAL.mode()) == 0


def test_categorical_of_extreme_logits_stays_finite():
    policy = Categorical(jnp.array([1e4, -1e4]))
    assert int(policy.sample(key=jax.random.key(0))) == 0
    assert float(policy.entropy()) == 0
    assert float(policy.log_prob(jnp.asarray(0))) == 0
    grad = jax.grad(lambda logits: Categorical(logits).entropy())(policy.logits)
    assert np.isfinite(grad).all()


def test_gaussian_samples_have_their_moments():
    draws = _draws(GAUSSIAN, 20_000)
    for axis, (mean, std) in enumerate([(0.5, 2.0), (-1.0, 0.1)]):
        assert scipy.stats.kstest(draws[:, axis], scipy.stats.norm(mean, std).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(draws.T)[0, 1]) < 4 / np.sqrt(20_000)


def test_gaussian_log_prob_and_entropy():
    action = np.array([1.7, -0.8])
    expected = scipy.stats.norm([0.5, -1.0], [2.0, 0.1])
    np.testing.assert_allclose(GAUSSIAN.log_prob(jnp.asarray(action)), expected.logpdf(action).sum(), rtol=1e-5)
    np.testing.assert_allclose(GAUSSIAN.entropy(), expected.entropy().sum(), rtol=1e-5)
    np.testing.assert_array_equal(GAUSSIAN.mode(), [0.5, -1.0])


@pytest.mark.parametrize("policy", [CATEGORICAL, GAUSSIAN], ids=["categorical", "gaussian"])
def test_the_expected_score_is_zero(policy):
    draws = jax.vmap(lambda key: policy.sample(key=key))(jax.random.split(jax.random.key(1), 20_000))
    score = jax.vmap(lambda action: jax.grad(lambda p: p.log_prob(action))(policy))(draws)
    for leaf in jax.tree.leaves(score):
        error = np.std(leaf, axis=0) / np.sqrt(20_000)
        assert (np.abs(np.mean(leaf, axis=0)) <= 4.5 * error + 1e-6).all()


def test_a_head_fits_the_familys_actions():
    features = jnp.ones(8)
    discrete = PolicyHead(8, DISCRETE, key=jax.random.key(0))(features)
    continuous = PolicyHead(8, CONTINUOUS, key=jax.random.key(0))(features)
    assert isinstance(discrete, Categorical)
    assert isinstance(continuous, DiagonalGaussian)
    assert (discrete.logits.shape, continuous.mean.shape, continuous.log_std.shape) == ((4,), (2,), (2,))


def test_a_fresh_head_is_nearly_uniform():
    policy = PolicyHead(8, DISCRETE, key=jax.random.key(0))(jnp.ones(8))
    np.testing.assert_allclose(policy.entropy(), np.log(4), atol=1e-3)
