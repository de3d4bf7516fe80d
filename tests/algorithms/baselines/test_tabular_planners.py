"""PSRL and BEB: beliefs about an MDP by hand, and the plans made from them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.algorithms.baselines.beb import BayesianExplorationBonus
from quickstudy.algorithms.baselines.psrl import PSRL
from quickstudy.algorithms.baselines.tabular import MDPPrior, Visits, count_visits
from quickstudy.errors import InvalidArgument
from quickstudy.planning.dynamic_programming import value_iteration
from quickstudy.types import TimeStep, Trajectory

PRIOR = MDPPrior(3, 2)


def _block(states, actions, rewards, successors) -> Trajectory:
    """Steps ``[T, N]`` in three states."""
    obs, next_obs = (jax.nn.one_hot(jnp.asarray(x), 3) for x in (states, successors))
    action, reward = jnp.asarray(actions, jnp.int32), jnp.asarray(rewards, jnp.float32)
    flags = jnp.zeros(action.shape, bool)
    return Trajectory(TimeStep(obs, action, reward, flags), action, reward, next_obs, flags, flags, None)


BLOCK = _block([[0, 0], [2, 1]], [[1, 1], [0, 1]], [[1.0, 3.0], [-1.0, 5.0]], [[2, 1], [2, 0]])


def test_visits_are_counted_over_steps_and_streams():
    seen = count_visits(PRIOR.no_visits(), BLOCK)
    expected = np.zeros((3, 2, 3))
    expected[0, 1, 2] = expected[0, 1, 1] = expected[2, 0, 2] = expected[1, 1, 0] = 1
    np.testing.assert_array_equal(seen.transitions, expected)
    np.testing.assert_array_equal(seen.tries, [[0, 2], [0, 1], [1, 0]])
    np.testing.assert_array_equal(seen.reward, [[0, 4], [0, 5], [-1, 0]])
    twice = count_visits(seen, BLOCK)
    np.testing.assert_array_equal(twice.transitions, 2 * expected)


def test_posterior_mean_by_hand():
    mean = PRIOR.posterior_mean(count_visits(PRIOR.no_visits(), BLOCK))
    np.testing.assert_allclose(mean.transition[0, 1], [1 / 5, 2 / 5, 2 / 5], rtol=1e-6)
    np.testing.assert_allclose(mean.transition[0, 0], [1 / 3, 1 / 3, 1 / 3], rtol=1e-6)
    np.testing.assert_allclose(mean.reward, [[1, 5 / 3], [1, 3], [0, 1]], rtol=1e-6)
    wrong = MDPPrior(3, 2, reward_mean=0.0).posterior_mean(PRIOR.no_visits())
    np.testing.assert_array_equal(wrong.reward, np.zeros((3, 2)))


def test_posterior_sample_has_the_moments_of_its_law():
    counts = jnp.zeros((3, 2, 3)).at[0, 0].set(jnp.array([4.0, 0.0, 1.0]))
    seen = Visits(counts, jnp.zeros((3, 2)).at[0, 0].set(10.0))
    draws = jax.jit(jax.vmap(lambda k: PRIOR.posterior_sample(seen, key=k)))(
        jax.random.split(jax.random.key(0), 20_000)
    )
    np.testing.assert_allclose(draws.transition.sum(-1), 1.0, rtol=1e-5)
    for pair, alpha in (((0, 0), np.array([5.0, 1.0, 2.0])), ((2, 1), np.ones(3))):
        p = alpha / alpha.sum()
        sampled = np.asarray(draws.transition)[:, pair[0], pair[1]]
        np.testing.assert_allclose(sampled.mean(0), p, atol=0.006)
        np.testing.assert_allclose(sampled.var(0), p * (1 - p) / (alpha.sum() + 1), rtol=0.06)
    np.testing.assert_allclose(draws.reward[:, 0, 0].mean(), 11 / 6, atol=4 / np.sqrt(6 * 20_000))
    np.testing.assert_allclose(draws.reward[:, 0, 0].var(), 1 / 6, rtol=0.06)
    np.testing.assert_allclose(draws.reward[:, 1, 0].mean(), 1.0, atol=4 / np.sqrt(20_000))
    np.testing.assert_allclose(draws.reward[:, 1, 0].var(), 1.0, rtol=0.06)


def test_bonus_falls_with_the_number_of_visits():
    seen = count_visits(PRIOR.no_visits(), BLOCK)
    learner = BayesianExplorationBonus(PRIOR, horizon=4, bonus=0.6)
    bonus = learner.imagine(seen, key=jax.random.key(0)).reward - PRIOR.posterior_mean(seen).reward
    np.testing.assert_allclose(bonus, [[0.6, 0.2], [0.6, 0.3], [0.3, 0.6]], rtol=1e-5)


def test_plan_is_optimal_in_the_imagined_mdp_and_acted_on_from_the_episodes_start():
    learner = BayesianExplorationBonus(PRIOR, horizon=4, bonus=0.5)
    state, _ = learner.update(None, learner.init(None, key=jax.random.key(0)), BLOCK, key=jax.random.key(1))
    q = value_iteration(learner.imagine(state.seen, key=jax.random.key(0)), 4)
    np.testing.assert_array_equal(state.plan, jnp.argmax(q, -1))
    marked = state._replace(plan=jnp.arange(12, dtype=jnp.int32).reshape(4, 3))
    carry, actions = learner.init_carry(None), []
    for cell, first in ((0, True), (2, False), (1, False), (1, True), (2, False)):
        timestep = TimeStep(jax.nn.one_hot(cell, 3), jnp.int32(0), jnp.zeros(()), jnp.array(first))
        action, carry, _ = learner.act(None, marked, carry, timestep, key=jax.random.key(0))
        actions.append(int(action))
    assert actions == [0, 5, 7, 1, 5]


def test_an_episode_beyond_the_horizon_goes_on_with_the_last_step():
    learner = BayesianExplorationBonus(PRIOR, horizon=4, bonus=0.5)
    state = learner.init(None, key=jax.random.key(0))._replace(plan=jnp.arange(12, dtype=jnp.int32).reshape(4, 3))
    timestep = TimeStep(jax.nn.one_hot(1, 3), jnp.int32(0), jnp.zeros(()), jnp.array(False))
    action, carry, _ = learner.act(None, state, jnp.int32(9), timestep, key=jax.random.key(0))
    assert (int(action), int(carry)) == (10, 10)


def test_psrl_draws_anew_at_every_update_and_settles_as_it_learns():
    learner = PSRL(PRIOR, horizon=4)
    plans = jax.jit(jax.vmap(lambda k: learner.init(None, key=k).plan))(jax.random.split(jax.random.key(0), 8))
    assert len(np.unique(plans, axis=0)) > 4
    # A few hundred visits of everything: the draw is close to the truth.
    counts = jnp.round(600 * jax.random.uniform(jax.random.key(0), (3, 2, 3)))
    seen = Visits(counts, counts.sum(-1) * jnp.array([[1.0, 2.0], [0.0, 3.0], [1.0, -1.0]]))
    best = jnp.argmax(value_iteration(PRIOR.posterior_mean(seen), 4), -1)
    draw = jax.jit(learner.imagine)(seen, key=jax.random.key(3))
    np.testing.assert_array_equal(jnp.argmax(value_iteration(draw, 4), -1), best)


def test_a_negative_bonus_is_refused():
    with pytest.raises(InvalidArgument, match=r"bonus must not be negative, got -0\.5"):
        BayesianExplorationBonus(PRIOR, horizon=4, bonus=-0.5)
