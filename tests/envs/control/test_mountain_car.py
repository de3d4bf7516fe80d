import json

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from measured import episode_returns

from quickstudy.envs.control.mountain_car import MountainCar, MountainCarState, drive
from quickstudy.types import TimeStep, Trajectory

KEY = jax.random.key(0)


def test_default_physics_are_gymnasiums_step_for_step():
    family = MountainCar(horizon=999)
    step = jax.jit(lambda state, action: family.env.step(family.default_task, state, action, key=KEY))
    gym, rng = gymnasium.make("MountainCarContinuous-v0"), np.random.default_rng(0)
    lengths, lowest = [], 0.0
    for seed, drives in enumerate((1.0, 1.0, 0.3, 0.0)):
        obs, _ = gym.reset(seed=seed)
        state, over = family.env.state_at(jnp.asarray(obs)), False
        while not over:
            towards = np.sign(obs[1]) if drives else -1.0  # without drive: into the left end
            action = np.clip(max(drives, 0.7) * towards + 0.2 * rng.normal(size=1), -1, 1).astype(np.float32)
            expected, reward, terminated, truncated, _ = gym.step(action)
            state, out = step(state, jnp.asarray(action))
            np.testing.assert_allclose(out.obs, expected, atol=1e-5)
            np.testing.assert_allclose(out.reward, reward, atol=1e-4)
            assert (bool(out.terminated), bool(out.truncated)) == (terminated, truncated)
            obs, over = expected, terminated or truncated
            state = MountainCarState(jnp.asarray(expected), state.time)  # errors would add up
            lowest = min(lowest, float(obs[0]))
        lengths.append(int(state.time))
    assert lowest == pytest.approx(-1.2)
    assert min(lengths) < 200
    assert max(lengths) == 999


def test_the_left_end_stops_the_car_and_speed_is_limited():
    task = MountainCar().default_task
    np.testing.assert_allclose(drive(task, jnp.array([-1.19, -0.07]), jnp.asarray(0.0)), [-1.2, 0.0], atol=1e-7)
    np.testing.assert_allclose(drive(task, jnp.array([0.0, 0.08]), jnp.asarray(0.0)), [0.07, 0.07], atol=1e-7)
    np.testing.assert_allclose(drive(task, jnp.array([0.59, 0.05]), jnp.asarray(0.0))[0], 0.6, atol=1e-7)


def test_reward_is_a_prize_minus_fuel_of_the_clipped_action():
    family = MountainCar()
    step = lambda place, action: family.env.step(
        family.default_task, MountainCarState(jnp.array([place, 0.02]), jnp.asarray(0)), jnp.array([action]), key=KEY
    )[1]
    arrived, away = step(0.44, 0.5), step(0.0, -3.0)
    np.testing.assert_allclose(arrived.reward, 100 - 0.1 * 0.25, rtol=1e-6)
    np.testing.assert_allclose(away.reward, -0.1, rtol=1e-6)
    assert (bool(arrived.terminated), bool(away.terminated)) == (True, False)


def test_a_backwards_engine_pushes_the_other_way():
    task = MountainCar().default_task
    motion = jnp.array([-0.5, 0.01])
    forwards = drive(task, motion, jnp.asarray(-0.4))
    assert np.array_equal(drive(task._replace(power=-task.power), motion, jnp.asarray(0.4)), forwards)


def test_rocking_arrives_under_all_physics_and_with_the_engine_mistaken_never():
    family = MountainCar(num_episodes=1)
    test, ood = (family.tasks(split).batch(300, key=KEY) for split in ("test", "ood"))
    tasks = jax.tree.map(lambda *xs: jnp.concatenate(xs), test, ood)
    returns = episode_returns(family.yardsticks()[-1], tasks)[:, 0]
    assert np.all((returns >= 70) & (returns < 100))
    mistaken = family.controller_yardstick(
        "mistaken", lambda task: family.env.rocking(task._replace(power=-task.power))
    )
    np.testing.assert_allclose(episode_returns(mistaken, test)[:, 0], -30, rtol=1e-4)


def test_replay_tells_where_the_car_was_in_each_episode():
    family = MountainCar(horizon=3, num_episodes=2)
    obs = jnp.array([[-0.5, 0.0], [-0.4, 0.1], [-0.3, 0.1]])
    no, yes = jnp.zeros(3, bool), jnp.array([False, True, False])
    step = TimeStep(obs, jnp.zeros((3, 1)), jnp.zeros(3), jnp.array([True, False, True]))
    ends = jnp.array([[-0.4, 0.1], [-0.2, 0.1], [-0.25, 0.1]])
    stream = Trajectory(step, jnp.zeros((3, 1)), jnp.array([-0.1, 99.9, -0.2]), ends, yes, no, None)
    replay = json.loads(json.dumps(family.replay(family.default_task, stream)))
    assert (replay["kind"], replay["goal"], replay["ends"]) == ("hill", 0.45, [-1.2, 0.6])
    first, second = replay["episodes"]
    np.testing.assert_allclose(first["places"], [-0.5, -0.4, -0.2], atol=1e-5)
    np.testing.assert_allclose(second["places"], [-0.3, -0.25], atol=1e-5)
    np.testing.assert_allclose(first["rewards"], [-0.1, 99.9], atol=1e-4)
