"""Every method of the table, through the same properties."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from algorithms_table import BANDIT, METHODS, POINT, Method
from compile_counter import compilations
from toys import SelfSeeded, Staircase, arrays_of

from quickstudy.checkpoint import Checkpointer
from quickstudy.collect.graph import GraphCollector
from quickstudy.family import AbstractFamily
from quickstudy.meta import AbstractMetaAlgorithm
from quickstudy.train import TrainState, init_train_state, meta_train
from quickstudy.trial import filter_scan, run_trial
from quickstudy.types import Budget

NUM_SEEDS, NUM_TASKS, NUM_STEPS = 2, 4, 3


class Case(NamedTuple):
    """A method in a family, trained for a few steps."""

    method: Method
    family: AbstractFamily
    algorithm: AbstractMetaAlgorithm
    start: TrainState
    first: TrainState
    whole: TrainState
    metrics: list[dict[str, np.ndarray]]
    compiled: list[str]

    @property
    def collector(self):
        return GraphCollector(self.family.env)

    def train(self, state, *, num_steps=NUM_STEPS, on_step=None):
        budget, tasks = self.method.budgets(self.family).train, self.family.tasks("train")
        arguments = {"num_steps": num_steps, "num_tasks": NUM_TASKS, "key": jax.random.key(9)}
        return meta_train(self.algorithm, self.collector, tasks, budget, state=state, on_step=on_step, **arguments)

    def fresh(self, seed):
        return init_train_state(self.algorithm, self.collector, num_seeds=NUM_SEEDS, key=jax.random.key(seed))


CASES = [(method, family) for method in METHODS for family in method.families]


@pytest.fixture(scope="module", params=CASES, ids=[f"{m.name}, {type(f).__name__}" for m, f in CASES])
def case(request):
    method, family = request.param
    blank = Case(method, family, method.build(family), None, None, None, [], [])
    start = blank.fresh(0)
    first = blank.train(start, num_steps=1, on_step=lambda step, state, metrics: blank.metrics.append(metrics))
    with compilations() as compiled:
        whole = blank.train(first, on_step=lambda step, state, metrics: blank.metrics.append(metrics))
    yield blank._replace(start=start, first=first, whole=whole, compiled=compiled)
    if request.param_index % 8 == 0:  # programs hold memory maps, and Linux ends a process that wants 65,530 of them
        jax.clear_caches()


def _types(tree):
    """Shapes, dtypes and weak types of a pytree's arrays, and everything else as it is."""
    return jax.tree.map(lambda x: str(jax.typeof(x)) if eqx.is_array(x) else x, tree)


def _shapes(tree):
    """Shapes and dtypes of what are arrays, or stand for arrays."""
    return [(x.shape, x.dtype) for x in jax.tree.leaves(tree) if hasattr(x, "dtype")]


def _assert_equal(one, other, **tolerance):
    compare = np.testing.assert_allclose if tolerance else np.testing.assert_array_equal
    for a, b in zip(arrays_of(one), arrays_of(other), strict=True):
        compare(a, b, **tolerance)


def _differs(one, other):
    return any(not np.array_equal(a, b) for a, b in zip(arrays_of(one), arrays_of(other), strict=True))


def test_the_counter_counts():
    with compilations() as found:
        fresh = jax.jit(lambda x: x * 3 + 1)
        fresh(np.ones(7, np.float32))
    assert len(found) == 1
    with compilations() as found:
        fresh(np.ones(7, np.float32))
    assert found == []


def test_the_second_iteration_compiles_nothing(case):
    assert case.compiled == []


def test_training_keeps_the_structure_of_its_state(case):
    assert jax.tree.structure(case.start) == jax.tree.structure(case.whole)
    assert _types(case.start) == _types(case.first) == _types(case.whole)
    np.testing.assert_array_equal(case.whole.meta.step, [NUM_STEPS] * NUM_SEEDS)


def test_every_metric_is_one_number_a_seed(case):
    assert len(case.metrics) == NUM_STEPS
    assert {tuple(sorted(metrics)) for metrics in case.metrics} == {tuple(sorted(case.metrics[0]))}
    assert {value.shape for metrics in case.metrics for value in metrics.values()} == {(NUM_SEEDS,)}


