import json

import jax
import jax.numpy as jnp
import numpy as np
from measured import episode_returns
from mechanics import euler_lagrange

from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.envs.control.reacher import (
    Reacher,
    ReacherState,
    Wiring,
    accelerations,
    inertia,
    swing,
    tip,
    to_go,
)
from quickstudy.trial import run_trial

KEY = jax.random.key(0)
FAMILY = Reacher()


def test_accelerations_follow_from_the_energies():
    """Two rods: each has the energy of its middle, and of its turning around it with m l² / 12."""
    tasks = FAMILY.tasks("test").batch(50, key=KEY)
    angles, speeds = 3 * jax.random.normal(jax.random.key(1), (2, 50, 2))
    torques = jnp.array([0.7, -0.4])

    def both(task, q, v):
        def kinetic(q, v):
            upper = lambda q: 0.25 * jnp.stack([jnp.cos(q[0]), jnp.sin(q[0])])
            lower = lambda q: 2 * upper(q) + 0.25 * jnp.stack([jnp.cos(q[0] + q[1]), jnp.sin(q[0] + q[1])])
            moving = [jnp.sum(jax.jvp(middle, (q,), (v,))[1] ** 2) for middle in (upper, lower)]
            turning = [0.25 / 12 * v[0] ** 2, 0.25 / 12 * (v[0] + v[1]) ** 2]
            masses = (task.upper_mass, task.lower_mass)
            return sum(m * (a + b) / 2 for m, a, b in zip(masses, moving, turning, strict=True))

        return accelerations(task, q, v, torques), euler_lagrange(
            kinetic, lambda q: 0.0 * q[0], torques - task.damping * v, q, v
        )

    found, expected = jax.jit(jax.vmap(both))(tasks, angles, speeds)
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)


def test_an_arm_without_damping_keeps_its_energy():
    task = FAMILY.default_task._replace(damping=jnp.zeros(()))
    energy = lambda angles, speeds: float(speeds @ inertia(task, angles) @ speeds) / 2
    angles, speeds = jnp.array([0.3, 1.0]), jnp.array([1.0, -0.5])
    before, step = energy(angles, speeds), jax.jit(swing)
    for _ in range(40):
        angles, speeds = step(task, angles, speeds, jnp.zeros(2))
    assert abs(energy(angles, speeds) / before - 1) < 0.02


def test_the_tip_by_hand():
    np.testing.assert_allclose(tip(jnp.array([jnp.pi / 2, -jnp.pi / 2])), [0.5, 0.5], atol=1e-6)
    np.testing.assert_allclose(tip(jnp.array([jnp.pi, 0.0])), [-1.0, 0.0], atol=1e-6)


def test_turning_as_far_as_there_is_to_go_puts_the_tip_on_the_target():
    angles, targets = jax.random.normal(KEY, (2, 100, 2))
    targets = 0.9 * targets / jnp.maximum(1.0, jnp.linalg.norm(targets, axis=1, keepdims=True))
    turns = jax.vmap(to_go)(angles, targets)
    np.testing.assert_allclose(jax.vmap(tip)(angles + turns), targets, atol=1e-4)
    assert np.abs(turns).max() <= np.pi + 1e-5
    np.testing.assert_allclose(to_go(jnp.array([0.2, 0.3]), tip(jnp.array([0.3, 0.1]))), [0.1, -0.2], atol=1e-4)


