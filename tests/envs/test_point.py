import json
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.envs.point import (
    PointEnv,
    PointNavigation,
    PointTask,
    RotatedPointNavigation,
    SparsePointNavigation,
    rotate,
)
from quickstudy.errors import InvalidArgument
from quickstudy.trial import run_trial

KEY = jax.random.key(0)
FAMILIES = [PointNavigation(), SparsePointNavigation(), RotatedPointNavigation()]


def task(x, y, angle=0.0):
    return PointTask(jnp.asarray([x, y], jnp.float32), jnp.asarray(angle, jnp.float32))


def play(env, task, actions):
    state, _ = env.reset(task, key=KEY)
    take = jax.jit(lambda state, action: env.step(task, state, action, key=KEY))
    steps = []
    for action in actions:
        state, step = take(state, jnp.asarray(action, jnp.float32))
        steps.append(step)
    return steps


def test_actions_are_clipped_and_scaled_and_rewards_judged_after_the_move():
    steps = play(PointNavigation().env, task(0.3, -0.1), [(1.0, 0.0), (5.0, -3.0)])
    np.testing.assert_allclose([s.obs for s in steps], [[0.1, 0.0], [0.2, -0.1]], atol=1e-6)
    np.testing.assert_allclose([s.reward for s in steps], [-(0.2**2 + 0.1**2), -(0.1**2)], atol=1e-6)


def test_a_dense_episode_ends_within_a_hundredth_of_the_goal():
    steps = play(PointNavigation().env, task(0.11, 0.0), [(0.9, 0.0), (0.15, 0.0), (0.05, 0.0)])
    np.testing.assert_allclose(steps[1].obs, [0.105, 0.0], atol=1e-6)
    assert [bool(s.terminated) for s in steps[:2]] == [False, True]
    assert not bool(steps[1].truncated)


def test_the_state_of_an_observation_goes_on_as_the_episode_does():
    env = RotatedPointNavigation().env
    task = RotatedPointNavigation().tasks("test").sample(key=jax.random.key(0))
    state, _ = env.reset(task, key=KEY)
    state, out = env.step(task, state, jnp.array([0.3, -0.7]), key=KEY)
    action = jnp.array([-0.2, 0.9])
    _, expected = env.step(task, state, action, key=KEY)
    _, found = env.step(task, env.state_at(out.obs), action, key=KEY)
    np.testing.assert_array_equal(found.obs, expected.obs)
    assert found.reward == expected.reward


def test_the_clock_truncates_at_the_horizon():
    steps = play(SparsePointNavigation(horizon=3).env, task(1.0, 0.0), [(0.0, 0.0)] * 3)
    assert [bool(s.truncated) for s in steps] == [False, False, True]
    assert not any(bool(s.terminated) for s in steps)


def test_the_sparse_reward_begins_at_its_radius_and_does_not_end_the_episode():
    steps = play(SparsePointNavigation().env, task(0.35, 0.0), [(1.0, 0.0), (1.0, 0.0), (1.0, 0.0), (0.5, 0.0)])
    np.testing.assert_allclose([s.reward for s in steps], [0.0, 0.85, 0.95, 1.0], atol=1e-6)
    assert not any(bool(s.terminated) for s in steps)