def test_update_can_be_scanned(case):
    state = jax.tree.map(lambda x: x[0] if eqx.is_array(x) else x, case.start.meta)
    budget = case.method.budgets(case.family).train

    def train(state, keys):
        def step(state, key):
            k_tasks, k_collect, k_update = jax.random.split(key, 3)
            tasks = case.family.tasks("train").batch(NUM_TASKS, key=k_tasks)
            trials = case.collector.collect(case.algorithm.learner, state.params, tasks, budget, key=k_collect)
            return case.algorithm.update(state, trials, key=k_update)

        return filter_scan(step, state, keys)

    final, info = eqx.filter_eval_shape(train, state, jax.random.split(jax.random.key(0), 2))
    assert _shapes(final) == _shapes(state)
    assert all(leaf.shape == (2,) for leaf in jax.tree.leaves(info))


def test_the_learner_keeps_the_types_of_its_state_and_carry(case):
    spec, budget, learner = case.family.env.spec, case.method.budgets(case.family).train, case.algorithm.learner
    params = jax.tree.map(lambda x: x[0] if eqx.is_array(x) else x, case.start.meta.params)

    def one_block(key):
        task = case.family.tasks("train").sample(key=key)
        one = run_trial(learner, params, case.family.env, task, budget._replace(num_blocks=1), key=key)
        return learner.init(params, key=key), learner.init_carry(params), one

    state, carry, trial = eqx.filter_eval_shape(one_block, jax.random.key(0))
    assert _shapes(trial.final.state) == _shapes(state)
    assert _shapes(trial.final.carry) == [((budget.num_streams, *shape), dtype) for shape, dtype in _shapes(carry)]
    action = trial.trajectory.action
    assert action.shape == (1, budget.block_length, budget.num_streams, *spec.action.shape)
    assert action.dtype == spec.action.dtype


def test_the_same_key_gives_the_same_bits(case):
    metrics = []
    again = case.train(case.fresh(0), on_step=lambda step, state, m: metrics.append(m))
    _assert_equal(again, case.whole)
    _assert_equal(metrics, case.metrics)


def test_another_key_gives_another_run(case):
    metrics = []
    other = case.train(case.fresh(1), on_step=lambda step, state, m: metrics.append(m))
    assert _differs(metrics, case.metrics)
    if case.method.num_steps:
        assert _differs(other.meta.params, case.whole.meta.params)


def test_seeds_of_one_run_differ(case):
    assert any(metrics[name][0] != metrics[name][1] for metrics in case.metrics for name in metrics)


def test_a_seed_alone_is_the_same_run(case):
    alone = eqx.tree_at(
        lambda state: (state.meta, state.key),
        case.start,
        jax.tree.map(lambda x: x[1:] if eqx.is_array(x) else x, (case.start.meta, case.start.key)),
    )
    got = case.train(alone)
    expected = jax.tree.map(lambda x: x[1:] if eqx.is_array(x) else x, case.whole.meta)
    _assert_equal(got.meta, expected, rtol=1e-5, atol=1e-5)


def test_stopped_stored_and_resumed_equals_uninterrupted(case, tmp_path):
    with Checkpointer(tmp_path) as checkpointer:
        checkpointer.save(1, case.first)
    with Checkpointer(tmp_path) as checkpointer:
        restored = checkpointer.restore(case.fresh(5))
    with compilations() as compiled:
        resumed = case.train(restored)
    assert compiled == []
    _assert_equal(resumed, case.whole)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_stopped_trial_goes_on_as_if_it_had_not_stopped(method):
    env, task = Staircase(), jnp.asarray(0.2)
    if method.continuous:
        env, task = POINT.env, POINT.tasks("train").sample(key=jax.random.key(2))
    algorithm = method.build(BANDIT)
    params = algorithm.init(env.spec, key=jax.random.key(0)).params
    run = eqx.filter_jit(run_trial)

    def trial(num_blocks, start, seed):
        key = jax.random.key(seed)
        return run(SelfSeeded(algorithm.explorer), params, env, task, Budget(num_blocks, 2, 2), key=key, start=start)

    whole, before = trial(3, None, 0), trial(1, None, 0)
    after = trial(2, before.final, 1)
    joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), before.trajectory, after.trajectory)
    _assert_equal(joined, whole.trajectory, rtol=1e-6, atol=1e-6)
    _assert_equal(after.final, whole.final, rtol=1e-6, atol=1e-6)
    assert np.unique(whole.trajectory.action).size >= 2
