"""R-MAX and Q-learning: updates by hand, and the exact optimum of a small MDP by value iteration."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy import catalog
from quickstudy.algorithms.baselines.q_learning import QLearning, QTable
from quickstudy.algorithms.baselines.rmax import RMax, RMaxOptions
from quickstudy.algorithms.baselines.tabular import MDPPrior, Visits, table_shape
from quickstudy.envs.gridworld import GridNavigation
from quickstudy.envs.point import PointNavigation
from quickstudy.errors import InvalidArgument
from quickstudy.planning.dynamic_programming import TabularMDP, value_iteration
from quickstudy.trial import run_trial
from quickstudy.types import TimeStep, Trajectory

SUCCESSOR = jnp.asarray([[1, 0, 0], [2, 0, 1], [3, 1, 0], [3, 0, 2]])
"""Four states in a row, three actions: the best reward is at the far end, a small one at the start."""
CHAIN = TabularMDP(jax.nn.one_hot(SUCCESSOR, 4), jnp.zeros((4, 3)).at[3, 0].set(1.0).at[0, 1].set(0.2))


def test_rmax_knows_what_it_tried_often_enough_and_hopes_for_the_rest():
    learner = RMax(MDPPrior(2, 2), horizon=3, max_reward=5.0, known_after=2)
    transitions = jnp.zeros((2, 2, 2)).at[0, 0].set(jnp.asarray([1.0, 3.0])).at[1, 1].set(jnp.asarray([1.0, 0.0]))
    seen = Visits(transitions, jnp.asarray([[2.0, 0.0], [0.0, 7.0]]))
    mdp = learner.imagine(seen, key=jax.random.key(0))
    np.testing.assert_allclose(mdp.transition[0], [[0.25, 0.75], [1, 0]])
    np.testing.assert_allclose(mdp.transition[1], [[0, 1], [0, 1]])
    np.testing.assert_allclose(mdp.reward, [[0.5, 5], [5, 5]])


def test_rmax_reaches_the_exact_optimum_with_few_steps_lost():
    horizon, learner = 8, RMax(MDPPrior(4, 3), 8, max_reward=1.0)
    key = jax.random.key(0)
    act, update = jax.jit(learner.act), jax.jit(learner.update)
    state, returns = learner.init(None, key=key), []
    for _ in range(12):
        where, carry, earned = 0, learner.init_carry(None), 0.0
        for t in range(horizon):
            timestep = TimeStep(jax.nn.one_hot(where, 4), jnp.asarray(0), jnp.zeros(()), jnp.asarray(t == 0))
            action, carry, _ = act(None, state, carry, timestep, key=key)
            reward, successor = float(CHAIN.reward[where, action]), int(SUCCESSOR[where, action])
            state, _ = update(None, state, _block([where], [action], [reward], [successor], [False]), key=key)
            where, earned = successor, earned + reward
        returns.append(earned)
    optimum = float(value_iteration(CHAIN, horizon)[0, 0].max())
    assert optimum == pytest.approx(5.0)
    # Twelve pairs are to be tried, so no more than twelve episodes can hold a surprise.
    np.testing.assert_allclose(returns[-6:], optimum, rtol=1e-6)


def test_rmax_explores_a_grid_that_shows_coordinates_and_then_goes_straight_to_the_goal():
    family = GridNavigation(size=3, horizon=6, num_episodes=20)
    entry = catalog.method("r-max")
    method = entry.build(RMaxOptions(max_reward=1.0), family)
    goal = jnp.asarray(8)
    trial = run_trial(method.learner, None, family.env, goal, family.trial_in_blocks(1), key=jax.random.key(0))
    returns = np.asarray(trial.trajectory.reward).reshape(20, 6).sum(1)
    assert returns[0] < 0
    np.testing.assert_allclose(returns[-3:], family.env.goal_known_return(goal), rtol=1e-5)


def _block(states, actions, rewards, successors, terminated) -> Trajectory:
    column = lambda x, dtype: jnp.asarray(x, dtype)[:, None]
    obs, next_obs = (jax.nn.one_hot(column(x, jnp.int32), 4) for x in (states, successors))
    action, reward, end = column(actions, jnp.int32), column(rewards, jnp.float32), column(terminated, bool)
    flags = jnp.zeros_like(end)
    return Trajectory(TimeStep(obs, action, reward, flags), action, reward, next_obs, end, flags, None)


def test_q_learning_by_hand():
    learner = QLearning(4, 3, gamma=0.5, step_size=0.25, initial_value=2.0)
    table = learner.init(None, key=jax.random.key(0))
    block = _block([0, 1, 0, 0], [1, 2, 1, 1], [1.0, -1.0, 0.0, 3.0], [1, 2, 1, 2], [False, True, False, True])
    table, _ = learner.update(None, table, block, key=jax.random.key(0))
    # (0, 1): 1 + .5·2 = 2 with α = 1; then (0 + .5·2 − 2)/2 → 1.5; then (3 − 1.5)/3 → 2. (1, 2): −1 with α = 1.
    expected = np.full((4, 3), 2.0)
    expected[0, 1], expected[1, 2] = 2.0, -1.0
    np.testing.assert_allclose(table.values, expected, rtol=1e-6)
    assert table.visits[0, 1] == 3


def test_q_learning_converges_to_the_values_of_value_iteration():
    learner = QLearning(4, 3, gamma=0.8, step_size=0.5)
    k_state, k_action = jax.random.split(jax.random.key(0))
    states, actions = jax.random.randint(k_state, (2000,), 0, 4), jax.random.randint(k_action, (2000,), 0, 3)
    block = _block(states, actions, CHAIN.reward[states, actions], SUCCESSOR[states, actions], jnp.zeros(2000))
    table, _ = jax.jit(lambda t: learner.update(None, t, block, key=k_state))(learner.init(None, key=k_state))
    # A discount is a chance of 1 − γ to fall into a state that pays nothing for ever.
    dead = jnp.zeros((5, 3, 5)).at[:4, :, :4].set(0.8 * CHAIN.transition).at[:4, :, 4].set(0.2).at[4, :, 4].set(1.0)
    exact = value_iteration(TabularMDP(dead, jnp.zeros((5, 3)).at[:4].set(CHAIN.reward)), 200)[0, :4]
    np.testing.assert_allclose(table.values, exact, atol=1e-3)


def test_q_learning_breaks_ties_at_random_and_explores():
    timestep = TimeStep(jax.nn.one_hot(1, 4), jnp.asarray(0), jnp.zeros(()), jnp.asarray(False))
    values = jnp.zeros((4, 3)).at[1].set(jnp.asarray([1.0, 0.0, 1.0]))
    keys = jax.random.split(jax.random.key(0), 1000)

    def shares(epsilon):
        learner = QLearning(4, 3, epsilon=epsilon)
        act = lambda k: learner.act(None, QTable(values, values), (), timestep, key=k)[0]
        return np.bincount(np.asarray(jax.vmap(act)(keys)), minlength=3) / 1000

    np.testing.assert_allclose(shares(0.0), [0.5, 0.0, 0.5], atol=0.06)
    np.testing.assert_allclose(shares(0.6), [0.4, 0.2, 0.4], atol=0.06)


def test_bad_inputs_are_refused():
    with pytest.raises(InvalidArgument, match="known_after must be a whole number of at least 1, got 0"):
        RMax(MDPPrior(2, 2), 3, 1.0, known_after=0)
    with pytest.raises(InvalidArgument, match=r"gamma must lie in \[0, 1\], got 1.5"):
        QLearning(2, 2, gamma=1.5)
    with pytest.raises(InvalidArgument, match="tabular learners need to see which of finitely many states"):
        table_shape(PointNavigation())
    with pytest.raises(InvalidArgument, match="num_states must be a whole number"):
        QLearning(0, 2)
