"""Meta-training, with an algorithm that only adds up."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import Staircase, Tally, arrays_of, staircases

from quickstudy.collect.graph import GraphCollector
from quickstudy.errors import InvalidArgument, NonFinite
from quickstudy.train import init_train_state, meta_train, training_returns
from quickstudy.types import Budget, TimeStep, Trajectory

COLLECTOR = GraphCollector(Staircase())
BUDGET = Budget(2, 3)
TALLY = Tally()


def _train(algorithm=TALLY, tasks=None, budget=BUDGET, *, num_steps=4, num_tasks=3, **rest):
    tasks = staircases() if tasks is None else tasks
    arguments = {"key": jax.random.key(0), "num_seeds": 2} | rest
    return meta_train(algorithm, COLLECTOR, tasks, budget, num_steps=num_steps, num_tasks=num_tasks, **arguments)


def _assert_equal(one, other):
    for a, b in zip(arrays_of(one), arrays_of(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_every_step_is_reported_once_and_in_order():
    seen = []
    final = _train(on_step=lambda step, state, metrics: seen.append((step, state, metrics)))
    assert [step for step, _, _ in seen] == [1, 2, 3, 4]
    assert [int(state.step) for _, state, _ in seen] == [1, 2, 3, 4]
    assert final is seen[-1][1]
    for _, _, metrics in seen:
        assert set(metrics) == {"loss", "return_total", "return_first", "return_last"}
        assert {value.shape for value in metrics.values()} == {(2,)}
        assert all(type(value) is np.ndarray for value in metrics.values())
    np.testing.assert_array_equal(final.meta.step, [4, 4])


def test_steps_and_seeds_draw_fresh_randomness():
    totals = []
    _train(on_step=lambda step, state, metrics: totals.append(np.asarray(state.meta.params[0])))
    increments = np.diff(totals, axis=0, prepend=0)
    assert np.unique(increments).size == increments.size


def test_training_goes_on_where_it_stopped():
    whole = _train()
    resumed = _train(state=_train(num_steps=1), key=jax.random.key(99), num_seeds=7)
    _assert_equal(whole, resumed)


def test_a_finished_training_is_left_alone():
    state = _train()
    seen = []
    again = _train(num_steps=2, state=state, on_step=lambda *call: seen.append(call))
    assert again is state
    assert seen == []


def test_a_seed_alone_is_the_same_run():
    start = init_train_state(TALLY, COLLECTOR, num_seeds=3, key=jax.random.key(0))
    whole = _train(state=start)
    for i in range(3):
        part = eqx.tree_at(
            lambda s: (s.meta, s.key), start, jax.tree.map(lambda x, i=i: x[i : i + 1], (start.meta, start.key))
        )
        alone = _train(state=part)
        for a, b in zip(arrays_of(whole.meta), arrays_of(alone.meta), strict=True):
            np.testing.assert_allclose(a[i : i + 1], b, rtol=1e-6)


def test_a_number_that_is_not_finite_stops_training_and_is_named():
    start = init_train_state(TALLY, COLLECTOR, num_seeds=2, key=jax.random.key(0))
    start = eqx.tree_at(lambda s: s.meta.params[1], start, jnp.array([5.0, 6.0]))
    steps = []
    with pytest.raises(NonFinite, match="meta-update 3: loss of seed 1 is nan"):
        _train(Tally(poisoned_step=2, poisoned_label=6.0), state=start, on_step=lambda step, *_: steps.append(step))
    assert steps == [1, 2]


def test_a_number_that_is_not_finite_is_noticed_in_the_last_step_too():
    start = init_train_state(TALLY, COLLECTOR, num_seeds=1, key=jax.random.key(0))
    start = eqx.tree_at(lambda s: s.meta.params[1], start, jnp.array([5.0]))
    with pytest.raises(NonFinite, match="meta-update 4: loss of seed 0"):
        _train(Tally(poisoned_step=3, poisoned_label=5.0), state=start)


@pytest.mark.parametrize("split", ["validation", "test", "ood"])
def test_only_the_training_split_is_trained_on(split):
    with pytest.raises(InvalidArgument, match=f"{split}.*'train' split"):
        _train(tasks=staircases(split))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("num_steps", {"num_steps": 0}),
        ("num_tasks", {"num_tasks": -1}),
        ("num_seeds", {"num_seeds": 0}),
        ("num_blocks", {"budget": Budget(0, 3)}),
        ("block_length", {"budget": Budget(2, 0)}),
        ("num_streams", {"budget": Budget(2, 3, 0)}),
    ],
)
def test_counts_below_one_are_refused(name, arguments):
    with pytest.raises(InvalidArgument, match=f"{name} must be a whole number of at least 1"):
        _train(**arguments)


def _trajectory(reward, last):
    """One stream of each task, ``[K, L]``, as one block."""
    reward, last = jnp.asarray(reward)[:, None, :, None], jnp.asarray(last, bool)[:, None, :, None]
    none = jnp.zeros_like(last)
    return Trajectory(TimeStep(reward, reward, reward, none), reward, reward, reward, last, none, None)


def test_returns_of_first_and_last_completed_episode_by_hand():
    reward = [[1.0, 2.0, 4.0, 8.0], [16.0, 32.0, 64.0, 128.0]]
    got = training_returns(_trajectory(reward, [[0, 1, 1, 0], [0, 0, 1, 0]]))
    assert float(got["return_total"]) == (15 + 240) / 2
    assert float(got["return_first"]) == (3 + 112) / 2
    assert float(got["return_last"]) == (4 + 112) / 2


def test_streams_without_a_completed_episode_do_not_count():
    reward = [[1.0, 2.0], [4.0, 8.0]]
    got = training_returns(_trajectory(reward, [[0, 1], [0, 0]]))
    assert float(got["return_first"]) == float(got["return_last"]) == 3
    nowhere = training_returns(_trajectory(reward, [[0, 0], [0, 0]]))
    assert np.isnan(nowhere["return_first"])
    assert np.isnan(nowhere["return_last"])
    assert float(nowhere["return_total"]) == 7.5
