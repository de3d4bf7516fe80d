"""The compiled collector is `run_trial`, mapped."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from toys import CoinFlipper, Scripted, Staircase, arrays_of

from quickstudy.collect.graph import GraphCollector
from quickstudy.trial import run_trial
from quickstudy.types import Budget

COLLECTOR = GraphCollector(Staircase())
BUDGET = Budget(2, 3, 2)
TASKS = jnp.array([1.0, 10.0, 100.0])


def _assert_equal(one, other):
    for a, b in zip(arrays_of(one), arrays_of(other), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_batch_is_one_trial_a_task():
    key = jax.random.key(0)
    batch = COLLECTOR.collect(CoinFlipper(), None, TASKS, BUDGET, key=key)
    assert batch.trajectory.reward.shape == (3, 2, 3, 2)
    np.testing.assert_array_equal(batch.task, TASKS)
    one = eqx.filter_jit(run_trial)
    for i, k in enumerate(jax.random.split(key, 3)):
        expected = one(CoinFlipper(), None, COLLECTOR.env, TASKS[i], BUDGET, key=k)
        _assert_equal(jax.tree.map(lambda x, i=i: x[i], batch), expected)


def test_a_batch_goes_on_where_it_stopped():
    script = jnp.array([1, 0, 0, 1, 1])
    whole = COLLECTOR.collect(Scripted(), script, TASKS, BUDGET, key=jax.random.key(0))
    first = COLLECTOR.collect(Scripted(), script, TASKS, Budget(1, 3, 2), key=jax.random.key(1))
    rest = COLLECTOR.collect(Scripted(), script, TASKS, Budget(1, 3, 2), key=jax.random.key(2), start=first.final)
    _assert_equal(rest.final, whole.final)
    joined = jnp.concatenate([first.trajectory.reward, rest.trajectory.reward], axis=1)
    np.testing.assert_array_equal(joined, whole.trajectory.reward)


def test_seeds_are_independent_batches():
    scripts = jnp.array([[1, 1], [1, 0], [0, 0]])
    tasks = TASKS[None] + jnp.arange(3.0)[:, None]
    keys = jax.random.split(jax.random.key(0), 3)
    together = COLLECTOR.collect_seeds(Scripted(), scripts, tasks, BUDGET, key=keys)
    for i in range(3):
        alone = COLLECTOR.collect(Scripted(), scripts[i], tasks[i], BUDGET, key=keys[i])
        _assert_equal(jax.tree.map(lambda x, i=i: x[i], together), alone)


def test_the_spec_is_the_environments():
    assert COLLECTOR.spec == Staircase().spec
