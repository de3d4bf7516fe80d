"""Grid worlds with a hidden goal: the smallest family in which an agent must search, then remember."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from quickstudy.algorithms.baselines.goal_search import PosteriorSampling, SweepSearch
from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.envs.base import AbstractEnv
from quickstudy.envs.grid_geometry import MOVES, distance, move, one_hot_cell
from quickstudy.envs.replay import grid_replay
from quickstudy.errors import InvalidArgument, require_positive, unknown
from quickstudy.family import AbstractFamily, AbstractYardstick
from quickstudy.learner import AbstractLearner
from quickstudy.planning.sweep import optimal_sweep
from quickstudy.tasks.base import SPLITS, SplitName
from quickstudy.tasks.finite import FiniteTasks
from quickstudy.types import Budget, EnvStep, Spec, Trajectory
from quickstudy.yardsticks import ExactYardstick, PolicyYardstick

Goals = Literal["shared", "disjoint"]
SHARES = {"train": 0.6, "validation": 0.2, "test": 0.2}


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

    @property
    def threshold(self) -> float:
        """Rewards above it are paid on the goal alone."""
        return (self.goal_reward + self.step_reward) / 2

    def reset(self, task: Int[Array, ""], *, key: Key[Array, ""]) -> tuple[GridState, Float[Array, " cells"]]:
        del task, key
        state = GridState(jnp.asarray(self.start, jnp.int32), jnp.zeros((), jnp.int32))
        return state, one_hot_cell(state.cell, self.size)

    def step(
        self, task: Int[Array, ""], state: GridState, action: Int[Array, ""], *, key: Key[Array, ""]
    ) -> tuple[GridState, EnvStep]:
        del key
        cell = move(state.cell, action, self.size)
        reward = jnp.where(cell == task, self.goal_reward, self.step_reward)
        state = GridState(cell, state.time + 1)
        return state, EnvStep(one_hot_cell(cell, self.size), reward, jnp.zeros((), bool), state.time >= self.horizon)

    def goal_known_return(self, task: Int[Array, ""]) -> Float[Array, ""]:
        """The return of an episode that goes straight to the goal and stays: the best there is."""
        arrival = jnp.maximum(distance(jnp.asarray(self.start), task, self.size), 1)
        on_goal = jnp.maximum(self.horizon + 1 - arrival, 0)
        return self.goal_reward * on_goal + self.step_reward * (self.horizon - on_goal)


def search_yardsticks(env: GridEnv, candidates: tuple[int, ...], budget: Budget) -> tuple[AbstractYardstick, ...]:
    """Random, both posterior-sampling policies and goal-known, for a goal uniform over ``candidates``."""
    episodes = budget.steps_per_stream // env.horizon

    def policy(name: str, learner: AbstractLearner) -> PolicyYardstick:
        return PolicyYardstick(name, learner, env, budget, episodes)

    def sampling(*, redraw: bool) -> PosteriorSampling:
        return PosteriorSampling(env.size, candidates, env.threshold, redraw)

    return (
        policy("random", RandomLearner.for_spec(env.spec)),
        policy("PSRL", sampling(redraw=False)),
        policy("posterior sampling, redrawn", sampling(redraw=True)),
        ExactYardstick("goal known", env.goal_known_return, episodes),
    )


def check_split(split: str) -> None:
    """Raise `InvalidArgument` if there is no such split."""
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)


class GridNavigation(AbstractFamily):
    """Find a hidden goal on a grid, then return to it in every episode.

    The agent starts in a corner and sees only where it stands. +1 on the goal, −0.1 elsewhere; the goal does not end
    the episode. The goal is uniform over the cells outside the 2×2 block at the start, and over the three other cells
    of that block out of distribution. Source: VariBAD, Zintgraf et al. 2020, section 5.1.

    The paper trains and tests on the same 21 goals (``goals="shared"``): the population is finite and known, and
    being new to the agent is a matter of which goal a trial draws. ``"disjoint"`` deals the goals out to training,
    validation and test, 3 : 1 : 1. The yardsticks search all of them alike in every split.
    """

    size: int = 5
    """Cells along one side of the grid."""
    horizon: int = 15
    """Steps in an episode."""
    num_episodes: int = 4  # pyright: ignore[reportIncompatibleMethodOverride]  (a field implements the property)
    """Episodes in a trial."""
    goals: Goals = "shared"
    """Whether training and test share all goals, as in the paper, or each have their own."""

    def __check_init__(self):
        require_positive(horizon=self.horizon, num_episodes=self.num_episodes)
        if not isinstance(self.size, int) or self.size < 3:
            raise InvalidArgument(f"size must be a whole number of at least 3, got {self.size!r}")
        if self.goals not in ("shared", "disjoint"):
            raise unknown("choice of goals", self.goals, ("shared", "disjoint"))

    @property
    def env(self) -> GridEnv:
        """The grid, with the agent's start in cell 0."""
        return GridEnv(self.size, self.horizon, start=0, goal_reward=1.0, step_reward=-0.1)

    @property
    def budget(self) -> Budget:
        """One stream, one episode a block."""
        return Budget(num_blocks=self.num_episodes, block_length=self.horizon, num_streams=1)

    @property
    def candidates(self) -> tuple[int, ...]:
        """Cells that may hold the goal."""
        return tuple(c for c in range(self.size**2) if c % self.size > 1 or c // self.size > 1)

    def distribution(self, split: SplitName) -> FiniteTasks:
        """Goals of ``split``, each as likely as the others."""
        check_split(split)
        if split == "ood":
            return FiniteTasks(jnp.asarray([1, self.size, self.size + 1], jnp.int32))
        goals = FiniteTasks(jnp.asarray(self.candidates, jnp.int32))
        return goals if self.goals == "shared" else dealt_goals(goals, split)

    def yardsticks(self) -> tuple[AbstractYardstick, ...]:
        """Random, posterior sampling, goal known, and the Bayes optimum where it can be proven in seconds."""
        env, budget = self.env, self.budget
        references = search_yardsticks(env, self.candidates, budget)
        sweep = optimal_sweep(self.size, env.start, self.candidates, self.horizon, self.num_episodes)
        if sweep is None:
            return references
        plan = jnp.asarray(sweep.actions, jnp.int32)
        learner = SweepSearch(self.size, env.threshold)
        return *references, PolicyYardstick("Bayes-optimal", learner, env, budget, self.num_episodes, plan)

    def replay(self, task: Int[Array, ""], trajectory: Trajectory) -> dict[str, Any]:
        """The cells visited in every episode of one stream."""
        return grid_replay(self.size, self.env.start, {"goal": int(task)}, trajectory)


def dealt_goals(goals: FiniteTasks, split: SplitName) -> FiniteTasks:
    """The share of ``goals`` that belongs to ``split``, the same in every run."""
    parts = goals.split(*SHARES.values(), key=jax.random.key(0))
    return dict(zip(SHARES, parts, strict=True))[split]
