import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.envs.grid_geometry import MOVES, cell_of, distance, move, move_towards, one_hot_position
from quickstudy.envs.gridworld import GridEnv, GridNavigation
from quickstudy.errors import InvalidArgument
from quickstudy.trial import run_trial

KEY = jax.random.key(0)


def play(env, task, actions):
    state, obs = env.reset(task, key=KEY)
    cells, steps = [int(cell_of(obs))], []
    take = jax.jit(lambda state, action: env.step(task, state, action, key=KEY))
    for action in actions:
        state, step = take(state, jnp.asarray(action))
        cells.append(int(cell_of(step.obs)))
        steps.append(step)
    return cells, steps


def test_the_observation_is_two_coordinates_and_shows_every_cell():
    _, obs = GridNavigation().env.reset(jnp.asarray(2), key=KEY)
    np.testing.assert_array_equal(obs, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(one_hot_position(jnp.asarray(7), 5), [0, 0, 1, 0, 0, 0, 1, 0, 0, 0])
    cells = jnp.arange(25)
    np.testing.assert_array_equal(cell_of(jax.vmap(lambda cell: one_hot_position(cell, 5))(cells)), cells)


def test_walls_hold_the_agent_and_moves_are_as_numbered():
    cells, _ = play(GridNavigation().env, jnp.asarray(24), [3, 4, 0, 1, 2, 3, 4])
    assert cells == [0, 0, 0, 0, 5, 6, 1, 0]
    corner = move(jnp.asarray(24), jnp.asarray(2), 5)
    assert int(corner) == 24


def test_reward_is_judged_after_the_move_and_the_goal_does_not_end_the_episode():
    cells, steps = play(GridNavigation().env, jnp.asarray(2), [2, 2, 0, 2])
    assert cells == [0, 1, 2, 2, 3]
    np.testing.assert_allclose([float(s.reward) for s in steps], [-0.1, 1.0, 1.0, -0.1])
    assert not any(bool(s.terminated) for s in steps)


def test_the_clock_truncates_at_the_horizon_alone():
    _, steps = play(GridNavigation(horizon=3).env, jnp.asarray(24), [0, 0, 0])
    assert [bool(s.truncated) for s in steps] == [False, False, True]


def test_move_towards_takes_shortest_paths_and_both_ways_at_even_odds():
    keys = jax.random.split(KEY, 400)
    first = jax.vmap(lambda k: move_towards(jnp.asarray(0), jnp.asarray(12), 5, key=k))(keys)
    assert set(first.tolist()) == {1, 2}
    assert abs(float(jnp.mean(first == 1)) - 0.5) < 3 * 0.5 / 20
    cell, target = (x.ravel() for x in jnp.meshgrid(jnp.arange(25), jnp.arange(25)))
    action = jax.vmap(lambda c, t: move_towards(c, t, 5, key=KEY))(cell, target)
    after = jax.vmap(lambda c, a: move(c, a, 5))(cell, action)
    nearer = jnp.maximum(distance(cell, target, 5) - 1, 0)
    assert np.array_equal(distance(after, target, 5), nearer)


def test_goal_known_return_by_hand():
    env = GridNavigation().env
    values = jax.vmap(env.goal_known_return)(jnp.asarray([2, 24, 0]))
    np.testing.assert_allclose(values, [14 - 0.1, 8 - 0.7, 15.0], rtol=1e-6)
    out_of_reach = GridEnv(size=5, horizon=3, start=0, goal_reward=1.0, step_reward=-0.1)
    np.testing.assert_allclose(out_of_reach.goal_known_return(jnp.asarray(24)), -0.3, rtol=1e-6)


def test_shared_splits_hold_all_21_goals_and_ood_the_rest_of_the_block():
    family = GridNavigation()
    for split in ("train", "validation", "test"):
        goals = set(family.distribution(split).members.tolist())
        assert goals == set(range(25)) - {0, 1, 5, 6}
    assert set(family.distribution("ood").members.tolist()) == {1, 5, 6}


def test_disjoint_splits_partition_the_goals_the_same_way_every_time():
    family = GridNavigation(goals="disjoint")
    parts = [family.distribution(split).members.tolist() for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [13, 4, 4]
    assert sorted(np.concatenate(parts).tolist()) == sorted(set(range(25)) - {0, 1, 5, 6})
    assert parts[0] == GridNavigation(goals="disjoint").distribution("train").members.tolist()


def test_splits_of_shared_goals_draw_differently():
    family = GridNavigation()
    draws = [family.tasks(split).batch(64, key=KEY) for split in ("train", "test")]
    assert not np.array_equal(*draws)


def test_tasks_are_uniform():
    goals = GridNavigation().tasks("train").batch(21_000, key=KEY)
    counts = np.bincount(goals, minlength=25)
    assert counts[[0, 1, 5, 6]].sum() == 0
    assert np.abs(counts[counts > 0] - 1000).max() < 4.5 * np.sqrt(1000)


def test_yardsticks_run_from_the_floor_to_the_ceiling():
    names = [yardstick.name for yardstick in GridNavigation().yardsticks()]
    assert names == ["random", "PSRL", "posterior sampling, redrawn", "goal known", "Bayes-optimal"]
    assert GridNavigation(size=9).yardsticks()[-1].name == "goal known"


@pytest.fixture(scope="module")
def walk():
    """A random walk: the family, its task, the trial."""
    family, task = GridNavigation(horizon=5, num_episodes=2), jnp.asarray(24, jnp.int32)
    return family, task, run_trial(RandomLearner(5), None, family.env, task, family.budget, key=KEY)


def stream_of(trial, length):
    return jax.tree.map(lambda x: x[:, :, 0].reshape(-1, *x.shape[3:])[:length], trial.trajectory)


def test_the_budget_holds_the_episodes(walk):
    family, _, trial = walk
    assert trial.trajectory.reward.shape == (2, 5, 1)
    assert np.array_equal(np.asarray(trial.trajectory.truncated)[:, :, 0].sum(1), [1, 1])
    assert family.num_episodes == 2


def test_replay_tells_each_episode_with_its_first_cell(walk):
    family, task, trial = walk
    stream = stream_of(trial, 10)
    replay = json.loads(json.dumps(family.replay(task, stream)))
    assert (replay["kind"], replay["size"], replay["start"], replay["goal"]) == ("grid", 5, 0, 24)
    assert len(replay["episodes"]) == 2
    actions = np.asarray(stream.action).reshape(2, 5)
    for episode, taken in zip(replay["episodes"], actions, strict=True):
        assert episode["cells"] == play(family.env, task, taken)[0]
        assert episode["rewards"] == [1.0 if cell == 24 else -0.1 for cell in episode["cells"][1:]]


def test_replay_shows_an_unfinished_episode(walk):
    family, task, trial = walk
    assert [len(e["rewards"]) for e in family.replay(task, stream_of(trial, 7))["episodes"]] == [5, 2]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 2}, "size must be a whole number of at least 3, got 2"),
        ({"horizon": 0}, "horizon must be a whole number of at least 1, got 0"),
        ({"num_episodes": -1}, "num_episodes"),
    ],
)
def test_impossible_families_are_refused(fields, message):
    with pytest.raises(InvalidArgument, match=message):
        GridNavigation(**fields)


def test_moves_are_five():
    assert GridNavigation().env.spec.num_actions == len(MOVES) == 5
