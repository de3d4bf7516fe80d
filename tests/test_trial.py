"""The engine, on an environment whose every number is known."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import CoinFlipper, Scripted, Staircase, arrays_of

from quickstudy.errors import InvalidArgument
from quickstudy.trial import filter_scan, run_trial
from quickstudy.types import Budget

TASK = jnp.asarray(10.0)
CLIMB, STAY = jnp.array([1]), jnp.array([0])


def _run(script, budget, *, start=None, learner=None, task=TASK, seed=0):
    learner = Scripted() if learner is None else learner
    key = jax.random.key(seed)
    return eqx.filter_jit(run_trial)(learner, script, Staircase(), task, Budget(*budget), key=key, start=start)


def _flat(x):
    """``[B, T, 1]`` to ``[L]``."""
    return np.asarray(x).reshape(-1)


def test_a_terminated_episode_step_by_step():
    trajectory = _run(CLIMB, (1, 4)).trajectory
    # Heights 0 → 1 → 2, the top; then anew.
    np.testing.assert_array_equal(_flat(trajectory.timestep.obs), [0, 1, 0, 1])
    np.testing.assert_array_equal(_flat(trajectory.next_obs), [1, 2, 1, 2])
    np.testing.assert_array_equal(_flat(trajectory.reward), [10, 20, 10, 20])
    np.testing.assert_array_equal(_flat(trajectory.terminated), [False, True, False, True])
    np.testing.assert_array_equal(_flat(trajectory.truncated), [False] * 4)
    np.testing.assert_array_equal(_flat(trajectory.timestep.first), [True, False, True, False])


def test_a_truncated_episode_step_by_step():
    trajectory = _run(STAY, (1, 4)).trajectory
    np.testing.assert_array_equal(_flat(trajectory.terminated), [False] * 4)
    np.testing.assert_array_equal(_flat(trajectory.truncated), [False, False, True, False])
    np.testing.assert_array_equal(_flat(trajectory.timestep.first), [True, False, False, True])


def test_previous_action_and_reward_cross_the_border_of_an_episode():
    timestep = _run(CLIMB, (1, 4)).trajectory.timestep
    np.testing.assert_array_equal(_flat(timestep.prev_action), [0, 1, 1, 1])
    np.testing.assert_array_equal(_flat(timestep.prev_reward), [0, 10, 20, 10])


def test_the_carry_survives_episodes_and_blocks_and_the_state_changes_between_blocks_only():
    trial = _run(CLIMB, (3, 3))
    state, carry = trial.trajectory.aux
    np.testing.assert_array_equal(_flat(carry), range(9))
    np.testing.assert_array_equal(_flat(state), [0, 0, 0, 1, 1, 1, 2, 2, 2])
    np.testing.assert_array_equal(trial.carry, [[0], [3], [6]])
    np.testing.assert_array_equal(trial.info["reward"], [40, 50, 40])
    assert int(trial.final.state) == 3
    np.testing.assert_array_equal(trial.final.carry, [9])


def test_the_snapshot_shows_what_comes_next():
    final = _run(CLIMB, (1, 3)).final
    np.testing.assert_array_equal(final.timestep.obs, [[1]])
    np.testing.assert_array_equal(final.timestep.prev_reward, [10])
    np.testing.assert_array_equal(final.timestep.first, [False])
    height, time = final.env_state
    np.testing.assert_array_equal(height, [1])
    np.testing.assert_array_equal(time, [1])


def test_streams_share_the_state_and_keep_a_carry_each():
    trial = _run(None, (2, 8, 5), learner=CoinFlipper())
    assert trial.trajectory.action.shape == (2, 8, 5)
    assert trial.trajectory.timestep.obs.shape == (2, 8, 5, 1)
    streams = np.asarray(trial.trajectory.action).reshape(16, 5).T
    assert len({tuple(stream) for stream in streams}) == 5
    shared = _run(CLIMB, (2, 3, 4))
    assert shared.final.state.shape == ()
    np.testing.assert_array_equal(shared.final.carry, [6] * 4)
    np.testing.assert_array_equal(shared.info["reward"], [4 * 40, 4 * 50])


@pytest.mark.parametrize("blocks", [1, 2, 3])
def test_a_stopped_trial_goes_on_as_if_it_had_not_stopped(blocks):
    whole = _run(jnp.array([1, 0, 0, 1, 1]), (4, 4, 2))
    before = _run(jnp.array([1, 0, 0, 1, 1]), (blocks, 4, 2))
    after = _run(jnp.array([1, 0, 0, 1, 1]), (4 - blocks, 4, 2), start=before.final, seed=1)
    for part in ("trajectory", "carry", "info"):
        joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), getattr(before, part), getattr(after, part))
        for expected, got in zip(arrays_of(getattr(whole, part)), arrays_of(joined), strict=True):
            np.testing.assert_array_equal(got, expected)
    for expected, got in zip(arrays_of(whole.final), arrays_of(after.final), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_without_an_environment_state_the_agent_lives_on_in_a_new_episode():
    before = _run(CLIMB, (1, 3)).final
    after = _run(CLIMB, (1, 2), start=before._replace(env_state=None), task=jnp.asarray(100.0)).trajectory
    np.testing.assert_array_equal(_flat(after.timestep.obs), [0, 1])
    np.testing.assert_array_equal(_flat(after.timestep.first), [True, False])
    np.testing.assert_array_equal(_flat(after.timestep.prev_reward), [10, 100])
    state, carry = after.aux
    np.testing.assert_array_equal(_flat(state), [1, 1])
    np.testing.assert_array_equal(_flat(carry), [3, 4])


def test_a_longer_trial_begins_as_a_shorter_one():
    long = _run(None, (3, 4), learner=CoinFlipper()).trajectory.action
    short = _run(None, (2, 4), learner=CoinFlipper()).trajectory.action
    np.testing.assert_array_equal(long[:2], short)


def test_filter_scan_carries_what_is_no_array():
    final, outputs = filter_scan(
        lambda carry, x: ((carry[0] + x, carry[1]), {"sum": carry[0], "name": carry[1]}),
        (jnp.asarray(0), "constant"),
        jnp.arange(1, 5),
    )
    assert final == (10, "constant")
    assert outputs["name"] == "constant"
    np.testing.assert_array_equal(outputs["sum"], [0, 1, 3, 6])


def test_filter_scan_refuses_a_changed_constant():
    with pytest.raises(InvalidArgument, match="non-array leaf"):
        filter_scan(lambda carry, x: ((carry[0] + x, carry[1] + "!"), None), (jnp.asarray(0), "a"), jnp.arange(3))
