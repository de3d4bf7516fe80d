"""Seeds and tasks over devices."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.parallel import map_seeds, place_tasks


class _Affine(eqx.Module):
    weight: jax.Array
    activation: object


def _apply(layer, x, key):
    return layer, {"y": layer.activation(layer.weight * x), "noise": jax.random.normal(key), "nothing": None}


@pytest.mark.parametrize("num_seeds", [1, 2, 3, 5])
def test_mapped_seeds_equal_a_loop(num_seeds):
    assert jax.device_count() == 2
    layer = _Affine(jnp.arange(1.0, num_seeds + 1), jax.nn.tanh)
    x = jnp.linspace(-1, 1, num_seeds)
    keys = jax.random.split(jax.random.key(0), num_seeds)
    got_layer, got = eqx.filter_jit(map_seeds(_apply))(layer, x, keys)
    assert got_layer.activation is jax.nn.tanh
    assert got["nothing"] is None
    np.testing.assert_array_equal(got_layer.weight, layer.weight)
    for i in range(num_seeds):
        _, expected = _apply(_Affine(layer.weight[i], jax.nn.tanh), x[i], keys[i])
        np.testing.assert_allclose(got["y"][i], expected["y"], rtol=1e-6)
        np.testing.assert_array_equal(got["noise"][i], expected["noise"])


@pytest.mark.parametrize(
    ("num_seeds", "num_tasks", "spread"),
    [(1, 4, True), (1, 3, False), (2, 4, False), (5, 4, False)],
    ids=["by task", "odd tasks", "by seed", "many seeds"],
)
def test_tasks_are_spread_when_there_are_fewer_seeds_than_devices(num_seeds, num_tasks, spread):
    tasks = {"goal": jnp.arange(num_seeds * num_tasks * 2.0).reshape(num_seeds, num_tasks, 2)}
    placed = place_tasks(tasks, num_seeds)
    np.testing.assert_array_equal(placed["goal"], tasks["goal"])
    assert len(placed["goal"].devices()) == (2 if spread else 1)
    if spread:
        assert {shard.data.shape for shard in placed["goal"].addressable_shards} == {(1, num_tasks // 2, 2)}


def test_tasks_without_arrays_stay_where_they_are():
    assert place_tasks((), 1) == ()
