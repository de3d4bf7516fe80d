import json

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from measured import episode_returns
from mechanics import euler_lagrange

from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.envs.control.cart_pole import CartPole, CartPoleState, accelerations
from quickstudy.trial import run_trial

KEY = jax.random.key(0)


def stepper(env, task):
    return jax.jit(lambda motion, time, action: env.step(task, CartPoleState(motion, time), action, key=KEY)[1])


def test_default_physics_are_gymnasiums_step_for_step():
    family = CartPole()
    step, rng = stepper(family.env, family.default_task), np.random.default_rng(0)
    gym = gymnasium.make("CartPole-v1")
    lengths = []
    for seed in range(20):
        motion, _ = gym.reset(seed=seed)
        ended, length = False, 0
        while not ended:
            action = int(rng.integers(2))
            expected, reward, ended, _, _ = gym.step(action)
            out = step(jnp.asarray(motion), jnp.asarray(length), jnp.asarray(action, jnp.int32))
            np.testing.assert_allclose(out.obs, expected, rtol=1e-5, atol=1e-6)
            assert (float(out.reward), bool(out.terminated)) == (reward, ended)
            motion, length = np.asarray(out.obs), length + 1  # ours goes on by itself: errors would add up
        lengths.append(length)
    assert min(lengths) < 15 < max(lengths)


def test_a_regulated_episode_is_truncated_when_gymnasiums_is():
    family = CartPole(horizon=500)
    step, control = stepper(family.env, family.default_task), jax.jit(family.env.regulator(family.default_task))
    gym = gymnasium.make("CartPole-v1")
    motion, _ = gym.reset(seed=0)
    for time in range(500):
        action = control(jnp.asarray(motion))
        out = step(jnp.asarray(motion), jnp.asarray(time), action)
        motion, _, terminated, truncated, _ = gym.step(int(action))
        np.testing.assert_allclose(out.obs, motion, rtol=1e-5, atol=1e-6)
        assert (bool(out.terminated), bool(out.truncated)) == (terminated, truncated) == (False, time == 499)


def test_accelerations_follow_from_the_energies():
    """A rod of mass m_p and length 2 l, whose moment of inertia around its middle is m_p l² / 3."""
    tasks = CartPole().tasks("test").batch(50, key=KEY)
    motions = jax.random.normal(jax.random.key(1), (50, 4)) * jnp.array([[1.0, 2.0, 2.0, 3.0]])

    def both(task, motion):
        def kinetic(q, v):
            along = v[0] + task.half_length * jnp.cos(q[1]) * v[1]
            up = -task.half_length * jnp.sin(q[1]) * v[1]
            spin = task.pole_mass * task.half_length**2 / 3 * v[1] ** 2
            return (task.cart_mass * v[0] ** 2 + task.pole_mass * (along**2 + up**2) + spin) / 2

        potential = lambda q: task.pole_mass * 9.8 * task.half_length * jnp.cos(q[1])
        q, v = motion[::2], motion[1::2]
        forces = jnp.stack([0.7 * task.force - task.cart_friction * v[0], -task.hinge_friction * v[1]])
        found = jnp.stack(accelerations(task, motion, jnp.asarray(0.7)))
        return found, euler_lagrange(kinetic, potential, forces, q, v)

    found, expected = jax.jit(jax.vmap(both))(tasks, motions)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("motion", "fell"),
    [
        ((2.41, 0.0, 0.0, 0.0), True),
        ((2.39, 0.0, 0.0, 0.0), False),
        ((-2.41, 0.0, 0.0, 0.0), True),
        ((0.0, 0.0, 0.2, 0.6), True),
        ((0.0, 0.0, -0.2, -0.6), True),
        ((0.0, 0.0, 0.2, 0.3), False),
    ],
)
def test_an_episode_ends_off_the_track_or_beyond_twelve_degrees(motion, fell):
    family = CartPole()
    out = stepper(family.env, family.default_task)(jnp.array(motion), jnp.asarray(0), jnp.asarray(1, jnp.int32))
    assert bool(out.terminated) is fell
    assert float(out.reward) == 1.0


def test_backwards_motors_and_shares_of_a_push():
    discrete, continuous = CartPole(), CartPole(continuous=True)
    assert (discrete.env.spec.num_actions, continuous.env.spec.num_actions) == (2, None)
    task = discrete.default_task
    backwards = task._replace(force=-task.force)
    rest, start = jnp.zeros(4), jnp.asarray(0)
    left = stepper(discrete.env, task)(rest, start, jnp.asarray(0, jnp.int32)).obs
    right = stepper(discrete.env, task)(rest, start, jnp.asarray(1, jnp.int32)).obs
    assert left[1] < 0 < right[1]
    assert np.array_equal(stepper(discrete.env, backwards)(rest, start, jnp.asarray(0, jnp.int32)).obs, right)
    share = stepper(continuous.env, task)
    np.testing.assert_allclose(share(rest, start, jnp.array([0.25])).obs, 0.25 * right, atol=1e-7)
    np.testing.assert_allclose(share(rest, start, jnp.array([7.0])).obs, right, atol=1e-7)


@pytest.mark.parametrize("continuous", [False, True])
def test_the_horizon_is_attainable_under_all_physics(continuous):
    family = CartPole(continuous=continuous, num_episodes=2)
    test, ood = (family.tasks(split).batch(150, key=KEY) for split in ("test", "ood"))
    tasks = jax.tree.map(lambda *xs: jnp.concatenate(xs), test, ood)
    _, _, regulated, best = family.yardsticks()
    assert np.all(episode_returns(regulated, tasks) == 200)
    assert np.all(episode_returns(best, tasks) == 200)


def test_a_regulator_of_other_physics_falls_where_the_motor_is_wired_backwards():
    family = CartPole(num_episodes=1)
    ignorant = family.controller_yardstick("ignorant", lambda task: family.env.regulator(family.default_task))
    tasks = family.tasks("test").batch(200, key=KEY)
    returns, backwards = episode_returns(ignorant, tasks)[:, 0], np.asarray(tasks.force) < 0
    assert returns[backwards].max() < 40
    assert returns[~backwards].min() == 200


def test_episodes_start_near_rest_and_replay_tells_where_cart_and_pole_were():
    family = CartPole(horizon=30, num_episodes=2)
    task = family.default_task
    trial = run_trial(RandomLearner.for_spec(family.env.spec), None, family.env, task, family.budget, key=KEY)
    stream = jax.tree.map(lambda x: x[:, :, 0].reshape(-1, *x.shape[3:]), trial.trajectory)
    starts = np.asarray(stream.timestep.obs)[np.asarray(stream.timestep.first)]
    assert np.abs(starts).max() <= 0.05
    replay = json.loads(json.dumps(family.replay(task, stream)))
    assert (replay["kind"], replay["length"], replay["track"]) == ("cart-pole", 1.0, 2.4)
    first = replay["episodes"][0]
    assert len(first["motion"]) == len(first["rewards"]) + 1
    np.testing.assert_allclose(first["motion"][1], np.asarray(stream.next_obs)[0, [0, 2]], atol=1e-5)
