"""Random tabular MDPs: the environment, the family, its splits and its replay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.envs.tabular import RandomMDP, TabularState
from quickstudy.errors import InvalidArgument
from quickstudy.planning.dynamic_programming import TabularMDP
from quickstudy.trial import run_trial

FAMILY = RandomMDP(num_states=4, num_actions=2, horizon=3, num_episodes=5)


def _steps(task, state: int, action: int, time: int = 0, num: int = 20_000):
    start = TabularState(jnp.int32(state), jnp.int32(time))
    step = lambda key: FAMILY.env.step(task, start, jnp.int32(action), key=key)
    return jax.jit(jax.vmap(step))(jax.random.split(jax.random.key(0), num))


def test_successors_and_rewards_follow_the_task():
    task = FAMILY.tasks("train").sample(key=jax.random.key(0))
    state, out = _steps(task, 2, 1)
    frequency = np.bincount(np.asarray(state.state), minlength=4) / 20_000
    p = np.asarray(task.transition[2, 1])
    np.testing.assert_allclose(frequency, p, atol=4 * np.sqrt(0.25 / 20_000))
    np.testing.assert_array_equal(out.obs, jax.nn.one_hot(state.state, 4))
    np.testing.assert_allclose(out.reward.mean(), task.reward[2, 1], atol=4 / np.sqrt(20_000))
    np.testing.assert_allclose(out.reward.std(), 1.0, rtol=0.03)


def test_impossible_successors_never_happen():
    transition = jnp.zeros((4, 2, 4)).at[..., 1].set(0.5).at[..., 3].set(0.5)
    state, _ = _steps(TabularMDP(transition, jnp.zeros((4, 2))), 0, 0)
    assert set(np.unique(state.state)) == {1, 3}


def test_episodes_begin_in_state_0_and_are_truncated_by_the_clock():
    task = FAMILY.tasks("train").sample(key=jax.random.key(0))
    state, obs = FAMILY.env.reset(task, key=jax.random.key(1))
    assert (int(state.state), int(state.time)) == (0, 0)
    np.testing.assert_array_equal(obs, [1.0, 0.0, 0.0, 0.0])
    assert not _steps(task, 0, 0, time=1, num=2)[1].truncated.any()
    assert _steps(task, 0, 0, time=2, num=2)[1].truncated.all()
    assert not _steps(task, 0, 0, time=2, num=2)[1].terminated.any()


def _stream(num_steps: int):
    task = FAMILY.tasks("test").sample(key=jax.random.key(0))
    budget = FAMILY.budget._replace(num_blocks=1, block_length=num_steps)
    trial = run_trial(RandomLearner(2), None, FAMILY.env, task, budget, key=jax.random.key(1))
    return task, jax.tree.map(lambda x: x.reshape(-1, *x.shape[3:]), trial.trajectory)


@pytest.mark.parametrize(("num_steps", "lengths"), [(15, [3] * 5), (8, [3, 3, 2]), (2, [2])])
def test_replay_is_plain_data_cut_into_episodes(num_steps, lengths):
    task, stream = _stream(num_steps)
    replay = FAMILY.replay(task, stream)
    assert (replay["kind"], replay["num_states"]) == ("states", 4)
    assert [len(episode["states"]) for episode in replay["episodes"]] == lengths
    joined = {name: [x for e in replay["episodes"] for x in e[name]] for name in ("states", "actions", "rewards")}
    assert joined["states"] == np.argmax(stream.timestep.obs, -1).tolist()
    assert joined["actions"] == stream.action.tolist()
    np.testing.assert_allclose(joined["rewards"], stream.reward, atol=1e-5)
    assert all(episode["states"][0] == 0 for episode in replay["episodes"])
    assert type(joined["actions"][0]) is int


def test_the_budget_holds_the_episodes():
    _, stream = _stream(FAMILY.budget.steps_per_stream)
    assert int(stream.truncated.sum()) == FAMILY.num_episodes == 5


def test_tasks_have_the_stated_distribution():
    tasks = FAMILY.tasks("train").batch(5_000, key=jax.random.key(0))
    np.testing.assert_allclose(tasks.transition.sum(-1), 1.0, rtol=1e-5)
    # A symmetric Dirichlet of S ones has variance (1 − 1/S) / (S (S + 1)).
    np.testing.assert_allclose(tasks.transition.var(), 0.75 / 20, rtol=0.02)
    np.testing.assert_allclose(tasks.reward.mean(), 1.0, atol=4 / np.sqrt(40_000))
    np.testing.assert_allclose(tasks.reward.std(), 1.0, rtol=0.02)


def test_out_of_distribution_actions_lead_to_fewer_states():
    tasks = FAMILY.tasks("ood").batch(5_000, key=jax.random.key(0))
    np.testing.assert_allclose(tasks.transition.sum(-1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(tasks.transition.var(), 0.25 * 0.75 / (4 * 0.2 + 1), rtol=0.02)


def test_splits_do_not_share_tasks():
    splits = [FAMILY.tasks(s).batch(100, key=jax.random.key(0)) for s in ("train", "validation", "test")]
    rewards = np.concatenate([tasks.reward.reshape(100, -1) for tasks in splits])
    assert len(np.unique(rewards, axis=0)) == 300


def test_optimal_return_of_a_task_that_can_be_read_off():
    # Action 1 in state 0 pays 2 and stays there; everything else pays nothing.
    stay = jnp.broadcast_to(jnp.eye(4)[:, None], (4, 2, 4))
    task = TabularMDP(stay, jnp.zeros((4, 2)).at[0, 1].set(2.0))
    assert float(FAMILY.optimal_return(task)) == 6.0


def test_yardsticks_run_from_random_to_the_known_mdp():
    names = [yardstick.name for yardstick in FAMILY.yardsticks()]
    assert names == ["random", "greedy", "PSRL", "BEB", "MDP known"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomMDP(num_states=1), "num_states must be a whole number of at least 2, got 1"),
        (lambda: RandomMDP(num_actions=0), "num_actions must be a whole number of at least 2, got 0"),
        (lambda: RandomMDP(horizon=0), "horizon must be a whole number of at least 1, got 0"),
        (lambda: RandomMDP(num_episodes=-1), "num_episodes must be a whole number of at least 1, got -1"),
    ],
)
def test_bad_values_are_refused(make, message):
    with pytest.raises(InvalidArgument, match=message):
        make()
