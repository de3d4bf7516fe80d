import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.algorithms.baselines.key_door_search import KeyDoorSampling
from quickstudy.envs.darkroom import DarkKeyToDoor, DarkRoom, KeyDoor, KeyDoorEnv, KeyDoorState
from quickstudy.envs.grid_geometry import cell_of
from quickstudy.errors import InvalidArgument
from quickstudy.trial import run_trial

KEY = jax.random.key(0)


def key_door(key, door):
    return KeyDoor(jnp.asarray(key, jnp.int32), jnp.asarray(door, jnp.int32))


def test_dark_room_starts_in_the_middle_and_pays_on_the_goal_alone():
    env = DarkRoom().env
    state, obs = env.reset(jnp.asarray(41), key=KEY)
    assert int(cell_of(obs)) == 40
    rewards = []
    for action in (0, 2, 0, 2):
        state, step = env.step(jnp.asarray(41), state, jnp.asarray(action), key=KEY)
        rewards.append(float(step.reward))
    assert rewards == [0.0, 1.0, 1.0, 0.0]


def test_dark_room_goal_known_by_hand():
    # |dx| and |dy| each sum to 20 over nine cells, so distances sum to 9·20·2; the middle itself takes one step.
    family = DarkRoom()
    values = jax.vmap(family.env.goal_known_return)(jnp.arange(81))
    np.testing.assert_allclose(values.mean(), 21 - (360 + 1) / 81, rtol=1e-6)
    assert float(values[40]) == float(values[41]) == 20.0
    assert float(values[0]) == 13.0


