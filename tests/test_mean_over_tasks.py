"""Work that has its own weights in every task, averaged over tasks, over devices and within a seed's device."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.parallel import map_seeds, mean_over_tasks

SHARED = {"w": jnp.linspace(-1, 1, 6).reshape(2, 3), "scale": jnp.asarray(2.0)}


def _work(shared, x, goal):
    """A gradient in the shared weights, and other things of a task."""
    value = lambda w: jnp.sum(jnp.tanh(w @ x) * goal) * shared["scale"]
    return {"gradient": jax.grad(value)(shared["w"]), "goal": goal, "value": value(shared["w"])}


def _tasks(num_tasks, *lead):
    """Weights that sum to 1, the first of them zero where there are several, and two arrays a task."""
    rng = np.random.default_rng(num_tasks)
    weight = rng.uniform(size=(*lead, num_tasks)) + 0.1
    weight[..., 0] *= num_tasks == 1
    weight /= weight.sum(-1, keepdims=True)
    arrays = weight, rng.normal(size=(*lead, num_tasks, 3)), rng.normal(size=(*lead, num_tasks, 2))
    return tuple(jnp.asarray(x, jnp.float32) for x in arrays)


def _reference(shared, weight, *tasks):
    each = jax.vmap(lambda *task: _work(shared, *task))(*tasks)
    return jax.tree.map(lambda x: jnp.tensordot(weight, x, 1), each)


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
def test_the_mean_equals_that_of_a_vmap(num_devices, num_tasks):
    tasks = _tasks(num_tasks)
    got = jax.jit(lambda *args: mean_over_tasks(_work, *args))(SHARED, *tasks)
    _assert_same(got, _reference(SHARED, *tasks))


@pytest.mark.parametrize("num_tasks", [3, 4])
@pytest.mark.parametrize("num_seeds", [1, 2, 3])
def test_the_means_of_mapped_seeds_equal_those_of_two_vmaps(num_devices, num_seeds, num_tasks):
    tasks = _tasks(num_tasks, num_seeds)
    shared = jax.tree.map(lambda w: jnp.stack([w * (seed + 1) for seed in range(num_seeds)]), SHARED)
    got = eqx.filter_jit(map_seeds(lambda shared, *tasks: mean_over_tasks(_work, shared, *tasks)))(shared, *tasks)
    _assert_same(got, jax.vmap(_reference)(shared, *tasks))


def test_weights_by_hand():
    times = lambda shared, x: shared * x
    got = jax.jit(lambda *args: mean_over_tasks(times, *args))
    weight = jnp.array([0.5, 0.0, 0.25, 0.25])
    np.testing.assert_allclose(got(jnp.asarray(2.0), weight, jnp.array([1.0, 100.0, 4.0, 8.0])), 2 * (0.5 + 1 + 2))
    # The weights are used as they are, whatever their sum.
    np.testing.assert_allclose(got(jnp.asarray(1.0), 4 * weight, jnp.ones(4)), 4)


@pytest.mark.parametrize("num_tasks", [3, 4])
def test_a_gradient_goes_through_to_what_is_shared(num_tasks):
    tasks = _tasks(num_tasks)
    total = lambda shared, mean: jnp.sum(mean(shared, *tasks)["gradient"] ** 2)
    mean = lambda *args: mean_over_tasks(_work, *args)
    got = jax.jit(jax.grad(lambda shared: total(shared, mean)))(SHARED)
    _assert_same(got, jax.jit(jax.grad(lambda shared: total(shared, _reference)))(SHARED))
