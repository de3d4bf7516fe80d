"""Moving about a square grid whose cells are numbered ``x + size · y``."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

# Stay, up, right, down, left, as (x, y) displacements.
MOVES = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))


def move(cell: Int[Array, ""], action: Int[Array, ""], size: int) -> Int[Array, ""]:
    """The cell reached from ``cell`` by ``action``; walls hold the agent where it is."""
    dx, dy = jnp.asarray(MOVES)[action]
    x = jnp.clip(cell % size + dx, 0, size - 1)
    y = jnp.clip(cell // size + dy, 0, size - 1)
    return (x + size * y).astype(jnp.int32)


def distance(a: Int[Array, "..."], b: Int[Array, "..."], size: int) -> Int[Array, "..."]:
    """Moves that a shortest path from ``a`` to ``b`` takes."""
    return jnp.abs(a % size - b % size) + jnp.abs(a // size - b // size)


def move_towards(cell: Int[Array, ""], target: Int[Array, ""], size: int, *, key: Key[Array, ""]) -> Int[Array, ""]:
    """An action of a shortest path from ``cell`` to ``target``, with even odds where two shorten it; stay if there."""
    dx = target % size - cell % size
    dy = target // size - cell // size
    along_x = jnp.where((dx != 0) & (dy != 0), jax.random.bernoulli(key), dx != 0)
    action = jnp.where(along_x, jnp.where(dx > 0, 2, 4), jnp.where(dy > 0, 1, 3))
    return jnp.where((dx == 0) & (dy == 0), 0, action).astype(jnp.int32)


def one_hot_position(cell: Int[Array, ""], size: int) -> Float[Array, " position"]:
    """The observation of an agent that sees where it stands and nothing else: x and y, each one-hot.

    Two coordinates instead of one number for each cell, so that what is learned in one cell says something about its
    row and its column.
    """
    return jnp.concatenate([jax.nn.one_hot(cell % size, size), jax.nn.one_hot(cell // size, size)])


def cell_of(position: Float[Array, "*axes position"]) -> Int[Array, "*axes"]:
    """The cell that `one_hot_position` shows."""
    size = position.shape[-1] // 2
    x, y = jnp.argmax(position[..., :size], -1), jnp.argmax(position[..., size:], -1)
    return (x + size * y).astype(jnp.int32)


def cells_mask(cells: tuple[int, ...], size: int) -> Bool[Array, " cells"]:
    """Which cells of the grid are among ``cells``."""
    return jnp.zeros(size * size, bool).at[jnp.asarray(cells)].set(True)
