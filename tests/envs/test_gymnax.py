"""Families out of Gymnax's environments: the same physics as Gymnasium's, and tasks that reach them."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.collect.graph import GraphCollector
from quickstudy.envs.gymnax import Gymnax, VariedState
from quickstudy.errors import InvalidArgument

TASK = {"m": jnp.asarray(1.5), "l": jnp.asarray(0.7)}


def test_a_pendulum_of_the_task_s_mass_and_length_moves_as_gymnasium_s():
    env = Gymnax().env
    theirs = gymnasium.make("Pendulum-v1").unwrapped
    theirs.m, theirs.l = 1.5, 0.7
    theirs.reset(seed=0)
    state, _ = env.reset(TASK, key=jax.random.key(0))
    theirs.state = np.array([state.inner.theta, state.inner.theta_dot])
    for action in (0.3, -1.0, 0.8):
        state, out = env.step(TASK, state, jnp.asarray([action]), key=jax.random.key(1))
        obs, reward, *_ = theirs.step(np.array([2 * action]))
        np.testing.assert_allclose(out.obs, obs, atol=1e-5)
        assert float(out.reward) == pytest.approx(float(reward), abs=1e-4)


def test_the_clock_truncates_and_an_end_terminates():
    family = Gymnax(gymnax_id="CartPole-v1", vary="length=0.3:0.8", max_steps=3)
    tasks = family.tasks("train").batch(4, key=jax.random.key(0))
    learner = RandomLearner.for_spec(family.env.spec)
    trial = GraphCollector(family.env).collect(learner, None, tasks, family.budget, key=jax.random.key(1))
    np.testing.assert_array_equal(trial.trajectory.truncated[..., 0], [[[False, False, True]] * 2] * 4)
    task = {"length": jnp.asarray(0.5)}
    state, _ = family.env.reset(task, key=jax.random.key(0))
    fallen = VariedState(state.inner.replace(theta=jnp.asarray(1.0)), state.time + 2)
    _, out = family.env.step(task, fallen, jnp.asarray(0), key=jax.random.key(1))
    assert (bool(out.terminated), bool(out.truncated)) == (True, False)


def test_tasks_of_every_split():
    family = Gymnax(vary="m=1:2,l=1:2:0.5")
    draws = lambda split: family.tasks(split).batch(50, key=jax.random.key(0))
    inside, outside = draws("test"), draws("ood")
    assert 1 <= inside["m"].min() < inside["m"].max() <= 2
    assert 2 <= outside["m"].min() < outside["m"].max() <= 2.5
    assert 0.5 <= outside["l"].min() < outside["l"].max() <= 1
    np.testing.assert_allclose(family.task_features({"m": jnp.asarray(1.5), "l": jnp.asarray(2.0)}), [0, 1])


def test_what_gymnax_does_not_know():
    with pytest.raises(InvalidArgument, match="did you mean 'Pendulum-v1'"):
        Gymnax(gymnax_id="Pendulum-v2")
    with pytest.raises(InvalidArgument, match="unknown real-valued parameter of Pendulum-v1 'mass'"):
        Gymnax(vary="mass=1:2")
    with pytest.raises(InvalidArgument, match="max_steps"):
        Gymnax(max_steps=0)
