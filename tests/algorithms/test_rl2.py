"""What RL² adds to PPO over whole trials."""

import equinox as eqx
import jax
import numpy as np
import pytest

from quickstudy.algorithms.context.rl2 import RL2
from quickstudy.algorithms.ppo import PPO
from quickstudy.collect.graph import GraphCollector
from quickstudy.envs.gridworld import GridNavigation
from quickstudy.errors import InvalidArgument
from quickstudy.ops.novelty import first_met

FAMILY = GridNavigation(size=3, horizon=4, num_episodes=2)


def _trained(novelty_weight, change_reward):
    """A network after one meta-update on trials whose rewards were changed."""
    method = RL2(width=4, novelty_weight=novelty_weight, ppo=PPO(num_epochs=1, num_minibatches=1))
    collector = GraphCollector(FAMILY.env)
    state = method.init(collector.spec, key=jax.random.key(0))
    tasks = FAMILY.tasks("train").batch(4, key=jax.random.key(1))
    trials = collector.collect(method.learner, state.params, tasks, FAMILY.budget, key=jax.random.key(2))
    trajectory = trials.trajectory
    trials = trials._replace(trajectory=trajectory._replace(reward=change_reward(trajectory)))
    state, _ = eqx.filter_jit(method.update)(state, trials, key=jax.random.key(3))
    return state.params.cell.cell.weight_ih


def _with_bonus(trajectory):
    """Rewards ``[K, B, T, N]`` with .5 for what each stream first met."""
    flat = jax.tree.map(lambda x: x[:, :, :, 0].reshape(x.shape[0], -1, *x.shape[4:]), trajectory)
    bonus = 0.5 * jax.vmap(first_met)(flat)
    assert bonus.sum() > 0
    return trajectory.reward + bonus.reshape(trajectory.reward.shape)


def test_novelty_is_learned_from_as_reward_is():
    np.testing.assert_array_equal(_trained(0.5, lambda t: t.reward), _trained(0.0, _with_bonus))
    assert (_trained(0.5, lambda t: t.reward) != _trained(0.0, lambda t: t.reward)).any()


@pytest.mark.parametrize(("name", "value"), [("novelty_weight", -1.0), ("readout", -1)])
def test_weights_and_sizes_below_zero_are_refused(name, value):
    with pytest.raises(InvalidArgument, match=f"{name} must be at least 0"):
        RL2(**{name: value})
