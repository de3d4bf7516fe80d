"""Adapting to one task."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import Scripted, Staircase

from quickstudy.adaptation import adapt
from quickstudy.algorithms.baselines.q_learning import QLearning
from quickstudy.algorithms.context.rl2 import RL2
from quickstudy.collect.graph import GraphCollector
from quickstudy.envs.tabular import RandomMDP
from quickstudy.errors import InvalidArgument
from quickstudy.learner import AbstractLearner
from quickstudy.trial import run_trial
from quickstudy.types import Budget

COLLECTOR = GraphCollector(Staircase())
SCRIPT = jnp.array([1, 0, 0, 1, 1])


def _adapt(budget, start=None):
    return adapt(Scripted(), SCRIPT, COLLECTOR, jnp.asarray(10.0), budget, key=jax.random.key(0), start=start)


def test_the_adapted_learner_goes_on_acting():
    adapted = _adapt(Budget(2, 2, 3))
    assert adapted.trial.trajectory.reward.shape == (1, 2, 2, 3)
    assert int(adapted.final.state) == 2
    assert int(adapted.carry) == 4
    timestep = jax.tree.map(lambda x: x[0], adapted.final.timestep)
    action, carry = adapted.act(timestep, adapted.carry, key=jax.random.key(1))
    assert (int(action), int(carry)) == (1, 5)
    action, carry = adapted.act(timestep, carry, key=jax.random.key(1))
    assert (int(action), int(carry)) == (1, 6)
    assert int(adapted.carry) == 4


def test_adapting_goes_on_where_it_stopped():
    whole = _adapt(Budget(4, 2)).trial.trajectory
    first = _adapt(Budget(1, 2))
    rest = _adapt(Budget(3, 2), start=first.final).trial.trajectory
    joined = jnp.concatenate([first.trial.trajectory.reward, rest.reward], axis=1)
    np.testing.assert_array_equal(joined, whole.reward)
    np.testing.assert_array_equal(rest.aux[1].ravel(), range(2, 8))


def test_an_empty_budget_is_refused():
    with pytest.raises(InvalidArgument, match="block_length"):
        _adapt(Budget(1, 0))


MDP = RandomMDP(num_states=4, num_actions=3)
TASK = MDP.tasks("train").sample(key=jax.random.key(4))
LEARNER: AbstractLearner = QLearning(4, 3, epsilon=1.0)


def _demonstrations(num_steps=6, num_streams=2):
    trial = run_trial(LEARNER, None, MDP.env, TASK, Budget(1, num_steps, num_streams), key=jax.random.key(5))
    return jax.tree.map(lambda x: x[0], trial.trajectory)


def _shown(demonstrations, learner: AbstractLearner = LEARNER, params=None, **arguments):
    return adapt(
        learner,
        params,
        GraphCollector(MDP.env),
        TASK,
        Budget(1, 2),
        key=jax.random.key(0),
        demonstrations=demonstrations,
        **arguments,
    )


def test_demonstrations_are_learned_from_before_the_first_action():
    block = _demonstrations()
    adapted = _shown(block)
    visits = np.zeros((4, 3))
    own = jax.tree.map(lambda x: x[0, 0], adapted.trial.trajectory)
    for trajectory in (block, own):
        states = np.argmax(trajectory.timestep.obs, -1).ravel()
        np.add.at(visits, (states, np.asarray(trajectory.action).ravel()), 1)
    assert visits.sum() == 14
    np.testing.assert_array_equal(adapted.final.state.visits, visits)


def test_demonstrations_add_to_what_an_earlier_trial_taught():
    first = _shown(None)
    again = _shown(_demonstrations(), start=first.final)
    assert float(again.final.state.visits.sum()) == 2 + 12 + 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d._replace(reward=d.reward[0]), r"demonstrations.reward must be \[T, N\], steps and streams, got"),
        (lambda d: d._replace(action=d.action[:3]), r"demonstrations.action must be of shape \[\(6, 2\)\], got"),
        (lambda d: d._replace(next_obs=d.next_obs[..., :2]), r"demonstrations.next_obs must be of shape"),
        (
            lambda d: d._replace(reward=d.reward.at[3, 1].set(jnp.inf)),
            "demonstrations.reward must be finite, got inf at step 3 of stream 1",
        ),
    ],
)
def test_demonstrations_of_another_kind_are_refused(change, message):
    with pytest.raises(InvalidArgument, match=message):
        _shown(change(_demonstrations()))


def test_a_learner_that_needs_what_it_recorded_refuses_demonstrations():
    method = RL2(width=4)
    params = method.init(MDP.env.spec, key=jax.random.key(0)).params
    with pytest.raises(InvalidArgument, match="choose a method that learns from transitions alone"):
        _shown(_demonstrations(), method.learner, params)