def test_dark_room_splits_partition_all_81_goals():
    family = DarkRoom()
    parts = [family.distribution(split).members.tolist() for split in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [65, 8, 8]
    assert sorted(np.concatenate(parts).tolist()) == list(range(81))
    shared = DarkRoom(goals="shared")
    assert shared.distribution("train").members.tolist() == shared.distribution("test").members.tolist()


@pytest.mark.parametrize("family", [DarkRoom(), DarkKeyToDoor(size=3)])
def test_dark_rooms_leave_nothing_out_of_distribution(family):
    with pytest.raises(InvalidArgument, match="unknown split 'ood'"):
        family.distribution("ood")


def test_key_then_door_pay_once_each():
    env = KeyDoorEnv(size=3, horizon=9)
    task = key_door(1, 2)
    no = jnp.zeros((), bool)
    state = KeyDoorState(jnp.asarray(2, jnp.int32), jnp.zeros((), jnp.int32), no, no)
    rewards, truncated = [], []
    for action in (0, 4, 4, 2, 2, 0, 4, 2, 0):  # door without key; key; away; key again; door; stay; key; door; stay
        state, step = env.step(task, state, jnp.asarray(action), key=KEY)
        rewards.append(float(step.reward))
        truncated.append(bool(step.truncated))
    assert rewards == [0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert truncated == [False] * 8 + [True]


def test_key_and_door_in_one_cell_pay_at_once():
    env = KeyDoorEnv(size=3, horizon=5)
    no = jnp.zeros((), bool)
    state = KeyDoorState(jnp.asarray(0, jnp.int32), jnp.zeros((), jnp.int32), no, no)
    _, step = env.step(key_door(1, 1), state, jnp.asarray(2), key=KEY)
    assert float(step.reward) == 2.0


def test_key_to_door_starts_anywhere_and_shows_only_the_cell():
    env = DarkKeyToDoor(size=3).env
    _, obs = jax.vmap(lambda k: env.reset(key_door(0, 8), key=k))(jax.random.split(KEY, 900))
    counts = np.bincount(np.asarray(cell_of(obs)), minlength=9)
    assert obs.shape == (900, 6)
    assert np.abs(counts - 100).max() < 4 * np.sqrt(100)
    no = jnp.zeros((), bool)
    state = KeyDoorState(jnp.asarray(4, jnp.int32), jnp.zeros((), jnp.int32), no, no)
    with_key = state._replace(has_key=~no)
    seen = [env.step(key_door(0, 8), s, jnp.asarray(1), key=KEY)[1].obs for s in (state, with_key)]
    assert np.array_equal(*seen)


def test_key_to_door_has_81_squared_tasks():
    family = DarkKeyToDoor()
    sizes = [len(family.distribution(split)) for split in ("train", "validation", "test")]
    assert sum(sizes) == 81**2
    assert len(DarkKeyToDoor(goals="shared").distribution("test")) == 81**2
    task = family.tasks("test").sample(key=KEY)
    assert 0 <= int(task.key) < 81
    assert 0 <= int(task.door) < 81


def test_key_to_door_goal_known_by_hand():
    # 3×3, key in the middle, door in the corner, 3 steps. To the key: corners 2, edges 1, the middle 1 (it has to
    # stay); the door is 2 further: in time from edges and middle alone, 5 of 9. The key is in time from everywhere.
    np.testing.assert_allclose(KeyDoorEnv(3, 3).goal_known_return(key_door(4, 0)), 1 + 5 / 9, rtol=1e-6)
    tasks = DarkKeyToDoor().tasks("test").batch(16, key=KEY)
    np.testing.assert_array_equal(jax.vmap(DarkKeyToDoor().env.goal_known_return)(tasks), 2.0)


@pytest.fixture(scope="module")
def searches():
    """What the searcher does in every task of a small room: the family, the tasks, the trials."""
    family = DarkKeyToDoor(size=3, horizon=12, num_episodes=10, goals="shared")
    tasks = family.distribution("test").members
    run = lambda task, key: run_trial(KeyDoorSampling(3), None, family.env, task, family.budget, key=key)
    return family, tasks, jax.jit(jax.vmap(run))(tasks, jax.random.split(KEY, 81))


def test_the_key_to_door_searcher_ends_up_going_straight_to_both(searches):
    _, _, trials = searches
    returns = np.asarray(trials.trajectory.reward)[..., 0].sum(-1)
    # Each episode looks into at least one more cell until both are known, and straight to both takes at most 8 steps.
    assert returns.max() == 2.0
    assert np.all(returns[:, -1] == 2.0)
    assert returns[:, 0].mean() < 1.8


def test_the_key_to_door_searcher_knows_what_it_found_and_nothing_else(searches):
    _, tasks, trials = searches
    carry = trials.final.carry
    assert np.array_equal(carry.key.possible[:, 0], jax.nn.one_hot(tasks.key, 9))
    assert np.array_equal(carry.door.possible[:, 0], jax.nn.one_hot(tasks.door, 9))


def test_replays_mark_what_is_hidden(searches):
    family, tasks, trials = searches
    task, trajectory = jax.tree.map(lambda x: x[14], (tasks, trials.trajectory))  # 14 = 1 · 9 + 5
    stream = jax.tree.map(lambda x: x[:, :, 0].reshape(-1, *x.shape[3:]), trajectory)
    replay = json.loads(json.dumps(family.replay(task, stream)))
    assert replay["marks"] == [{"cell": 1, "label": "key"}, {"cell": 5, "label": "door"}]
    assert "goal" not in replay
    assert [len(e["cells"]) for e in replay["episodes"]] == [13] * 10
    assert sum(replay["episodes"][-1]["rewards"]) == 2.0
    room = DarkRoom(size=3).replay(jnp.asarray(8, jnp.int32), stream)
    assert (room["start"], room["goal"]) == (4, 8)


def test_yardsticks_run_from_the_floor_to_the_ceiling():
    names = [yardstick.name for yardstick in DarkRoom().yardsticks()]
    assert names == ["random", "PSRL", "posterior sampling, redrawn", "goal known"]
    assert DarkRoom(size=3, horizon=6, num_episodes=3).yardsticks()[-1].name == "Bayes-optimal"
    assert [y.name for y in DarkKeyToDoor().yardsticks()] == ["random", "posterior sampling, redrawn", "goal known"]


@pytest.mark.parametrize("family", [DarkRoom, DarkKeyToDoor])
def test_impossible_rooms_are_refused(family):
    with pytest.raises(InvalidArgument, match="size must be a whole number of at least 3, got 1"):
        family(size=1)
    with pytest.raises(InvalidArgument, match="horizon"):
        family(horizon=0)


def test_the_map_shows_every_cell_where_a_replay_draws_it():
    room = DarkRoom(size=3)
    obs, limits = room.state_map()
    assert limits == (0.0, 3.0)
    # Rows along y, columns along x: cell 5 is at x = 2, y = 1.
    np.testing.assert_array_equal(obs[1, 2], [0, 0, 1, 0, 1, 0])
    np.testing.assert_array_equal(cell_of(obs), np.arange(9).reshape(3, 3))
