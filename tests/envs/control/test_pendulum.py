import json

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from measured import episode_returns
from mechanics import euler_lagrange

from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.envs.control.pendulum import Pendulum, PendulumState, motion_at, shown, swing
from quickstudy.trial import run_trial

KEY = jax.random.key(0)


def test_default_physics_are_gymnasiums_step_for_step():
    family = Pendulum()
    step = jax.jit(lambda state, action: family.env.step(family.default_task, state, action, key=KEY))
    gym, rng = gymnasium.make("Pendulum-v1"), np.random.default_rng(0)
    fastest = 0.0
    for seed in range(3):
        obs, _ = gym.reset(seed=seed)
        state, ended = family.env.state_at(jnp.asarray(obs)), False
        drive = -1.0 if seed == 0 else 1.0
        while not ended:
            action = np.clip(drive * np.sign(obs[2]) + 0.3 * rng.normal(size=1), -1, 1).astype(np.float32)
            expected, reward, terminated, ended, _ = gym.step(2 * action)
            state, out = step(state, jnp.asarray(action))
            np.testing.assert_allclose(out.obs, expected, atol=2e-4)
            np.testing.assert_allclose(out.reward, reward, rtol=1e-3, atol=2e-4)
            assert (bool(out.terminated), bool(out.truncated)) == (terminated, ended)
            # Next step from where Gymnasium is: ours goes on by itself with errors that add up.
            obs, state = expected, PendulumState(motion_at(jnp.asarray(expected)), state.time)
            fastest = max(fastest, abs(float(obs[2])))
    assert fastest == 8.0  # the limit was met


def test_the_turn_of_a_step_follows_from_the_energies():
    """A rod around its end has the moment of inertia m l² / 3, and its weight acts at l / 2."""
    tasks = Pendulum().tasks("test").batch(50, key=KEY)
    motions = jax.random.uniform(jax.random.key(1), (50, 2), minval=-2.0, maxval=2.0)

    def both(task, motion):
        kinetic = lambda q, v: task.mass * task.length**2 / 6 * v[0] ** 2
        potential = lambda q: task.mass * task.gravity * task.length / 2 * jnp.cos(q[0])
        expected = euler_lagrange(kinetic, potential, -0.4 * task.torque[None], motion[:1], motion[1:])
        return (swing(task, motion, jnp.asarray(-0.4))[1] - motion[1]) / 0.05, expected[0]

    found, expected = jax.jit(jax.vmap(both))(tasks, motions)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_the_speed_limit_lets_every_pendulum_reach_the_top():
    """Falling from upright it is √(6 g / l) fast; the limit is 8 at default physics, and grows alike."""
    for gravity, length in ((10.0, 1.0), (15.0, 0.67), (7.0, 1.4)):
        task = Pendulum().default_task._replace(gravity=jnp.asarray(gravity), length=jnp.asarray(length))
        limit = float(swing(task, jnp.array([0.0, 100.0]), jnp.asarray(0.0))[1])
        assert 1.03 < limit / np.sqrt(6 * gravity / length) < 1.04


def test_reward_is_judged_before_the_step_and_charges_the_torque_asked_for():
    family = Pendulum()
    task = family.default_task._replace(torque=jnp.asarray(-3.0))
    state = PendulumState(jnp.array([2 * jnp.pi - 0.5, 2.0]), jnp.asarray(0))
    out = family.env.step(task, state, jnp.array([5.0]), key=KEY)[1]
    np.testing.assert_allclose(out.reward, -(0.5**2 + 0.1 * 2.0**2 + 0.001 * 2.0**2), rtol=1e-4)


def test_a_controller_that_knows_swings_up_and_one_of_default_physics_does_not():
    family = Pendulum(num_episodes=1)
    tasks = family.tasks("test").batch(200, key=KEY)
    knowing = episode_returns(family.yardsticks()[-1], tasks)[:, 0]
    ignorant = family.controller_yardstick("ignorant", lambda task: family.env.swing_up(family.default_task))
    blind, backwards = episode_returns(ignorant, tasks)[:, 0], np.asarray(tasks.torque) < 0
    assert knowing.mean() > -190
    assert blind[backwards].mean() < -1000


def test_episodes_begin_anywhere_and_replay_tells_the_angles():
    family = Pendulum(horizon=20, num_episodes=40)
    task = family.default_task
    trial = run_trial(RandomLearner.for_spec(family.env.spec), None, family.env, task, family.budget, key=KEY)
    stream = jax.tree.map(lambda x: x[:, :, 0].reshape(-1, *x.shape[3:]), trial.trajectory)
    starts = np.asarray(stream.timestep.obs)[np.asarray(stream.timestep.first)]
    assert np.ptp(np.arctan2(starts[:, 1], starts[:, 0])) > 5
    assert 0.8 < np.abs(starts[:, 2]).max() <= 1
    replay = json.loads(json.dumps(family.replay(task, stream)))
    assert (replay["kind"], replay["length"], len(replay["episodes"])) == ("pendulum", 1.0, 40)
    angles = np.asarray(replay["episodes"][0]["angles"])
    assert angles.shape == (21,)
    np.testing.assert_allclose(np.cos(angles[1:]), np.asarray(stream.next_obs)[:20, 0], atol=1e-4)


def test_the_observation_holds_the_motion():
    motion = jnp.array([2.9, -4.0])
    np.testing.assert_allclose(motion_at(shown(motion)), motion, rtol=1e-5)
