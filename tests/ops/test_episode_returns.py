"""Returns of the episodes within one stream."""

import jax
import jax.numpy as jnp
import numpy as np

from quickstudy.ops.returns import episode_returns


def _flags(*steps: int, length: int) -> jax.Array:
    return jnp.zeros(length, bool).at[jnp.array(steps)].set(True)


def test_sums_each_episode_by_hand():
    reward = jnp.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    np.testing.assert_array_equal(episode_returns(reward, _flags(1, 2, 5, length=6), 3), [3.0, 4.0, 56.0])


def test_an_episode_of_one_step_returns_its_reward():
    reward = jnp.array([0.5, -1.0, 3.0])
    np.testing.assert_array_equal(episode_returns(reward, jnp.ones(3, bool), 3), reward)


def test_an_episode_that_was_not_completed_is_nan():
    reward = jnp.array([1.0, 2.0, 4.0, 8.0])
    np.testing.assert_array_equal(episode_returns(reward, _flags(1, length=4), 3), [3.0, np.nan, np.nan])
    np.testing.assert_array_equal(episode_returns(reward, jnp.zeros(4, bool), 1), [np.nan])


def test_episodes_beyond_the_asked_number_are_ignored():
    reward = jnp.array([1.0, 2.0, 4.0, 8.0])
    np.testing.assert_array_equal(episode_returns(reward, _flags(0, 1, 3, length=4), 2), [1.0, 2.0])


def test_maps_over_streams_and_agrees_with_a_loop():
    rng = np.random.default_rng(0)
    reward = rng.normal(size=(7, 40)).astype(np.float32)
    last = rng.random((7, 40)) < 0.2
    got = jax.jit(jax.vmap(lambda r, d: episode_returns(r, d, 12)))(jnp.asarray(reward), jnp.asarray(last))
    for row, flags, returns in zip(reward, last, np.asarray(got), strict=True):
        pieces = np.split(row, np.flatnonzero(flags) + 1)[:-1]
        expected = [piece.sum() for piece in pieces[:12]] + [np.nan] * (12 - len(pieces))
        np.testing.assert_allclose(returns, expected, rtol=1e-5, atol=1e-6)