def test_rotation_turns_the_push_after_the_clip():
    steps = play(RotatedPointNavigation().env, task(0.5, 0.5, math.pi / 2), [(1.0, 0.0), (2.0, 1.0)])
    np.testing.assert_allclose([s.obs for s in steps], [[0.0, 0.1], [-0.1, 0.2]], atol=1e-6)
    np.testing.assert_allclose(rotate(jnp.asarray([1.0, 0.0]), jnp.asarray(jnp.pi / 6)), [3**0.5 / 2, 0.5], atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_goal_known_is_what_full_strength_towards_the_goal_brings(family):
    env = family.env

    def run(task):
        def step(carry, _):
            state, alive = carry
            ahead = rotate(task.goal - state.position, -task.angle) / 0.1
            state, out = env.step(task, state, ahead, key=KEY)
            return (state, alive & ~out.terminated), alive * out.reward

        start = (env.reset(task, key=KEY)[0], jnp.ones((), bool))
        return jax.lax.scan(step, start, length=env.horizon)[1].sum()

    tasks = family.tasks("test").batch(200, key=KEY)
    np.testing.assert_allclose(
        jax.jit(jax.vmap(run))(tasks), jax.vmap(env.goal_known_return)(tasks), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_no_sequence_of_actions_beats_goal_known(family):
    env = family.env
    tasks = family.tasks("test").batch(50, key=KEY)
    tries = jax.random.uniform(jax.random.key(1), (20, env.horizon, 2), minval=-1.0)

    def run(task, actions):
        direct = jnp.sign(rotate(task.goal, -task.angle))
        actions = jnp.where(jnp.arange(env.horizon)[:, None] < 4, direct, actions)  # a good start, then luck

        def step(carry, action):
            state, alive = carry
            state, out = env.step(task, state, action, key=KEY)
            return (state, alive & ~out.terminated), alive * out.reward

        start = (env.reset(task, key=KEY)[0], jnp.ones((), bool))
        return jax.lax.scan(step, start, actions)[1].sum()

    best = jax.vmap(env.goal_known_return)(tasks)
    returns = jax.jit(jax.vmap(lambda a: jax.vmap(lambda t: run(t, a))(tasks)))(tries)
    assert np.all(np.asarray(returns) <= np.asarray(best)[None] + 1e-5)


def test_goal_known_and_standing_still_by_hand():
    env = PointNavigation().env
    np.testing.assert_allclose(env.goal_known_return(task(0.3, -0.15)), -(0.2**2 + 0.05**2 + 0.1**2), rtol=1e-5)
    np.testing.assert_allclose(env.standing_still_return(task(0.3, 0.4)), -25.0, rtol=1e-5)
    np.testing.assert_allclose(env.standing_still_return(task(0.003, 0.004)), -2.5e-5, rtol=1e-4)  # ends at once
    sparse = SparsePointNavigation().env
    np.testing.assert_allclose(sparse.goal_known_return(task(1.0, 0.0)), 0.8 + 0.9 + 11 * 1.0, rtol=1e-5)
    assert float(sparse.standing_still_return(task(1.0, 0.0))) == 0.0


def test_dense_goals_fill_the_square_and_ood_the_frame_around_it():
    family = PointNavigation()
    goals = np.asarray(family.tasks("test").batch(4000, key=KEY).goal)
    assert np.abs(goals).max() <= 0.5
    quadrants = np.bincount((goals[:, 0] > 0) * 2 + (goals[:, 1] > 0), minlength=4)
    assert np.abs(quadrants - 1000).max() < 4 * np.sqrt(750)
    assert abs(np.square(goals).sum(1).mean() - 1 / 6) < 4 * 0.1054 / np.sqrt(4000)
    inner = np.abs(goals).max(1) < 0.25
    assert abs(inner.mean() - 0.25) < 4 * np.sqrt(0.25 * 0.75 / 4000)
    frame = np.abs(np.asarray(family.tasks("ood").batch(4000, key=KEY).goal)).max(1)
    assert frame.min() >= 0.5
    assert frame.max() <= 1.0
    assert abs((frame < 0.75).mean() - (0.75**2 - 0.25) / 0.75) < 4 * np.sqrt(0.25 / 4000)


def test_sparse_goals_lie_on_half_circles():
    family = SparsePointNavigation()
    for split, sign in (("train", 1), ("validation", 1), ("test", 1), ("ood", -1)):
        goals = np.asarray(family.tasks(split).batch(500, key=KEY).goal)
        np.testing.assert_allclose(np.linalg.norm(goals, axis=1), 1.0, atol=1e-6)
        assert np.all(sign * goals[:, 1] > -1e-6)
        assert abs(goals[:, 0].mean()) < 4 * np.sqrt(0.5 / 500)


def test_rotations_differ_and_the_goal_does_not():
    family = RotatedPointNavigation(max_angle=1.0)
    train, ood = (family.tasks(split).batch(500, key=KEY) for split in ("train", "ood"))
    assert np.all(np.abs(train.angle) <= 1.0)
    assert np.ptp(train.angle) > 1.9
    assert np.all(np.cos(ood.angle) < math.cos(1.0) + 1e-6)
    assert np.all(np.asarray(train.goal) == 0.5)
    assert np.array_equal(train.goal, ood.goal)


def test_splits_draw_differently():
    train, test = (PointNavigation().tasks(split).batch(8, key=KEY) for split in ("train", "test"))
    assert not np.any(train.goal == test.goal)


@pytest.fixture(scope="module")
def walk():
    """A random walk towards an easy goal: the family, its task, one stream of the trial."""
    family = PointNavigation(horizon=6, num_episodes=2)
    goal = task(0.2, 0.1)
    trial = run_trial(RandomLearner.for_spec(family.env.spec), None, family.env, goal, family.budget, key=KEY)
    return family, goal, jax.tree.map(lambda x: x[:, :, 0].reshape(-1, *x.shape[3:]), trial.trajectory)


def test_replay_tells_each_episode_from_its_start(walk):
    family, goal, stream = walk
    replay = json.loads(json.dumps(family.replay(goal, stream)))
    assert replay["kind"] == "plane"
    assert replay["start"] == [0.0, 0.0]
    assert replay["goal"] == [0.2, 0.1]
    assert replay["radius"] == 0.01
    low, high = replay["limits"]
    assert [len(e["points"]) for e in replay["episodes"]] == [7, 7]
    for episode in replay["episodes"]:
        points = np.asarray(episode["points"])
        assert np.array_equal(points[0], [0.0, 0.0])
        assert low < points.min()
        assert points.max() < high
        np.testing.assert_allclose(episode["rewards"], -np.square(points[1:] - [0.2, 0.1]).sum(1), atol=1e-4)


def test_replay_cuts_where_an_episode_ended_early(walk):
    family, goal, stream = walk
    ended = stream.terminated.at[1].set(True)
    episodes = family.replay(goal, stream._replace(terminated=ended))["episodes"]
    assert [len(e["rewards"]) for e in episodes] == [2, 4, 6]


def test_replay_leaves_room_for_the_goal_and_its_region(walk):
    _, _, stream = walk
    replay = SparsePointNavigation().replay(task(1.0, 0.0), stream)
    low, high = replay["limits"]
    assert -low == high > 1.2
    assert replay["radius"] == 0.2


def test_continuous_actions_are_announced():
    for family in FAMILIES:
        assert family.env.spec.num_actions is None
        assert family.env.spec.action.shape == (2,)
        assert family.budget.steps_per_stream == family.num_episodes * family.horizon
    assert isinstance(FAMILIES[0].env, PointEnv)


@pytest.mark.parametrize(
    ("family", "fields", "message"),
    [
        (PointNavigation, {"horizon": 0}, "horizon must be a whole number of at least 1, got 0"),
        (SparsePointNavigation, {"num_episodes": 0}, "num_episodes"),
        (SparsePointNavigation, {"radius": 1.5}, r"radius must lie between 0 and 1, got 1\.5"),
        (RotatedPointNavigation, {"max_angle": 4.0}, r"max_angle must lie between 0 and π, got 4\.0"),
    ],
)
def test_impossible_families_are_refused(family, fields, message):
    with pytest.raises(InvalidArgument, match=message):
        family(**fields)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_map_is_a_lattice_one_step_apart_that_covers_all_goals(family):
    obs, (low, high) = family.state_map()
    positions = np.asarray(obs)
    ticks = np.linspace(-1.2, 1.2, 25)
    np.testing.assert_allclose(positions[3, :, 0], ticks, atol=1e-5)
    np.testing.assert_allclose(positions[:, 3, 1], ticks, atol=1e-5)
    assert positions.shape == (25, 25, 2)
    # Cells reach half a step beyond the outer positions.
    np.testing.assert_allclose((low, high), (-1.25, 1.25))
    for split in ("test", "ood"):
        goals = family.tasks(split).batch(200, key=KEY).goal
        assert float(jnp.abs(goals).max()) + (family.env.reward_radius or 0.0) < 1.25
