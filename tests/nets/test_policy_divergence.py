"""Kullback-Leibler divergences between policies: closed forms, and averages over draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from quickstudy.nets.policy import Categorical, DiagonalGaussian

COINS = Categorical(jnp.log(jnp.array([0.5, 0.3, 0.2]))), Categorical(4.0 + jnp.log(jnp.array([0.1, 0.3, 0.6])))
NORMALS = (
    DiagonalGaussian(jnp.array([0.5, -1.0]), jnp.log(jnp.array([2.0, 0.5]))),
    DiagonalGaussian(jnp.array([-0.5, -1.2]), jnp.log(jnp.array([1.0, 0.8]))),
)
PAIRS = pytest.mark.parametrize(("p", "q"), [COINS, COINS[::-1], NORMALS, NORMALS[::-1]])


def test_categorical_by_hand():
    # Σ p log p/q = .5 log 5 + .3 log 1 + .2 log ⅓
    np.testing.assert_allclose(COINS[0].kl_to(COINS[1]), 0.5 * np.log(5) - 0.2 * np.log(3), rtol=1e-5)
    np.testing.assert_allclose(COINS[1].kl_to(COINS[0]), scipy.stats.entropy([0.1, 0.3, 0.6], [0.5, 0.3, 0.2]), 1e-5)


def test_gaussian_by_hand():
    # Per axis log σ_q/σ_p + (σ_p² + (μ_p - μ_q)²) / 2σ_q² - ½.
    first = np.log(1 / 2) + (4 + 1) / 2 - 0.5
    second = np.log(0.8 / 0.5) + (0.25 + 0.04) / (2 * 0.64) - 0.5
    np.testing.assert_allclose(NORMALS[0].kl_to(NORMALS[1]), first + second, rtol=1e-5)


@PAIRS
def test_the_divergence_is_the_mean_log_ratio_of_draws(p, q):
    draws = jax.vmap(lambda key: p.sample(key=key))(jax.random.split(jax.random.key(0), 20_000))
    ratio = np.asarray(jax.vmap(lambda x: p.log_prob(x) - q.log_prob(x))(draws))
    assert abs(float(p.kl_to(q)) - ratio.mean()) < 4.5 * ratio.std() / np.sqrt(len(ratio))


@PAIRS
def test_the_divergence_to_oneself_is_zero_and_flat(p, q):
    value, slope = jax.value_and_grad(lambda other: p.kl_to(other))(p)
    assert abs(float(value)) < 1e-6
    for leaf in jax.tree.leaves(slope):
        np.testing.assert_allclose(leaf, 0, atol=1e-6)
    assert float(p.kl_to(q)) > 0.1


def test_a_constant_on_all_logits_changes_nothing():
    shifted = Categorical(COINS[1].logits - 100.0)
    np.testing.assert_allclose(COINS[0].kl_to(shifted), COINS[0].kl_to(COINS[1]), rtol=1e-4)


def test_a_policy_that_never_takes_an_action_stays_finite():
    sure = Categorical(jnp.array([1e4, -1e4]))
    even = Categorical(jnp.zeros(2))
    np.testing.assert_allclose(sure.kl_to(even), np.log(2), rtol=1e-5)
    assert np.isfinite(even.kl_to(sure))
