"""Grid worlds with a hidden goal: the smallest family in which an agent must search, then remember."""

from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, PyTree

from quickstudy.algorithms.baselines.goal_search import PosteriorSampling, SweepSearch
from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.envs.base import AbstractEnv
from quickstudy.envs.grid_geometry import MOVES, cell_of, distance, move, one_hot_position
from quickstudy.envs.replay import grid_replay
from quickstudy.errors import InvalidArgument, require_positive, unknown
from quickstudy.family import AbstractMappedFamily, AbstractYardstick, StateMap
from quickstudy.learner import AbstractLearner
from quickstudy.planning.sweep import optimal_sweep
from quickstudy.tasks.base import SplitName
from quickstudy.tasks.finite import FiniteTasks
from quickstudy.types import Budget, EnvStep, Spec, Trajectory
from quickstudy.yardsticks import ExactYardstick, PolicyYardstick

Goals = Literal["shared", "disjoint"]
SHARES = (0.6, 0.2, 0.2)


class GridState(NamedTuple):
    """Where the agent stands, as one cell index ``x + size · y``, and how many steps the episode has run."""

    cell: Int[Array, ""]
    time: Int[Array, ""]


class GridEnv(AbstractEnv[Int[Array, ""], GridState]):
    """A ``size`` × ``size`` grid; the task is the goal's cell, which the observation (x and y, one-hot each) hides.

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
        obs = jax.ShapeDtypeStruct((2 * self.size,), jnp.float32)
        return Spec(obs, jax.ShapeDtypeStruct((), jnp.int32), len(MOVES))

    @property
    def num_states(self) -> int:
        """Cells."""
        return self.size**2

    def state_of(self, obs: Float[Array, "*axes position"]) -> Int[Array, "*axes"]:
        """The cell that an observation shows."""
        return cell_of(obs)

    @property
    def threshold(self) -> float:
        """Rewards above it are paid on the goal alone."""
        return (self.goal_reward + self.step_reward) / 2

    def reset(self, task: Int[Array, ""], *, key: Key[Array, ""]) -> tuple[GridState, Float[Array, " position"]]:
        del task, key
        state = GridState(jnp.asarray(self.start, jnp.int32), jnp.zeros((), jnp.int32))
        return state, one_hot_position(state.cell, self.size)

    def step(
        self, task: Int[Array, ""], state: GridState, action: Int[Array, ""], *, key: Key[Array, ""]
    ) -> tuple[GridState, EnvStep]:
        del key
        cell = move(state.cell, action, self.size)
        reward = jnp.where(cell == task, self.goal_reward, self.step_reward)
        state = GridState(cell, state.time + 1)
        return state, EnvStep(
            one_hot_position(cell, self.size), reward, jnp.zeros((), bool), state.time >= self.horizon
        )

    def goal_known_return(self, task: Int[Array, ""]) -> Float[Array, ""]:
        """The return of an episode that goes straight to the goal and stays: the best there is."""
        arrival = jnp.maximum(distance(jnp.asarray(self.start), task, self.size), 1)
        on_goal = jnp.maximum(self.horizon + 1 - arrival, 0)
        return self.goal_reward * on_goal + self.step_reward * (self.horizon - on_goal)


class GridNavigation(AbstractMappedFamily):
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
        check_grid(self.size, self.horizon, self.num_episodes, self.goals)

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
        if split == "ood":
            return FiniteTasks(jnp.asarray([1, self.size, self.size + 1], jnp.int32))
        return goals_of(FiniteTasks(jnp.asarray(self.candidates, jnp.int32)), split, self.goals, SHARES)

    def yardsticks(self) -> tuple[AbstractYardstick, ...]:
        """Random, posterior sampling, goal known, and the Bayes optimum where it can be proven in seconds."""
        return search_yardsticks(self.env, self.candidates, self.budget)

    def task_features(self, task: Int[Array, ""]) -> Float[Array, " F"]:
        """Where the goal is, in the form that the agent's own place has."""
        return one_hot_position(task, self.size)

    def replay(self, task: Int[Array, ""], trajectory: Trajectory) -> dict[str, Any]:
        """The cells visited in every episode of one stream."""
        return grid_replay(self.size, {"start": self.env.start, "goal": int(task)}, trajectory)

    def state_map(self) -> StateMap:
        """The cells."""
        return cells_map(self.size)


def check_grid(size: int, horizon: int, num_episodes: int, goals: str) -> None:
    """Raise `InvalidArgument` for a grid family that cannot be."""
    require_positive(horizon=horizon, num_episodes=num_episodes)
    if not isinstance(size, int) or size < 3:
        raise InvalidArgument(f"size must be a whole number of at least 3, got {size!r}")
    if goals not in get_args(Goals):
        raise unknown("choice of goals", goals, get_args(Goals))


def cells_map(size: int) -> StateMap:
    """What an agent that sees where it stands sees in every cell."""
    cells = jnp.arange(size * size, dtype=jnp.int32).reshape(size, size)
    return StateMap(jax.vmap(jax.vmap(lambda cell: one_hot_position(cell, size)))(cells), (0.0, float(size)))


def goals_of(
    population: FiniteTasks, split: SplitName, goals: Goals, shares: tuple[float, float, float]
) -> FiniteTasks:
    """The members of ``population`` that belong to ``split``: all of them, or its own share, the same in every run."""
    splits = ("train", "validation", "test")
    if split not in splits:
        raise unknown("split", split, splits)
    if goals == "shared":
        return population
    return population.split(*shares, key=jax.random.key(0))[splits.index(split)]


def search_yardsticks(env: GridEnv, candidates: tuple[int, ...], budget: Budget) -> tuple[AbstractYardstick, ...]:
    """Policies that search for a goal uniform over ``candidates``.

    Random, both kinds of posterior sampling, goal known and, where it can be proven in seconds, the Bayes optimum.
    """
    episodes = budget.steps_per_stream // env.horizon

    def policy(name: str, learner: AbstractLearner, params: PyTree = None) -> PolicyYardstick:
        return PolicyYardstick(name, learner, env, budget, episodes, params)

    references = (
        policy("random", RandomLearner.for_spec(env.spec)),
        policy("PSRL", PosteriorSampling(env.size, candidates, env.threshold, redraw=False)),
        policy("posterior sampling, redrawn", PosteriorSampling(env.size, candidates, env.threshold, redraw=True)),
        ExactYardstick("goal known", env.goal_known_return, episodes),
    )
    sweep = optimal_sweep(env.size, env.start, candidates, env.horizon, episodes)
    if sweep is None:
        return references
    plan = jnp.asarray(sweep.actions, jnp.int32)
    return *references, policy("Bayes-optimal", SweepSearch(env.size, env.threshold), plan)
