"""The transitions that a learner remembers of its task: a ring of fixed size, kept in its state."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from quickstudy.errors import InvalidArgument
from quickstudy.nets.features import flat_obs
from quickstudy.types import Trajectory


class Transitions(NamedTuple):
    """Transitions, one a row.

    Attributes:
        obs: where the action was taken, flattened.
        action: which one.
        reward: what it paid.
        next_obs: where it led: the true successor, also where an episode ended.
        discount: 0 where the task terminated, 1 elsewhere.
        weight: 1 for a transition, 0 for a row that is empty.
    """

    obs: Float[Array, "*axes C F"]
    action: Int[Array, "*axes C"]
    reward: Float[Array, "*axes C"]
    next_obs: Float[Array, "*axes C F"]
    discount: Float[Array, "*axes C"]
    weight: Float[Array, "*axes C"]


class Memory(NamedTuple):
    """A ring of transitions, and how many were ever put into it."""

    transitions: Transitions
    num_stored: Int[Array, "*axes"]


def empty_memory(capacity: int, num_obs: int) -> Memory:
    """Room for ``capacity`` transitions with observations of ``num_obs`` numbers."""
    row, obs = jnp.zeros(capacity), jnp.zeros((capacity, num_obs))
    return Memory(Transitions(obs, jnp.zeros(capacity, jnp.int32), row, obs, row, row), jnp.zeros((), jnp.int32))


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
        jnp.ones_like(flat.reward),
    )


def in_order(memory: Memory) -> Transitions:
    """What the ring holds, oldest first; rows that are empty come before."""
    capacity = memory.transitions.reward.shape[0]
    return jax.tree.map(lambda x: jnp.roll(x, -(memory.num_stored % capacity), axis=0), memory.transitions)
