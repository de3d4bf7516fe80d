"""The reference policies of the grid families against the numbers that are known for them."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.envs.darkroom import DarkRoom
from quickstudy.envs.gridworld import GridNavigation
from quickstudy.planning.sweep import optimal_sweep

FAMILY = GridNavigation()
GOALS = np.asarray(FAMILY.candidates)


def yardstick(family, name):
    return next(y for y in family.yardsticks() if y.name == name)


@functools.cache
def returns(name, repeats):
    """Returns ``[repeats · 21, 4]``, the same number of trials for every goal."""
    reference = yardstick(FAMILY, name)
    goals = jnp.tile(jnp.asarray(GOALS, jnp.int32), repeats)
    keys = jax.random.split(jax.random.key(0), len(goals))
    return np.asarray(jax.jit(jax.vmap(lambda goal, k: reference.returns(goal, key=k)))(goals, keys), np.float64)


@functools.cache
def optimum():
    """Returns ``[25, 4]`` of the Bayes-optimal policy with the goal in each cell, the start's block included."""
    reference = yardstick(FAMILY, "Bayes-optimal")
    run = jax.jit(jax.vmap(lambda goal: reference.returns(goal, key=jax.random.key(0))))
    return np.asarray(run(jnp.arange(25)), np.float64)


def standard_error(samples):
    """Of the mean over goals and trials, where every goal has its fixed share of the trials."""
    by_goal = samples.reshape(-1, len(GOALS))
    return np.sqrt(by_goal.var(axis=0, ddof=1).mean() / samples.size)


def test_goal_known():
    per_episode = returns("goal known", 1).mean(0)
    np.testing.assert_allclose(per_episode, 16.1 - 1.1 * 96 / 21, rtol=1e-6)
    np.testing.assert_array_equal(per_episode.round(2), 11.07)
    assert round(per_episode.sum(), 2) == 44.29


def test_bayes_optimal():
    per_episode = optimum()[GOALS].mean(0)
    np.testing.assert_array_equal(per_episode.round(2), [4.00, 11.07, 11.07, 11.07])
    assert round(per_episode.sum(), 2) == 37.21


@pytest.mark.parametrize(
    ("name", "published"),
    [("PSRL", (0.51, 2.26, 3.79, 5.16)), ("posterior sampling, redrawn", (2.93, 7.84, 10.48, 11.06))],
)
def test_posterior_sampling(name, published):
    samples = returns(name, 150)
    for episode, value in enumerate(published):
        assert abs(samples[:, episode].mean() - value) < 3 * standard_error(samples[:, episode]) + 0.005
    assert abs(samples.sum(1).mean() - sum(published)) < 3 * standard_error(samples.sum(1)) + 0.02


def test_psrl_first_episode_is_exact():
    """Chance that a random shortest path to each drawn cell passes each goal, times what is left of the episode."""

    @functools.cache
    def passes(drawn, cell):
        if cell == (0, 0):
            return 1.0
        (x, y), (to_x, to_y) = cell, drawn
        if x > to_x or y > to_y:
            return 0.0
        from_left = passes(drawn, (x - 1, y)) * (1.0 if y == to_y else 0.5) if x else 0.0
        from_below = passes(drawn, (x, y - 1)) * (1.0 if x == to_x else 0.5) if y else 0.0
        return from_left + from_below

    cells = [(int(c) % 5, int(c) // 5) for c in GOALS]
    exact = -1.5 + 1.1 * sum(passes(drawn, goal) * (16 - sum(goal)) for drawn in cells for goal in cells) / 21**2
    samples = returns("PSRL", 150)[:, 0]
    assert abs(samples.mean() - exact) < 3 * standard_error(samples)
    assert abs(exact - 0.51) < 0.02


def test_no_policy_beats_goal_known_and_posterior_sampling_is_below_the_optimum():
    known = np.tile(returns("goal known", 1), (150, 1))
    for name in ("PSRL", "posterior sampling, redrawn"):
        assert np.all(returns(name, 150) <= known + 1e-4)
        assert returns(name, 150).sum(1).mean() < 37.21
    assert np.all(optimum()[GOALS] <= known[:21] + 1e-4)


def test_random_is_the_floor():
    samples = returns("random", 20)
    for worse, better in (("random", "PSRL"), ("PSRL", "posterior sampling, redrawn")):
        repeats = 20 if worse == "random" else 150
        assert returns(worse, repeats).sum(1).mean() < returns(better, 150).sum(1).mean()
    assert np.ptp(samples.mean(0)) < 6 * standard_error(samples[:, 0])  # it does not learn


def test_outside_the_prior_every_policy_still_knows_what_it_finds():
    """The optimal sweep begins by crossing the block, so that it meets one of the goals it gave no chance."""
    goals = FAMILY.distribution("ood").members
    samples = optimum()[np.asarray(goals)]
    found = samples[:, 1] > 0
    assert found.sum() >= 1
    best = np.asarray(jax.vmap(FAMILY.env.goal_known_return)(goals))
    np.testing.assert_allclose(samples[found, 1:], np.tile(best[found, None], 3), rtol=1e-5)


def test_the_dark_room_searcher_ends_at_goal_known():
    family = DarkRoom(goals="shared")
    reference, known = yardstick(family, "posterior sampling, redrawn"), yardstick(family, "goal known")
    goals = family.distribution("test").members
    keys = jax.random.split(jax.random.key(1), len(goals))
    samples = np.asarray(jax.jit(jax.vmap(lambda goal, k: reference.returns(goal, key=k)))(goals, keys))
    best = np.asarray(jax.vmap(lambda goal: known.returns(goal, key=jax.random.key(0)))(goals))
    assert samples.shape == best.shape == (81, 10)
    assert np.all(samples <= best)
    assert samples[:, -1].mean() > 0.97 * best[:, -1].mean()
    assert samples[:, 0].mean() < 0.5 * best[:, 0].mean()


def test_running_the_optimal_sweep_of_a_small_dark_room_loses_what_was_proven():
    family = DarkRoom(size=3, horizon=6, num_episodes=3, goals="shared")
    reference, goals = yardstick(family, "Bayes-optimal"), jnp.arange(9, dtype=jnp.int32)
    samples = jax.jit(jax.vmap(lambda goal: reference.returns(goal, key=jax.random.key(0))))(goals)
    known = 3 * jax.vmap(family.env.goal_known_return)(goals).sum()
    loss = optimal_sweep(3, 4, tuple(range(9)), 6, 3).loss
    np.testing.assert_allclose(samples.sum(), known - loss, rtol=1e-6)
    assert loss > 0
