"""Inputs of order one: moments of all that training saw."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.algorithms.baselines.multitask import MultiTaskPPO
from quickstudy.algorithms.context.rl2 import RL2
from quickstudy.algorithms.ppo import PPO
from quickstudy.collect.graph import GraphCollector
from quickstudy.envs.point import PointNavigation
from quickstudy.nets.standardizer import LARGEST, Standardizer
from quickstudy.types import Spec, TimeStep

SPEC = Spec(jax.ShapeDtypeStruct((3,), jnp.float32), jax.ShapeDtypeStruct((1,), jnp.float32), None)


def _batch(seed, shift=0.0):
    """Two tasks, three streams, five steps; the last number of the observation never changes."""
    k_obs, k_reward = jax.random.split(jax.random.key(seed))
    obs = shift + jnp.array([[[[0.01, 100.0, 0.0]]]]) * jax.random.normal(k_obs, (2, 3, 5, 3))
    reward = 30.0 * jax.random.normal(k_reward, (2, 3, 5))
    return TimeStep(obs, jnp.zeros((2, 3, 5, 1)), reward, jnp.zeros((2, 3, 5), bool))


def _read(standardizer, batch):
    return jax.vmap(jax.vmap(jax.vmap(standardizer)))(batch)


def test_it_starts_as_the_identity():
    batch = _batch(0)._replace(obs=jnp.ones((2, 3, 5, 3)), prev_reward=jnp.full((2, 3, 5), -2.0))
    read = _read(Standardizer(SPEC), batch)
    assert jnp.array_equal(read.obs, batch.obs)
    assert jnp.array_equal(read.prev_reward, batch.prev_reward)


def test_after_a_batch_that_batch_has_mean_0_and_deviation_1_and_what_never_changes_is_0():
    batch = _batch(0, shift=7.0)
    read = _read(Standardizer(SPEC).after(batch), batch)
    np.testing.assert_allclose(read.obs.mean((0, 1, 2)), 0, atol=1e-3)
    np.testing.assert_allclose(read.obs.std((0, 1, 2)), [1, 1, 0], atol=1e-3)
    np.testing.assert_allclose(jnp.square(read.prev_reward).mean(), 1, rtol=1e-4)
    assert bool((jnp.sign(read.prev_reward) == jnp.sign(batch.prev_reward)).all())


def test_first_batches_are_averaged():
    first, second = _batch(0), _batch(1)
    both = Standardizer(SPEC).after(first).after(second)
    np.testing.assert_allclose(both.mean, (first.obs.mean((0, 1, 2)) + second.obs.mean((0, 1, 2))) / 2, atol=1e-4)
    assert float(both.num_batches) == 2


def test_what_is_far_away_is_clipped():
    batch = _batch(0)
    read = _read(
        Standardizer(SPEC).after(batch), batch._replace(obs=1e6 + batch.obs, prev_reward=-1e6 + 0 * batch.prev_reward)
    )
    assert bool((read.obs[..., :2] == LARGEST).all())
    assert bool((read.prev_reward == -LARGEST).all())


@pytest.mark.parametrize("method", [RL2, MultiTaskPPO])
def test_a_meta_update_moves_the_moments_to_its_batch_and_no_further(method):
    family = PointNavigation()
    collector = GraphCollector(family.env)
    method = method(width=4, standardize=True, ppo=PPO(num_minibatches=2))
    k_init, k_tasks, k_trials, k_update = jax.random.split(jax.random.key(0), 4)
    state = method.init(collector.spec, key=k_init)
    tasks = family.tasks("train").batch(2, key=k_tasks)
    trials = collector.collect(method.learner, state.params, tasks, family.budget, key=k_trials)
    after, _ = method.update(state, trials, key=k_update)
    found, obs = after.params.standardizer, trials.trajectory.timestep.obs.reshape(-1, *collector.spec.obs.shape)
    np.testing.assert_allclose(found.mean, obs.mean(0), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(found.variance, obs.var(0), rtol=1e-3, atol=1e-5)
    assert float(found.num_batches) == 1
