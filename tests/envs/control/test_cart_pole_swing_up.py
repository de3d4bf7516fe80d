import json

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from measured import episode_returns

from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.envs.control.cart_pole import CartPoleState
from quickstudy.envs.control.cart_pole_swing_up import CartPoleSwingUp, motion_at, semi_implicit_step, shown
from quickstudy.trial import run_trial

KEY = jax.random.key(0)


def test_default_physics_are_gymnasiums_semi_implicit_ones():
    """Gymnasium pushes with all of its force or none of it, and steps on from any state it is put into."""
    gym, task = gymnasium.make("CartPole-v1").unwrapped, CartPoleSwingUp().default_task
    gym.kinematics_integrator = "semi-implicit euler"
    step, rng = jax.jit(semi_implicit_step), np.random.default_rng(0)
    motion = np.array([0.0, 0.0, np.pi, 0.0])
    for _ in range(200):
        gym.state, gym.steps_beyond_terminated = tuple(motion), None
        action = int(rng.integers(2))
        found = step(task, jnp.asarray(motion, jnp.float32), jnp.asarray(2.0 * action - 1))
        motion = gym.step(action)[0]
        np.testing.assert_allclose(found, motion, rtol=1e-5, atol=1e-5)
    assert abs(motion[2]) > 2  # far from upright: all of the equations were used


def step_from(motion, action=0.0, time=0):
    family = CartPoleSwingUp()
    state = CartPoleState(jnp.asarray(motion, jnp.float32), jnp.asarray(time))
    return family.env.step(family.default_task, state, jnp.array([action]), key=KEY)[1]


def test_reward_is_the_height_of_the_tip():
    np.testing.assert_allclose(step_from([0.0, 0.0, 0.0, 0.0]).reward, 1.0, atol=1e-6)
    np.testing.assert_allclose(step_from([0.0, 0.0, np.pi, 0.0]).reward, 0.0, atol=1e-6)
    turned = semi_implicit_step(CartPoleSwingUp().default_task, jnp.array([0.0, 0.0, 1.0, 0.5]), jnp.asarray(0.0))
    np.testing.assert_allclose(step_from([0.0, 0.0, 1.0, 0.5]).reward, (1 + np.cos(turned[2])) / 2, atol=1e-6)


def test_an_episode_ends_off_the_track_and_by_the_clock():
    for place, ended in ((4.79, False), (4.81, True), (-4.81, True)):
        assert bool(step_from([place, 0.0, 3.0, 0.0]).terminated) is ended
    assert [bool(step_from([0.0, 0.0, 3.0, 0.0], time=t).truncated) for t in (248, 249)] == [False, True]


def test_the_observation_holds_the_motion():
    motion = jnp.array([0.3, -0.2, 2.9, 4.0])
    np.testing.assert_allclose(motion_at(shown(motion)), motion, rtol=1e-5)
    np.testing.assert_allclose(motion_at(shown(motion.at[2].add(2 * jnp.pi))), motion, rtol=1e-5)


def test_actions_are_clipped_shares_of_the_force():
    full, beyond, half = (step_from([0.0, 0.0, np.pi, 0.0], action).obs[1] for action in (1.0, 3.0, 0.5))
    assert full == beyond
    np.testing.assert_allclose(half, full / 2, rtol=1e-4)


def test_a_controller_that_knows_swings_up_and_one_of_default_physics_does_not():
    family = CartPoleSwingUp(num_episodes=1)
    tasks = family.tasks("test").batch(200, key=KEY)
    knowing = episode_returns(family.yardsticks()[-1], tasks)[:, 0]
    ignorant = family.controller_yardstick("ignorant", lambda task: family.env.swing_up(family.default_task))
    blind, backwards = episode_returns(ignorant, tasks)[:, 0], np.asarray(tasks.force) < 0
    assert knowing.mean() > 180
    assert np.percentile(knowing, 2) > 100
    assert blind[backwards].mean() < 60


def test_episodes_begin_hanging_and_replay_tells_the_angles():
    family = CartPoleSwingUp(horizon=20, num_episodes=2)
    task = family.default_task
    trial = run_trial(RandomLearner.for_spec(family.env.spec), None, family.env, task, family.budget, key=KEY)
    stream = jax.tree.map(lambda x: x[:, :, 0].reshape(-1, *x.shape[3:]), trial.trajectory)
    starts = np.asarray(stream.timestep.obs)[np.asarray(stream.timestep.first)]
    assert np.all(starts[:, 2] < -0.99)
    replay = json.loads(json.dumps(family.replay(task, stream)))
    assert (replay["kind"], replay["track"], replay["length"]) == ("cart-pole", 4.8, 1.0)
    assert [len(e["motion"]) for e in replay["episodes"]] == [21, 21]
    heights = 1 + np.cos([angle for _, angle in replay["episodes"][0]["motion"][1:]])
    np.testing.assert_allclose(replay["episodes"][0]["rewards"], heights / 2, atol=1e-4)
