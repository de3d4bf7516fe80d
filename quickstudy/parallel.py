"""The one file that knows about devices.

On a CPU machine every core becomes one JAX device (threads inside one small operation cost more than they give), and
compiled programs are kept in a persistent cache. Both happen when this module is imported, before JAX starts its
backend, and both yield to what the user has set.

Two ways to use several devices, chosen by `map_seeds` and `place_tasks`:

- training seeds side by side, one device each, with nothing to communicate: whenever there are at least as many
  seeds as devices;
- otherwise the task axis K is sharded, parameters are replicated, and the mean over tasks becomes an all-reduce.
"""

import contextlib
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array, Float, PyTree


def configure_runtime() -> None:
    """Split the host into one device a core and switch the persistent compilation cache on, unless already set."""
    config, environment = jax.config, os.environ
    chosen = "xla_force_host_platform_device_count" in environment.get("XLA_FLAGS", "")
    if not chosen and config.values["jax_num_cpu_devices"] < 1:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        # A program that has used JAX already keeps the devices it has.
        with contextlib.suppress(RuntimeError):
            config.update("jax_num_cpu_devices", cores)
    if config.values["jax_compilation_cache_dir"] is None:
        cache = Path(environment.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "quickstudy" / "xla"
        config.update("jax_compilation_cache_dir", str(cache))
        config.update("jax_persistent_cache_min_compile_time_secs", 0.2)


configure_runtime()


def mesh(axis: str) -> Mesh:
    """All devices along one axis, ``"seed"`` or ``"task"``."""
    return jax.make_mesh((jax.device_count(),), (axis,), axis_types=(AxisType.Auto,))


def map_seeds(fn: Callable[..., PyTree]) -> Callable[..., PyTree]:
    """Map ``fn`` over the leading S axis of every array in its arguments; other leaves are shared.

    With at least as many seeds as devices each device runs its own share, without communication (a share that does
    not come out even is filled up with repeated seeds, whose results are dropped). On a CPU a device runs its seeds
    one after the other, which keeps the working set in its cache; an accelerator runs them as one batch.
    """

    def mapped(*args: Any) -> PyTree:
        arrays, static = eqx.partition(args, eqx.is_array)
        num_seeds = jax.tree.leaves(arrays)[0].shape[0]
        out_static: PyTree = None

        def one(arrays: PyTree) -> PyTree:
            nonlocal out_static
            out, out_static = eqx.partition(fn(*eqx.combine(arrays, static)), eqx.is_array)
            return out

        several: Callable[[PyTree], PyTree] = jax.vmap(one)
        if jax.default_backend() == "cpu":
            several = lambda arrays: jax.lax.map(one, arrays)
        out = _across_devices(several, num_seeds)(arrays)
        return eqx.combine(out, out_static)

    return mapped


def _across_devices(several: Callable[[PyTree], PyTree], num_seeds: int) -> Callable[[PyTree], PyTree]:
    num_devices = jax.device_count()
    if num_devices == 1 or num_seeds < num_devices:
        return several
    order = jnp.arange(math.ceil(num_seeds / num_devices) * num_devices) % num_seeds
    even = len(order) == num_seeds
    seeds = PartitionSpec("seed")
    sharded = jax.shard_map(several, mesh=mesh("seed"), in_specs=(seeds,), out_specs=seeds, check_vma=False)

    def run(arrays: PyTree) -> PyTree:
        if even:
            return sharded(arrays)
        out = sharded(jax.tree.map(lambda x: x[order], arrays))
        return jax.tree.map(lambda x: x[:num_seeds], out)

    return run


def mean_over_tasks(fn: Callable[..., PyTree], shared: PyTree, weight: Float[Array, " K"], *batched: PyTree) -> PyTree:
    """``Σ_k weight_k · fn(shared, *batched_k)`` over the leading K axis of ``batched``; all leaves are arrays.

    For work that has weights of its own in every task, such as gradients through inner steps: on a CPU a device takes
    its tasks one after the other and adds up as it goes, because XLA's batched matrix products there are several times
    slower than single ones. Devices that are not taken by seeds share the tasks, if K is a multiple of their number.
    """
    num_tasks = weight.shape[0]

    def one(shared: PyTree, weight: Array, task: PyTree) -> PyTree:
        return jax.tree.map(lambda x: weight * x, fn(shared, *task))

    def one_by_one(shared: PyTree, weight: Array, batched: PyTree) -> PyTree:
        def step(total: PyTree, task: PyTree) -> tuple[PyTree, None]:
            return jax.tree.map(jnp.add, total, one(shared, *task)), None

        first = jax.tree.map(lambda x: x[0], (weight, batched))
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(one, shared, *first))
        return jax.lax.scan(step, zeros, (weight, batched))[0]

    def at_once(shared: PyTree, weight: Array, batched: PyTree) -> PyTree:
        return jax.tree.map(lambda x: x.sum(0), jax.vmap(one, (None, 0, 0))(shared, weight, batched))

    several = one_by_one if jax.default_backend() == "cpu" else at_once
    taken = jax.sharding.get_abstract_mesh().manual_axes
    if taken or jax.device_count() == 1 or num_tasks % jax.device_count():
        return several(shared, weight, batched)
    part, whole = PartitionSpec("task"), PartitionSpec()
    shares = jax.shard_map(
        lambda *xs: jax.lax.psum(several(*xs), "task"),
        mesh=mesh("task"),
        in_specs=(whole, part, part),
        out_specs=whole,
        check_vma=False,
    )
    return shares(shared, weight, batched)


def place_seeds(tree: PyTree, num_seeds: int) -> PyTree:
    """Lay arrays ``[S, ...]`` out as `map_seeds` returns them, inside a compiled function and outside.

    A state that is placed so before the first meta-update meets the second one in the same layout: one program.
    """
    even = num_seeds % jax.device_count() == 0
    return eqx.filter_shard(tree, NamedSharding(mesh("seed"), PartitionSpec("seed") if even else PartitionSpec()))


def place_tasks(tasks: PyTree, num_seeds: int) -> PyTree:
    """Spread tasks ``[S, K, ...]`` over the devices: by seed if there are enough seeds, else by task if K is even."""
    num_devices = jax.device_count()
    leaves = jax.tree.leaves(tasks)
    if num_devices == 1 or num_seeds >= num_devices or not leaves or leaves[0].shape[1] % num_devices:
        return tasks
    return jax.device_put(tasks, NamedSharding(mesh("task"), PartitionSpec(None, "task")))


def to_default_device(tree: PyTree) -> PyTree:
    """Arrays on one device and bound to none, so that results computed from them can join any layout later."""

    def one(x: Any) -> Any:
        if not isinstance(x, jax.Array) or not x.committed:
            return x
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(
                jnp.asarray(np.asarray(jax.random.key_data(x))), impl=jax.random.key_impl(x)
            )
        return jnp.asarray(np.asarray(x))

    return jax.tree.map(one, tree)
