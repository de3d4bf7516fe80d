"""A learner's functions, compiled for a loop on the host: one `act` a step over [K, N], one `update` a block over K.

`run_trial` compiles a whole trial; where the environment is not compiled, these are what remains of it. They draw their
keys exactly as `run_trial` does, so that both give the same trial when the environment is deterministic.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree, UInt32

from quickstudy.learner import AbstractLearner
from quickstudy.types import Budget, Info, TimeStep, Trajectory


class Static(NamedTuple):
    """The non-array part of a pytree, hashable."""

    structure: Any
    leaves: tuple[Any, ...]

    def join(self, arrays: PyTree) -> PyTree:
        """The whole pytree."""
        return eqx.combine(arrays, jax.tree.unflatten(self.structure, self.leaves))


def split_static(tree: PyTree) -> tuple[PyTree, Static]:
    """The arrays of a pytree, and the rest."""
    arrays, static = eqx.partition(tree, lambda x: isinstance(x, jax.Array | np.ndarray))
    leaves, structure = jax.tree.flatten(static)
    return arrays, Static(structure, tuple(leaves))


class TrialKeys(NamedTuple):
    """All keys of a trial: the learner's, and seeds for the resets of the environments.

    Attributes:
        init: for the learner's `init`, ``[K]``.
        seeds: for the first reset of each stream, ``[K, N]``.
        blocks: one key a block, ``[B, K]``.
    """

    init: Key[Array, " K"]
    seeds: UInt32[Array, "K N"]
    blocks: Key[Array, "B K"]


class BlockKeys(NamedTuple):
    """The keys of one block.

    Attributes:
        begin: seeds for the resets that it begins with, ``[K, N]``, where ``Budget.fresh_blocks`` asks for them.
        act: ``[T, K, N]``.
        seeds: for the reset after each step, if its episode ends there, ``[T, K, N]``.
        update: ``[K]``.
    """

    begin: UInt32[Array, "K N"] | None
    act: Key[Array, "T K N"]
    seeds: UInt32[Array, "T K N"]
    update: Key[Array, " K"]


@functools.partial(jax.jit, static_argnums=(1,))
def trial_keys(keys: Key[Array, " K"], budget: Budget) -> TrialKeys:
    """What `run_trial` makes of its key, for K tasks."""

    def one(key: Key[Array, ""]) -> tuple[Key[Array, ""], UInt32[Array, " N"], Key[Array, " B"]]:
        k_begin, k_run = jax.random.split(key)
        return *_begin_keys(k_begin, budget), jax.random.split(k_run, budget.num_blocks)

    init, seeds, blocks = jax.vmap(one, out_axes=(0, 0, 1))(keys)
    return TrialKeys(init, seeds, blocks)


@functools.partial(jax.jit, static_argnums=(1,))
def block_keys(keys: Key[Array, " K"], budget: Budget) -> BlockKeys:
    """What `run_trial` makes of the key of one block, for K tasks."""
    begin = None
    if budget.fresh_blocks:
        keys, k_fresh = jnp.moveaxis(jax.vmap(jax.random.split)(keys), -1, 0)
        begin = jax.vmap(lambda k: _begin_keys(k, budget)[1])(k_fresh)

    def one(key: Key[Array, ""]) -> tuple[Key[Array, "T N"], Key[Array, "T N"], Key[Array, ""]]:
        k_steps, k_update = jax.random.split(key)
        steps = jax.random.split(k_steps, (budget.block_length, budget.num_streams))
        k_act, _, k_reset = jnp.moveaxis(jax.vmap(jax.vmap(lambda k: jax.random.split(k, 3)))(steps), -1, 0)
        return k_act, k_reset, k_update

    k_act, k_reset, k_update = jax.vmap(one, out_axes=(1, 1, 0))(keys)
    return BlockKeys(begin, k_act, _seeds(k_reset), k_update)


def _begin_keys(key: Key[Array, ""], budget: Budget) -> tuple[Key[Array, ""], UInt32[Array, " N"]]:
    """What `begin_trial` makes of its key: the learner's, and a seed for each environment."""
    k_init, k_reset = jax.random.split(key)
    return k_init, _seeds(jax.random.split(k_reset, budget.num_streams))


def _seeds(keys: Key[Array, "*axes"]) -> UInt32[Array, "*axes"]:
    bits = jax.random.key_data(keys)
    return bits.reshape(*keys.shape, -1)[..., -1].astype(jnp.uint32)


@eqx.filter_jit
def begin(
    learner: AbstractLearner, params: PyTree, keys: Key[Array, " K"], num_streams: int
) -> tuple[PyTree, PyTree[Array]]:
    """Fresh states ``[K, ...]`` and memories ``[K, N, ...]``."""
    state = eqx.filter_vmap(lambda k: learner.init(params, key=k))(keys)
    shape = (keys.shape[0], num_streams)
    carry = jax.tree.map(lambda x: jnp.broadcast_to(x, (*shape, *jnp.shape(x))), learner.init_carry(params))
    return state, carry


Acting = Callable[[PyTree, PyTree, PyTree, TimeStep, Array, Any], tuple[Array, PyTree, PyTree]]
"""``(learner and params, state, carry, timestep, keys of the block, step)`` to ``(action, carry, aux)``, all arrays."""


@functools.lru_cache(maxsize=64)
def acting(learner_and_params: Static, state: Static) -> Acting:
    """The compiled `act` over [K, N]. Nothing but arrays is passed to it: a call costs microseconds."""

    @jax.jit
    def act(
        arrays: PyTree, state_arrays: PyTree, carry: PyTree, timestep: TimeStep, keys: Array, step: Any
    ) -> tuple[Array, PyTree, PyTree]:
        learner, params = learner_and_params.join(arrays)

        def one_task(state_arrays: PyTree, *streams: Any) -> tuple[Array, PyTree, PyTree]:
            joined = state.join(state_arrays)
            one = lambda carry, timestep, key: learner.act(params, joined, carry, timestep, key=key)
            return jax.vmap(one)(*streams)

        return jax.vmap(one_task)(state_arrays, carry, timestep, keys[step])

    return act


@eqx.filter_jit
def update(
    learner: AbstractLearner, params: PyTree, state: PyTree, trajectory: Trajectory, keys: Key[Array, " K"]
) -> tuple[PyTree, Info]:
    """The learner's update for K tasks, from one block each, ``[K, T, N, ...]``."""

    def one(state: PyTree, trajectory: Trajectory, key: Key[Array, ""]) -> tuple[PyTree, Info]:
        return learner.update(params, state, trajectory, key=key)

    return eqx.filter_vmap(one)(state, trajectory, keys)


@functools.partial(jax.jit, static_argnums=(1,))
def stack(trees: list[PyTree], axis: int) -> PyTree:
    """Equal pytrees, stacked leaf by leaf along a new axis."""
    return jax.tree.map(lambda *xs: jnp.stack(xs, axis), *trees)