def test_wiring_swaps_reverses_and_cripples():
    draw = lambda ood: np.asarray(jax.vmap(lambda k: Wiring().draw(ood=ood, key=k))(jax.random.split(KEY, 4000)))
    train, ood = draw(False), draw(True)
    for wirings in (train, ood):
        assert np.all((wirings != 0).sum((1, 2)) == 2)
        swapped = (wirings[:, 0, 0] == 0) & (wirings[:, 1, 1] == 0)
        assert abs(swapped.mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
        assert np.all(swapped | ((wirings[:, 0, 1] == 0) & (wirings[:, 1, 0] == 0)))
        reversed_ = wirings.sum(1) < 0  # of each action
        assert np.abs(reversed_.mean(0) - 0.5).max() < 4 * 0.5 / np.sqrt(4000)
        assert abs((reversed_[:, 0] == reversed_[:, 1]).mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
    strength = np.abs(train).sum(2)
    shares = [np.mean(strength.min(1) == 1), *np.mean(strength < 1, axis=0)]
    assert np.abs(np.array(shares) - 1 / 3).max() < 4 * 0.48 / np.sqrt(4000)
    assert 0.2 <= strength.min() < strength[strength < 1].max() <= 0.6
    assert np.all((np.abs(ood).sum(2) < 0.2).sum(1) == 1)


def step_from(task, action):
    state = ReacherState(jnp.array([0.1, 0.2]), jnp.array([0.5, -0.5]), jnp.array([0.4, 0.3]), jnp.asarray(0))
    return FAMILY.env.step(task, state, jnp.asarray(action), key=KEY)


def test_actions_go_where_the_wiring_says():
    task = FAMILY.default_task
    swapped = task._replace(wiring=jnp.array([[0.0, 1.0], [-1.0, 0.0]]))
    plain, same = step_from(task, [0.3, -0.8])[1].obs, step_from(swapped, [0.8, 0.3])[1].obs
    np.testing.assert_allclose(same, plain, atol=1e-6)
    crippled = task._replace(wiring=jnp.array([[1.0, 0.0], [0.0, 0.0]]))
    nothing, much = step_from(crippled, [0.3, 0.0])[1].obs, step_from(crippled, [0.3, 1.0])[1].obs
    np.testing.assert_array_equal(nothing, much)


def test_reward_is_judged_after_the_step_and_charges_the_clipped_action():
    state, out = step_from(FAMILY.default_task, [3.0, -0.5])
    expected = -np.linalg.norm(tip(state.angles) - np.array([0.4, 0.3])) - 0.01 * (1 + 0.25)
    np.testing.assert_allclose(out.reward, expected, rtol=1e-5)
    np.testing.assert_allclose(out.obs[6:], [0.4, 0.3], rtol=1e-6)
    np.testing.assert_array_equal(step_from(FAMILY.default_task, [1.0, -0.5])[1].obs, out.obs)


def test_a_controller_that_knows_reaches_and_one_of_default_physics_does_not():
    family = Reacher(num_episodes=1)
    tasks = family.tasks("test").batch(300, key=KEY)
    knowing = episode_returns(family.yardsticks()[-1], tasks)[:, 0]
    ignorant = family.controller_yardstick("ignorant", lambda task: family.env.computed_torque(family.default_task))
    right = (np.diagonal(tasks.wiring, axis1=1, axis2=2) > 0).all(1)
    blind = episode_returns(ignorant, tasks)[:, 0]
    assert knowing.mean() > -20
    assert blind[~right].mean() < -45


def test_targets_are_new_in_every_episode_and_replay_tells_the_arm():
    family = Reacher(horizon=5, num_episodes=200)
    task = family.tasks("test").sample(key=KEY)
    trial = run_trial(RandomLearner.for_spec(family.env.spec), None, family.env, task, family.budget, key=KEY)
    stream = jax.tree.map(lambda x: x[:, :, 0].reshape(-1, *x.shape[3:]), trial.trajectory)
    replay = json.loads(json.dumps(family.replay(task, stream)))
    assert (replay["kind"], replay["link"], len(replay["episodes"])) == ("arm", 0.5, 200)
    targets = np.array([episode["target"] for episode in replay["episodes"]])
    distances = np.linalg.norm(targets, axis=1)
    assert 0.3 <= distances.min() < 0.4 < 0.85 < distances.max() <= 0.9
    assert np.abs(targets.mean(0)).max() < 4 * 0.5 / np.sqrt(200)
    first = replay["episodes"][0]
    assert np.asarray(first["angles"]).shape == (6, 2)
    assert np.abs(first["angles"][0]).max() <= 0.1
    ends = np.array([tip(jnp.asarray(angles)) for angles in first["angles"][1:]])
    effort = 0.01 * np.square(np.asarray(stream.action)[:5]).sum(1)
    np.testing.assert_allclose(first["rewards"], -np.linalg.norm(ends - targets[0], axis=1) - effort, atol=1e-3)
