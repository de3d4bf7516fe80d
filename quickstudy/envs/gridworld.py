"""Grid worlds with a hidden goal: the smallest family in which an agent must search, then remember."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from quickstudy.envs.base import AbstractEnv
from quickstudy.types import EnvStep, Spec

# Stay, up, right, down, left, as (x, y) displacements.
MOVES = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))


class GridState(NamedTuple):
    """Where the agent stands, as one cell index ``x + size · y``, and how many steps the episode has run."""

    cell: Int[Array, ""]
    time: Int[Array, ""]


class GridEnv(AbstractEnv[Int[Array, ""], GridState]):
    """A ``size`` × ``size`` grid; the task is the goal's cell, which the observation (one-hot of the cell) hides.

    ``goal_reward`` on the goal and ``step_reward`` elsewhere, judged after the move; the goal does not end the
    episode, the clock does, after ``horizon`` steps. Source: VariBAD, Zintgraf et al. 2020, section 5.1.
    """

    size: int
    horizon: int
    start: int
    goal_reward: float
    step_reward: float

    @property
    def spec(self) -> Spec:
        obs = jax.ShapeDtypeStruct((self.size * self.size,), jnp.float32)
        return Spec(obs, jax.ShapeDtypeStruct((), jnp.int32), len(MOVES))

    def reset(self, task: Int[Array, ""], *, key: Key[Array, ""]) -> tuple[GridState, Float[Array, " cells"]]:
        del task, key
        state = GridState(jnp.asarray(self.start, jnp.int32), jnp.zeros((), jnp.int32))
        return state, self._observe(state.cell)

    def step(
        self, task: Int[Array, ""], state: GridState, action: Int[Array, ""], *, key: Key[Array, ""]
    ) -> tuple[GridState, EnvStep]:
        del key
        cell = move(state.cell, action, self.size)
        reward = jnp.where(cell == task, self.goal_reward, self.step_reward)
        state = GridState(cell, state.time + 1)
        return state, EnvStep(self._observe(cell), reward, jnp.zeros((), bool), state.time >= self.horizon)

    def _observe(self, cell: Int[Array, ""]) -> Float[Array, " cells"]:
        return jax.nn.one_hot(cell, self.size * self.size)


def move(cell: Int[Array, ""], action: Int[Array, ""], size: int) -> Int[Array, ""]:
    """The cell reached from ``cell`` by ``action``; walls hold the agent where it is."""
    dx, dy = jnp.asarray(MOVES)[action]
    x = jnp.clip(cell % size + dx, 0, size - 1)
    y = jnp.clip(cell // size + dy, 0, size - 1)
    return (x + size * y).astype(jnp.int32)
