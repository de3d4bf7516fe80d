"""Searching a grid for a goal that only its reward reveals: reference policies that know the rules of the family.

They know the moves, the rewards and the cells that may hold the goal, each as likely as the others. Having found it
they walk to it by a shortest path and stay there. What they know lives in the carry: a stream's memory, which
survives the borders of episodes. Posterior sampling for reinforcement learning: Strens 2000; Osband et al. 2013.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from quickstudy.envs.grid_geometry import cells_mask, move, move_towards
from quickstudy.learner import AbstractLearner
from quickstudy.types import Info, TimeStep, Trajectory

UNKNOWN = -1


class Knowledge(NamedTuple):
    """Cells that one stream knows.

    Attributes:
        cell: where the last action led, which the observation no longer shows once an episode has ended; `UNKNOWN`
            before the first action.
        goal: where the goal is, `UNKNOWN` until it was found.
    """

    cell: Int[Array, ""]
    goal: Int[Array, ""]


class SamplingCarry(NamedTuple):
    """What one stream of `PosteriorSampling` remembers.

    Attributes:
        known: the cells it knows.
        possible: the cells that may hold the goal.
        target: the cell that the last posterior sample put it in.
    """

    known: Knowledge
    possible: Bool[Array, " cells"]
    target: Int[Array, ""]


class SweepCarry(NamedTuple):
    """What one stream of `SweepSearch` remembers: the cells it knows, and how many steps of the plan it has taken."""

    known: Knowledge
    time: Int[Array, ""]


class PosteriorSampling(AbstractLearner[None, None, SamplingCarry]):
    """Draws the goal from the posterior, walks there, and stays: once an episode, or again when the cell is empty."""

    size: int
    """Cells along one side of the grid."""
    candidates: tuple[int, ...]
    """Cells that may hold the goal, each as likely as the others."""
    threshold: float
    """Rewards above it are paid on the goal alone."""
    redraw: bool
    """Draw anew as soon as the drawn cell proves empty; otherwise once an episode (PSRL)."""

    def init(self, params: None, *, key: Key[Array, ""]) -> None:
        """No state: what is known lives in the carry."""
        del params, key

    def init_carry(self, params: None) -> SamplingCarry:
        """Every candidate is possible."""
        del params
        return SamplingCarry(_nothing_known(), cells_mask(self.candidates, self.size), jnp.asarray(UNKNOWN, jnp.int32))

    def act(
        self, params: None, state: None, carry: SamplingCarry, timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Int[Array, ""], SamplingCarry, None]:
        """One move towards the goal, if it is known, or else towards the cell drawn last.

        A belief that has ruled out every candidate (the goal is not among them) starts over.
        """
        del params, state
        k_draw, k_move = jax.random.split(key)
        goal = _locate_goal(carry.known, timestep.prev_reward, self.threshold)
        possible = carry.possible & (jnp.arange(self.size * self.size) != carry.known.cell)
        possible = jnp.where(jnp.any(possible), possible, cells_mask(self.candidates, self.size))
        draw = jax.random.categorical(k_draw, jnp.where(possible, 0.0, -jnp.inf)).astype(jnp.int32)
        stale = timestep.first | (self.redraw & ~possible[carry.target])
        target = jnp.where(goal != UNKNOWN, goal, jnp.where(stale, draw, carry.target))
        here = jnp.argmax(timestep.obs).astype(jnp.int32)
        action = move_towards(here, target, self.size, key=k_move)
        return action, SamplingCarry(Knowledge(move(here, action, self.size), goal), possible, target), None

    def update(self, params: None, state: None, trajectory: Trajectory, *, key: Key[Array, ""]) -> tuple[None, Info]:
        """Nothing to do: the carry has learned already."""
        del params, state, trajectory, key
        return None, {}


class SweepSearch(AbstractLearner[Int[Array, " L"], None, SweepCarry]):
    """Follows a plan of actions until the goal is found: the Bayes-optimal policy if the plan is an optimal sweep.

    ``params`` is the plan, the actions of a whole trial (`quickstudy.planning.sweep.optimal_sweep`); beyond its end
    the agent stays where it is.
    """

    size: int
    """Cells along one side of the grid."""
    threshold: float
    """Rewards above it are paid on the goal alone."""

    def init(self, params: Int[Array, " L"], *, key: Key[Array, ""]) -> None:
        """No state: what is known lives in the carry."""
        del params, key

    def init_carry(self, params: Int[Array, " L"]) -> SweepCarry:
        """At the start of the plan."""
        del params
        return SweepCarry(_nothing_known(), jnp.zeros((), jnp.int32))

    def act(
        self, params: Int[Array, " L"], state: None, carry: SweepCarry, timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Int[Array, ""], SweepCarry, None]:
        """The plan's next action, or one towards the goal once it is known."""
        del state
        goal = _locate_goal(carry.known, timestep.prev_reward, self.threshold)
        here = jnp.argmax(timestep.obs).astype(jnp.int32)
        planned = jnp.where(carry.time < params.shape[0], params[carry.time], 0)
        action = jnp.where(goal != UNKNOWN, move_towards(here, goal, self.size, key=key), planned)
        return action, SweepCarry(Knowledge(move(here, action, self.size), goal), carry.time + 1), None

    def update(
        self, params: Int[Array, " L"], state: None, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[None, Info]:
        """Nothing to do: the carry has learned already."""
        del params, state, trajectory, key
        return None, {}


def _nothing_known() -> Knowledge:
    return Knowledge(jnp.asarray(UNKNOWN, jnp.int32), jnp.asarray(UNKNOWN, jnp.int32))


def _locate_goal(known: Knowledge, prev_reward: Float[Array, ""], threshold: float) -> Int[Array, ""]:
    """The goal's cell, if the last reward or an earlier one was paid on it."""
    return jnp.where((known.cell != UNKNOWN) & (prev_reward > threshold), known.cell, known.goal)
