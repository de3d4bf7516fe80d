"""Work that has its own weights in every task, over devices and within a seed's device."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.parallel import map_seeds, map_tasks

SHARED = {"w": jnp.linspace(-1, 1, 6).reshape(2, 3), "scale": jnp.asarray(2.0)}


def _work(shared, x, task):
    """A gradient in the shared weights, and other things of a task."""
    value = lambda w: jnp.sum(jnp.tanh(w @ x) * task["goal"]) * shared["scale"]
    return {"gradient": jax.grad(value)(shared["w"]), "goal": task["goal"], "label": task["label"] + 1}


def _tasks(num_tasks, *lead):
    rng = np.random.default_rng(num_tasks)
    x = jnp.asarray(rng.normal(size=(*lead, num_tasks, 3)), jnp.float32)
    goal = jnp.asarray(rng.normal(size=(*lead, num_tasks, 2)), jnp.float32)
    return x, {"goal": goal, "label": jnp.broadcast_to(jnp.arange(num_tasks), (*lead, num_tasks))}


def _assert_same(got, expected):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


@pytest.fixture(params=[1, 2], ids=["one device", "two devices"])
def num_devices(request, monkeypatch):
    assert jax.device_count() == 2
    if request.param == 1:
        monkeypatch.setattr(jax, "device_count", lambda: 1)
    return request.param


@pytest.mark.parametrize("num_tasks", [1, 2, 3, 4])
def test_mapped_tasks_equal_a_vmap(num_devices, num_tasks):
    x, task = _tasks(num_tasks)
    got = jax.jit(lambda *args: map_tasks(_work, *args))(SHARED, x, task)
    _assert_same(got, jax.vmap(lambda *task: _work(SHARED, *task))(x, task))


@pytest.mark.parametrize("num_tasks", [3, 4])
@pytest.mark.parametrize("num_seeds", [1, 2, 3])
def test_mapped_tasks_of_mapped_seeds_equal_two_vmaps(num_devices, num_seeds, num_tasks):
    x, task = _tasks(num_tasks, num_seeds)
    shared = jax.tree.map(lambda w: jnp.stack([w * (seed + 1) for seed in range(num_seeds)]), SHARED)
    got = eqx.filter_jit(map_seeds(lambda shared, *tasks: map_tasks(_work, shared, *tasks)))(shared, x, task)
    _assert_same(got, jax.vmap(jax.vmap(_work, (None, 0, 0)))(shared, x, task))


def test_devices_share_the_tasks_that_divide_among_them():
    x, task = _tasks(4)
    got = jax.jit(lambda *args: map_tasks(_work, *args))(SHARED, x, task)["gradient"]
    assert [shard.data.shape for shard in got.addressable_shards] == [(2, 2, 3)] * 2
    odd = jax.jit(lambda *args: map_tasks(_work, *args))(SHARED, *_tasks(3))["gradient"]
    assert {shard.data.shape for shard in odd.addressable_shards} == {(3, 2, 3)}


def test_a_gradient_goes_through_to_what_is_shared():
    x, task = _tasks(4)
    total = lambda shared, mapped: jnp.sum(mapped(shared)["gradient"] ** 2)
    by_map = jax.jit(jax.grad(lambda s: total(s, lambda s: map_tasks(_work, s, x, task))))(SHARED)
    by_vmap = jax.grad(lambda s: total(s, lambda s: jax.vmap(lambda *task: _work(s, *task))(x, task)))(SHARED)
    _assert_same(by_map, by_vmap)
