"""Searching a grid for a goal that only its reward reveals: reference policies that know the rules of the family.

They know the moves, the rewards and the cells that may hold the goal, each as likely as the others. Having found it
they walk to it by a shortest path and stay there. What they know lives in the carry: a stream's memory, which
survives the borders of episodes. Posterior sampling for reinforcement learning: Strens 2000; Osband et al. 2013.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, Key

from quickstudy.envs.grid_geometry import cell_of, cells_mask, move, move_towards
from quickstudy.learner import AbstractLearner
from quickstudy.types import Info, TimeStep, Trajectory

UNKNOWN = -1


class Belief(NamedTuple):
    """A uniform posterior over the cells that may hold something, and the last draw from it.

    Attributes:
        possible: the cells that may hold it; once it is found, that one alone.
        target: where the last draw put it.
    """

    possible: Bool[Array, " cells"]
    target: Int[Array, ""]

    def observe(self, cell: Int[Array, ""], looked: Bool[Array, ""], found: Bool[Array, ""]) -> "Belief":
        """The posterior after ``cell`` was looked at, and found to hold it or not."""
        here = jnp.arange(self.possible.shape[0]) == cell
        return self._replace(possible=jnp.where(found, here, self.possible & ~(looked & here)))

    def draw(self, prior: Bool[Array, " cells"], stale: Bool[Array, ""], *, key: Key[Array, ""]) -> "Belief":
        """A new draw if ``stale``. A belief that has ruled out everything (it was wrong) starts over from the prior."""
        possible = jnp.where(jnp.any(self.possible), self.possible, prior)
        draw = jax.random.categorical(key, jnp.where(possible, 0.0, -jnp.inf)).astype(jnp.int32)
        return Belief(possible, jnp.where(stale, draw, self.target))

    @property
    def missed(self) -> Bool[Array, ""]:
        """Whether the last draw proved wrong."""
        return ~self.possible[self.target]


class SamplingCarry(NamedTuple):
    """What one stream of `PosteriorSampling` remembers.

    Attributes:
        cell: where the last action led, which the observation no longer shows once an episode has ended; `UNKNOWN`
            before the first action.
        belief: where the goal may be.
    """

    cell: Int[Array, ""]
    belief: Belief


class SweepCarry(NamedTuple):
    """What one stream of `SweepSearch` remembers.

    Attributes:
        cell: where the last action led.
        goal: where the goal is, `UNKNOWN` until it was found.
        time: steps of the plan that were taken.
    """

    cell: Int[Array, ""]
    goal: Int[Array, ""]
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
        unknown = jnp.asarray(UNKNOWN, jnp.int32)
        return SamplingCarry(unknown, Belief(cells_mask(self.candidates, self.size), unknown))

    def act(
        self, params: None, state: None, carry: SamplingCarry, timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Int[Array, ""], SamplingCarry, None]:
        """One move towards the cell drawn last, which is the goal as soon as that is known."""
        del params, state
        k_draw, k_move = jax.random.split(key)
        looked = carry.cell != UNKNOWN
        found = looked & (timestep.prev_reward > self.threshold)
        belief = carry.belief.observe(carry.cell, looked, found)
        stale = timestep.first | found | (self.redraw & belief.missed)
        belief = belief.draw(cells_mask(self.candidates, self.size), stale, key=k_draw)
        here = cell_of(timestep.obs)
        action = move_towards(here, belief.target, self.size, key=k_move)
        return action, SamplingCarry(move(here, action, self.size), belief), None

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
        unknown = jnp.asarray(UNKNOWN, jnp.int32)
        return SweepCarry(unknown, unknown, jnp.zeros((), jnp.int32))

    def act(
        self, params: Int[Array, " L"], state: None, carry: SweepCarry, timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Int[Array, ""], SweepCarry, None]:
        """The plan's next action, or one towards the goal once it is known."""
        del state
        found = (carry.cell != UNKNOWN) & (timestep.prev_reward > self.threshold)
        goal = jnp.where(found, carry.cell, carry.goal)
        here = cell_of(timestep.obs)
        planned = jnp.where(carry.time < params.shape[0], params[carry.time], 0)
        action = jnp.where(goal == UNKNOWN, planned, move_towards(here, goal, self.size, key=key))
        return action, SweepCarry(move(here, action, self.size), goal, carry.time + 1), None

    def update(
        self, params: Int[Array, " L"], state: None, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[None, Info]:
        """Nothing to do: the carry has learned already."""
        del params, state, trajectory, key
        return None, {}
