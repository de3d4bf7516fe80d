"""Trials whose blocks begin afresh, and what an evaluation reads of them."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import CoinFlipper, Scripted, Staircase, staircases

from quickstudy.collect.graph import GraphCollector
from quickstudy.errors import InvalidArgument
from quickstudy.evaluation import _last_episode, _returns, evaluate, summarize
from quickstudy.trial import run_trial
from quickstudy.types import Budget

TASK = jnp.asarray(10.0)
CLIMB, STAY = jnp.array([1]), jnp.array([0])


def _run(script, budget, *, learner=None, env=None, seed=0):
    learner = Scripted() if learner is None else learner
    env = Staircase() if env is None else env
    return eqx.filter_jit(run_trial)(learner, script, env, TASK, budget, key=jax.random.key(seed))


def _blocks(x):
    """``[B, T, 1]`` to ``[B, T]``."""
    return np.asarray(x)[..., 0].reshape(x.shape[:2])


def test_every_block_begins_an_episode_step_by_step():
    trajectory = _run(CLIMB, Budget(2, 3, fresh_blocks=True)).trajectory
    # Heights 0 → 1 → 2, the top; then anew, to 1, where the block ends.
    twice = lambda row: [row, row]
    np.testing.assert_array_equal(_blocks(trajectory.timestep.obs), twice([0, 1, 0]))
    np.testing.assert_array_equal(_blocks(trajectory.timestep.first), twice([True, False, True]))
    np.testing.assert_array_equal(_blocks(trajectory.next_obs), twice([1, 2, 1]))
    np.testing.assert_array_equal(_blocks(trajectory.reward), twice([10, 20, 10]))
    np.testing.assert_array_equal(_blocks(trajectory.terminated), twice([False, True, False]))
    np.testing.assert_array_equal(_blocks(trajectory.truncated), twice([False, False, True]))


def test_without_fresh_blocks_the_same_episode_goes_on():
    trajectory = _run(CLIMB, Budget(2, 3)).trajectory
    np.testing.assert_array_equal(_blocks(trajectory.timestep.obs), [[0, 1, 0], [1, 0, 1]])
    np.testing.assert_array_equal(_blocks(trajectory.truncated), [[False] * 3] * 2)


def test_a_last_step_that_terminates_is_not_truncated():
    trajectory = _run(CLIMB, Budget(2, 2, fresh_blocks=True)).trajectory
    np.testing.assert_array_equal(_blocks(trajectory.terminated), [[False, True]] * 2)
    np.testing.assert_array_equal(_blocks(trajectory.truncated), [[False, False]] * 2)


@pytest.mark.parametrize("length", [1, 2, 3, 5])
def test_random_play_ends_every_stream_with_its_block(length):
    trajectory = _run(None, Budget(3, length, 4, fresh_blocks=True), learner=CoinFlipper()).trajectory
    assert trajectory.timestep.first[:, 0].all()
    np.testing.assert_array_equal(trajectory.timestep.obs[:, 0], np.zeros((3, 4, 1)))
    last = np.asarray(trajectory.terminated | trajectory.truncated)
    assert last[:, -1].all()
    assert not np.asarray(trajectory.terminated & trajectory.truncated).any()
    # Within a block an episode begins where the one before it ended.
    np.testing.assert_array_equal(trajectory.timestep.first[:, 1:], last[:, :-1])


def test_the_agent_lives_on():
    trial = _run(CLIMB, Budget(3, 3, fresh_blocks=True))
    state, carry = trial.trajectory.aux
    np.testing.assert_array_equal(_blocks(state[..., None]), [[0] * 3, [1] * 3, [2] * 3])
    np.testing.assert_array_equal(np.ravel(carry), range(9))
    np.testing.assert_array_equal(trial.carry, [[0], [3], [6]])
    assert int(trial.final.state) == 3
    # It still knows its last action and reward.
    timestep = trial.trajectory.timestep
    np.testing.assert_array_equal(np.ravel(timestep.prev_action), [0] + [1] * 8)
    np.testing.assert_array_equal(np.ravel(timestep.prev_reward), [0, 10, 20, 10, 10, 20, 10, 10, 20])


def test_blocks_differ_in_their_randomness():
    actions = _run(None, Budget(2, 12, fresh_blocks=True), learner=CoinFlipper()).trajectory.action
    assert not np.array_equal(actions[0], actions[1])


# A block of seven steps of climbing holds episodes of returns 30, 30, 30 and one that its end cuts short, of 10; at
# rest it holds three of 0, two that the clock ends and one that the block does.
SEVEN = Budget(2, 7, fresh_blocks=True)


def _episode_returns(script, budget, num_episodes):
    lead = lambda tree: jax.tree.map(lambda x: x[None, None], tree)
    trajectory = lead(_run(script, budget).trajectory._replace(aux=None))
    return np.asarray(_returns(trajectory, budget, num_episodes))[0, 0]


@pytest.mark.parametrize(
    ("num_episodes", "expected"),
    [(2, [30, 30]), (4, [30, 30] * 2), (8, [30, 30, 30, 10] * 2), (10, [30, 30, 30, 10, np.nan] * 2)],
)
def test_of_every_block_its_share_of_episodes_counts(num_episodes, expected):
    np.testing.assert_array_equal(_episode_returns(CLIMB, SEVEN, num_episodes), expected)


def test_without_fresh_blocks_the_first_episodes_of_the_trial_count():
    # The policy climbs for seven steps and then rests.
    script = jnp.array([1] * 7 + [0] * 7)
    plain = SEVEN._replace(fresh_blocks=False)
    np.testing.assert_array_equal(_episode_returns(script, plain, 3), [30, 30, 30])
    np.testing.assert_array_equal(_episode_returns(script, SEVEN, 2), [30, 0])


def test_streams_that_completed_an_episode_are_averaged():
    budget = Budget(2, 3, 5, fresh_blocks=True)
    trajectory = _run(None, budget, learner=CoinFlipper()).trajectory
    got = _returns(jax.tree.map(lambda x: x[None, None], trajectory), budget, 2)
    reward, last = np.asarray(trajectory.reward), np.asarray(trajectory.terminated | trajectory.truncated)
    for block in range(2):
        first = [reward[block, : 1 + last[block, :, n].argmax(), n].sum() for n in range(5)]
        np.testing.assert_allclose(got[0, 0, block], np.mean(first), rtol=1e-6)


def _evaluate(budget, num_episodes):
    """One seed that climbs in its first six steps and rests in the next six."""
    script = jnp.array([[1] * 6 + [0] * 6])
    return evaluate(
        Scripted(),
        script,
        GraphCollector(Staircase()),
        staircases("test", 10.0, 20.0),
        budget,
        num_seeds=1,
        num_tasks=3,
        num_episodes=num_episodes,
        key=jax.random.key(0),
        num_replays=3,
    )


@pytest.fixture(scope="module")
def evaluation():
    return _evaluate(Budget(2, 6, fresh_blocks=True), 4)


def test_an_evaluation_counts_the_share_of_every_block(evaluation):
    task = np.asarray(evaluation.trials.task)
    assert evaluation.num_blocks == 2
    np.testing.assert_allclose(evaluation.adapted[0], task[:, None] * [3, 3, 0, 0], rtol=1e-6)


def test_the_shuffled_control_plays_its_last_block_in_another_task(evaluation):
    assert evaluation.shuffled.shape == evaluation.adapted.shape
    assert np.isnan(evaluation.shuffled[..., :-1]).all()
    # At rest every task pays nothing.
    np.testing.assert_array_equal(evaluation.shuffled[..., -1], np.zeros((1, 3)))


def test_a_summary_sums_the_episodes_of_each_block(evaluation):
    summary = summarize(evaluation)["adapted"]["per_block"]
    task = np.asarray(evaluation.trials.task)
    values = [estimate["value"] for estimate in summary["mean"]]
    np.testing.assert_allclose(values, [6 * task.mean(), 0], rtol=1e-6)
    assert len(summary["iqm"]) == 2


def test_episodes_that_do_not_divide_among_the_blocks_have_no_sums_per_block(evaluation):
    odd = eqx.tree_at(lambda e: e.num_blocks, evaluation, 3)
    assert "per_block" not in summarize(odd)["adapted"]
    assert len(summarize(eqx.tree_at(lambda e: e.num_blocks, evaluation, 4))["adapted"]["per_block"]["mean"]) == 4


@pytest.mark.parametrize(
    ("budget", "num_episodes", "before", "after"),
    [
        (Budget(4, 20), 4, (3, 20), (1, 20)),
        (Budget(4, 10), 2, (2, 10), (2, 10)),
        (Budget(2, 20), 8, (1, 20), (1, 20)),  # the last block holds whole episodes: all of it
        (Budget(1, 20), 4, (1, 15), (1, 5)),
    ],
    ids=["a block an episode", "an episode of blocks", "a block of episodes", "one block"],
)
def test_a_budget_is_cut_before_its_last_episode_or_block(budget, num_episodes, before, after):
    budget = budget._replace(num_streams=3, fresh_blocks=True)
    got = _last_episode(budget, num_episodes)
    assert [(part.num_blocks, part.block_length) for part in got] == [before, after]
    assert all((part.num_streams, part.fresh_blocks) == (3, True) for part in got)


def test_fewer_episodes_than_blocks_are_refused():
    # Episodes of four steps in fresh blocks of two: no block completes one, and none has a share.
    with pytest.raises(InvalidArgument, match="num_episodes"):
        _evaluate(Budget(4, 2, fresh_blocks=True), 2)
