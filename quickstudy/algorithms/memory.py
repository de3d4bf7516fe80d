"""Transitions: those that a learner remembers of its task, and those of many tasks that a meta-algorithm keeps."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Int, Key

from quickstudy.errors import InvalidArgument
from quickstudy.nets.features import flat_obs
from quickstudy.types import Trajectory, Transitions

DISCRETE = jax.ShapeDtypeStruct((), jnp.int32)


class Memory(NamedTuple):
    """A ring of transitions, and how many were ever put into it."""

    transitions: Transitions
    num_stored: Int[Array, "*axes"]


def empty_memory(capacity: int, num_obs: int, action: jax.ShapeDtypeStruct = DISCRETE) -> Memory:
    """Room for ``capacity`` transitions with observations of ``num_obs`` numbers."""
    row, obs = jnp.zeros(capacity), jnp.zeros((capacity, num_obs))
    actions = jnp.zeros((capacity, *action.shape), action.dtype)
    return Memory(Transitions(obs, actions, row, obs, row, row, row), jnp.zeros((), jnp.int32))


def remember(memory: Memory, trajectory: Trajectory) -> tuple[Memory, Int[Array, " M"], Transitions]:
    """Put a block ``[T, N]`` into the ring: the new memory, the rows that changed, and what they hold.

    Raises:
        InvalidArgument: the block does not fit into the ring.
    """
    new = transitions_of(trajectory)
    size, capacity = new.reward.shape[0], memory.transitions.reward.shape[0]
    if size > capacity:
        raise InvalidArgument(f"capacity={capacity} is less than the {size} transitions of one block: raise it")
    where = (memory.num_stored + jnp.arange(size)) % capacity
    stored = jax.tree.map(lambda old, new: old.at[where].set(new), memory.transitions, new)
    return Memory(stored, memory.num_stored + size), where, new


def transitions_of(trajectory: Trajectory) -> Transitions:
    """The steps of a block ``[T, N]`` in the order of time, one a row."""
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), trajectory._replace(aux=None))
    return Transitions(
        jax.vmap(flat_obs)(flat.timestep.obs),
        flat.action,
        flat.reward,
        jax.vmap(flat_obs)(flat.next_obs),
        1.0 - flat.terminated,
        (flat.terminated | flat.truncated).astype(jnp.float32),
        jnp.ones_like(flat.reward),
    )


def in_order(memory: Memory) -> Transitions:
    """What the ring holds, oldest first; rows that are empty come before."""
    capacity = memory.transitions.reward.shape[0]
    return jax.tree.map(lambda x: jnp.roll(x, -(memory.num_stored % capacity), axis=0), memory.transitions)


def filled_rows(data: Transitions, num: int, *, key: Key[Array, ""]) -> Int[Array, " num"]:
    """``num`` indices of transitions ``[C]`` that are not empty, with replacement; the empty ones come first."""
    capacity, size = data.weight.shape[0], data.weight.sum().astype(jnp.int32)
    return capacity - size + jax.random.randint(key, (num,), 0, size)


def sample_returns(
    data: Transitions, num: int, *, num_steps: int, gamma: float, num_streams: int, key: Key[Array, ""]
) -> Transitions:
    """``num`` rows drawn with replacement, with the return of the ``num_steps`` steps from each one.

    ``reward`` becomes ``Σ_j γ^j r_j``, ``next_obs`` where the last of them led, and ``discount`` what a value there
    counts: γ to the number of steps, or 0 after the task terminated. Fewer steps are summed where an episode or the
    data end.

    Args:
        data: rows in the order of time, the empty ones first; at least one is not.
        num: rows to draw.
        num_steps: n, steps that are summed.
        gamma: the discount.
        num_streams: N, by which the rows of one stream follow each other.
        key: randomness of the draw.

    Raises:
        InvalidArgument: all rows are empty (seen where the data are known, which inside a compiled program they are
            not: learners sample there after they have remembered a block).
    """
    capacity = data.reward.shape[0]
    _require_some(data.weight.sum(), "data", "transition: remember a block first")
    start = filled_rows(data, num, key=key)
    rows = start[:, None] + num_streams * jnp.arange(num_steps)[None]
    inside = rows < capacity
    rows = jnp.minimum(rows, capacity - 1)
    ended = jnp.cumsum(data.last[rows], axis=1) - data.last[rows]
    counts = inside & (ended == 0)
    reward = (counts * data.reward[rows]) @ gamma ** jnp.arange(num_steps)
    length = counts.sum(1)
    final = jnp.take_along_axis(rows, length[:, None] - 1, axis=1)[:, 0]
    first = jax.tree.map(lambda x: x[start], data)
    return first._replace(reward=reward, next_obs=data.next_obs[final], discount=data.discount[final] * gamma**length)


class TrialStore(NamedTuple):
    """Transitions of the latest trials of many tasks.

    Attributes:
        transitions: in the order of time, ``[M, C, ...]``.
        num_stored: how many trials were ever stored.
    """

    transitions: Transitions
    num_stored: Int[Array, ""]


def empty_store(num_trials: int, memory: Memory) -> TrialStore:
    """Room for ``num_trials`` trials with memories like ``memory``."""
    rooms = jax.tree.map(lambda x: jnp.zeros((num_trials, *x.shape), x.dtype), memory.transitions)
    return TrialStore(rooms, jnp.zeros((), jnp.int32))


def store_trials(store: TrialStore, memory: Memory) -> TrialStore:
    """The store with the memories ``[K, ...]`` of K tasks instead of its oldest ones.

    Raises:
        InvalidArgument: there are more tasks than the store has room for.
    """
    data = jax.vmap(in_order)(memory)
    num_tasks, num_trials = data.weight.shape[0], store.transitions.weight.shape[0]
    if num_tasks > num_trials:
        raise InvalidArgument(f"num_trials={num_trials} is less than the {num_tasks} tasks of a meta-update: raise it")
    where = (store.num_stored + jnp.arange(num_tasks)) % num_trials
    stored = jax.tree.map(lambda old, new: old.at[where].set(new), store.transitions, data)
    return TrialStore(stored, store.num_stored + num_tasks)


def draw_trials(store: TrialStore, num: int, *, key: Key[Array, ""]) -> Transitions:
    """``num`` stored trials at random, with replacement, ``[num, C, ...]``.

    Raises:
        InvalidArgument: there is no trial (seen where the store is known, as in `sample_returns`).
    """
    _require_some(store.num_stored, "store", "trial: store the trials of some tasks first")
    num_trials = store.transitions.weight.shape[0]
    index = jax.random.randint(key, (num,), 0, jnp.minimum(store.num_stored, num_trials))
    return jax.tree.map(lambda x: x[index], store.transitions)


def _require_some(size: Array, name: str, what: str) -> None:
    if not isinstance(size, Tracer) and int(size) == 0:
        raise InvalidArgument(f"{name} holds no {what}")
