"""A point in the plane that has to get somewhere: continuous actions, and three things that a task can hide.

Where the goal is, with a reward that points to it (`PointNavigation`) or is paid near it alone
(`SparsePointNavigation`); or which way the actuators push (`RotatedPointNavigation`).
"""

import abc
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from quickstudy.algorithms.baselines.oracle_planner import OraclePlannerYardstick
from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.envs.base import AbstractObservedEnv
from quickstudy.envs.replay import episode_paths, plain
from quickstudy.errors import InvalidArgument, require_positive, unknown
from quickstudy.family import AbstractMappedFamily, AbstractYardstick, StateMap
from quickstudy.planning.shooting import Planner
from quickstudy.tasks.base import SPLITS, AbstractTaskDistribution, SplitName
from quickstudy.types import Budget, EnvStep, Spec, Trajectory
from quickstudy.yardsticks import ExactYardstick, PolicyYardstick

STEP_LENGTH = 0.1
"""How far an action of 1 moves the point along its axis."""
REACH = 0.01
"""Where a goal ends the episode, it does so within this distance (Finn et al. 2017)."""
MAP_EXTENT = 1.25
"""Half the side of the square that the map of states covers: all goals of all families, and what counts as reached."""


PLANNED_STEPS = 6
"""Horizon of planners where the reward points to the goal: longer plans take more candidates and end no nearer."""


class PointTask(NamedTuple):
    """Where the goal is, and by which angle (radians, counter-clockwise) the actuators are rotated."""

    goal: Float[Array, "*axes 2"]
    angle: Float[Array, "*axes"]


class PointState(NamedTuple):
    """Where the point is, and how many steps the episode has run."""

    position: Float[Array, " 2"]
    time: Int[Array, ""]


class PointEnv(AbstractObservedEnv[PointTask, PointState]):
    """Starts at the origin and moves by the action, clipped to [-1, 1]², rotated, and scaled to `STEP_LENGTH`.

    The observation is the position. Rewards are judged after the move: minus the squared distance to the goal, or,
    with a ``reward_radius``, 1 − distance within that radius and 0 outside. The clock ends an episode after
    ``horizon`` steps; ``ends_at_goal`` ends it within `REACH` of the goal.
    """

    horizon: int
    reward_radius: float | None
    ends_at_goal: bool

    @property
    def spec(self) -> Spec:
        return Spec(jax.ShapeDtypeStruct((2,), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.float32), None)

    def reset(self, task: PointTask, *, key: Key[Array, ""]) -> tuple[PointState, Float[Array, " 2"]]:
        del task, key
        return PointState(jnp.zeros(2), jnp.zeros((), jnp.int32)), jnp.zeros(2)

    def step(
        self, task: PointTask, state: PointState, action: Float[Array, " 2"], *, key: Key[Array, ""]
    ) -> tuple[PointState, EnvStep]:
        del key
        push = STEP_LENGTH * jnp.clip(action, -1.0, 1.0)
        state = PointState(state.position + rotate(push, task.angle), state.time + 1)
        distance = jnp.linalg.norm(state.position - task.goal)
        return state, EnvStep(
            state.position, self._reward(distance), self._reached(distance), state.time >= self.horizon
        )

    def state_at(self, obs: Float[Array, " 2"]) -> PointState:
        return PointState(obs, jnp.zeros((), jnp.int32))

    def goal_known_return(self, task: PointTask) -> Float[Array, ""]:
        """The return of an episode in which every actuator heads for the goal at full strength: the best there is.

        Each actuator closes its own part of the distance as fast as it can, whatever the other one does, so that no
        policy is nearer to the goal after any number of steps.
        """
        steps = jnp.arange(1, self.horizon + 1)
        to_go = jnp.abs(rotate(task.goal, -task.angle))
        left = jnp.maximum(to_go[None, :] - STEP_LENGTH * steps[:, None], 0.0)
        return self._total(jnp.linalg.norm(left, axis=1))

    def standing_still_return(self, task: PointTask) -> Float[Array, ""]:
        """The return of an episode spent at the origin."""
        return self._total(jnp.broadcast_to(jnp.linalg.norm(task.goal), (self.horizon,)))

    def _total(self, distances: Float[Array, " T"]) -> Float[Array, ""]:
        reached = jnp.cumsum(self._reached(distances))
        return jnp.sum(self._reward(distances), where=reached - self._reached(distances) == 0)

    def _reward(self, distance: Float[Array, "*T"]) -> Float[Array, "*T"]:
        if self.reward_radius is None:
            return -jnp.square(distance)
        return jnp.where(distance <= self.reward_radius, 1.0 - distance, 0.0)

    def _reached(self, distance: Float[Array, "*T"]) -> Bool[Array, "*T"]:
        return distance <= REACH if self.ends_at_goal else jnp.zeros_like(distance, bool)


def rotate(vector: Float[Array, " 2"], angle: Float[Array, ""]) -> Float[Array, " 2"]:
    """``vector`` turned counter-clockwise by ``angle`` radians."""
    x, y = vector
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    return jnp.stack([cos * x - sin * y, sin * x + cos * y])


class SquareGoals(AbstractTaskDistribution[PointTask]):
    """Goals uniform over the square of half-width ``outer`` around the origin, without that of half-width ``inner``."""

    outer: float
    inner: float = 0.0

    def sample(self, *, key: Key[Array, ""]) -> PointTask:
        k_width, k_side, k_along = jax.random.split(key, 3)
        half_width = jnp.sqrt(jax.random.uniform(k_width, minval=self.inner**2, maxval=self.outer**2))
        side = jax.random.randint(k_side, (), 0, 4)
        right = jnp.stack([half_width, half_width * jax.random.uniform(k_along, minval=-1.0)])
        return PointTask(rotate(right, side * (jnp.pi / 2)), jnp.zeros(()))


class CircleGoals(AbstractTaskDistribution[PointTask]):
    """Goals uniform over an arc of the unit circle, between two angles in radians."""

    low: float
    high: float

    def sample(self, *, key: Key[Array, ""]) -> PointTask:
        angle = jax.random.uniform(key, minval=self.low, maxval=self.high)
        return PointTask(jnp.stack([jnp.cos(angle), jnp.sin(angle)]), jnp.zeros(()))


class Rotations(AbstractTaskDistribution[PointTask]):
    """Actuators rotated by an angle uniform between two, in radians; the goal is the same in every task."""

    goal: tuple[float, float]
    low: float
    high: float

    def sample(self, *, key: Key[Array, ""]) -> PointTask:
        return PointTask(jnp.asarray(self.goal), jax.random.uniform(key, minval=self.low, maxval=self.high))


class AbstractPointNavigation(AbstractMappedFamily):
    """What the families of the plane share: they differ in their tasks, and in what an episode of `env` pays."""

    horizon: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def env(self) -> PointEnv:
        """The plane."""

    @property
    @abc.abstractmethod
    def planners(self) -> tuple[OraclePlannerYardstick, ...]:
        """Planners that hold the true dynamics, where there is something to plan."""

    @property
    def budget(self) -> Budget:
        """One stream; a block holds one full episode."""
        return Budget(num_blocks=self.num_episodes, block_length=self.horizon, num_streams=1)

    def yardsticks(self) -> tuple[AbstractYardstick, ...]:
        """Random, standing still, planning with the true dynamics (`planners`), and knowing the task."""
        env, num_episodes = self.env, self.num_episodes
        return (
            PolicyYardstick("random", RandomLearner.for_spec(env.spec), env, self.budget, num_episodes),
            ExactYardstick("standing still", env.standing_still_return, num_episodes),
            *self.planners,
            ExactYardstick("goal known", env.goal_known_return, num_episodes),
        )

    def task_features(self, task: PointTask) -> Float[Array, " F"]:
        """The goal's coordinates, cosine and sine of the rotation."""
        return jnp.stack([*task.goal, jnp.cos(task.angle), jnp.sin(task.angle)])

    @property
    def feature_names(self) -> tuple[str, ...]:
        return ("goal's x", "goal's y", "cosine of the rotation", "sine of the rotation")

    def replay(self, task: PointTask, trajectory: Trajectory) -> dict[str, Any]:
        """The path of every episode of one stream."""
        paths, radius = episode_paths(trajectory), self.env.reward_radius or REACH
        walked = max(float(np.abs(points).max()) for points, _ in paths)
        extent = 1.1 * max(0.5, walked, float(np.abs(task.goal).max()) + radius)
        return {
            "kind": "plane",
            "start": [0.0, 0.0],
            "goal": plain(task.goal),
            "radius": radius,
            "limits": [-extent, extent],
            "episodes": [{"points": plain(points), "rewards": rewards} for points, rewards in paths],
        }

    def state_map(self) -> StateMap:
        """A lattice of positions, `STEP_LENGTH` apart."""
        ticks = STEP_LENGTH * (jnp.arange(round(2 * MAP_EXTENT / STEP_LENGTH)) + 0.5) - MAP_EXTENT
        return StateMap(jnp.stack(jnp.meshgrid(ticks, ticks), axis=-1), (-MAP_EXTENT, MAP_EXTENT))


class PointNavigation(AbstractPointNavigation):
    """Move to a goal that the reward points to: minus the squared distance.

    Goals are uniform over [-.5, .5]², and out of distribution over the rest of [-1, 1]². An episode ends within .01
    of the goal, and another one of the same task begins. Source: MAML, Finn et al. 2017, section 5.3; the code
    released with it pays minus the distance and ends an episode within a box of half-width .01, the paper says
    squared distance and distance.
    """

    horizon: int = 100
    """Steps in an episode, unless it ends at the goal."""
    num_episodes: int = 4  # pyright: ignore[reportIncompatibleMethodOverride]  (a field implements the property)
    """Episodes in a trial."""

    def __check_init__(self):
        require_positive(horizon=self.horizon, num_episodes=self.num_episodes)

    @property
    def env(self) -> PointEnv:
        """The plane."""
        return PointEnv(self.horizon, reward_radius=None, ends_at_goal=True)

    @property
    def planners(self) -> tuple[OraclePlannerYardstick, ...]:
        """None: the dynamics are known."""
        return ()

    def distribution(self, split: SplitName) -> SquareGoals:
        """Goals of ``split``."""
        _check_split(split)
        return SquareGoals(1.0, inner=0.5) if split == "ood" else SquareGoals(0.5)


class SparsePointNavigation(AbstractPointNavigation):
    """Move to a goal that pays only nearby: 1 − distance within .2 of it, 0 elsewhere.

    Goals are uniform over the upper half of the unit circle, and out of distribution over the lower half. Episodes
    have 20 steps and do not end at the goal. Source: PEARL, Rakelly et al. 2019, and its released code, in which a
    hundred goals are evenly spaced over the half circle and meta-training sees minus the distance as reward; here the
    goals are continuous, and the reward is sparse throughout.
    """

    horizon: int = 20
    """Steps in an episode."""
    num_episodes: int = 5  # pyright: ignore[reportIncompatibleMethodOverride]  (a field implements the property)
    """Episodes in a trial."""
    radius: float = 0.2
    """Distance from the goal within which it pays."""

    def __check_init__(self):
        require_positive(horizon=self.horizon, num_episodes=self.num_episodes)
        if not 0 < self.radius < 1:
            raise InvalidArgument(f"radius must lie between 0 and 1, got {self.radius}")

    @property
    def env(self) -> PointEnv:
        """The plane."""
        return PointEnv(self.horizon, reward_radius=self.radius, ends_at_goal=False)

    @property
    def planners(self) -> tuple[OraclePlannerYardstick, ...]:
        """None: the dynamics are known."""
        return ()

    def distribution(self, split: SplitName) -> CircleGoals:
        """Goals of ``split``."""
        _check_split(split)
        return CircleGoals(math.pi, 2 * math.pi) if split == "ood" else CircleGoals(0.0, math.pi)


class RotatedPointNavigation(AbstractPointNavigation):
    """Move to a known goal with actuators that are rotated by an unknown angle: dynamics differ, the reward does not.

    The goal is (.5, .5) in every task and the reward minus the squared distance to it; an episode ends within .01 of
    it. The angle is uniform within ``max_angle`` of none, and out of distribution over the rest of the circle. Beyond
    a quarter turn, pushing towards the goal leads away from it: such tasks cannot be solved without finding out.
    """

    horizon: int = 20
    """Steps in an episode, unless it ends at the goal."""
    num_episodes: int = 4  # pyright: ignore[reportIncompatibleMethodOverride]  (a field implements the property)
    """Episodes in a trial."""
    max_angle: float = 2.36
    """Largest rotation to either side, in radians (2.36 is 135°)."""

    def __check_init__(self):
        require_positive(horizon=self.horizon, num_episodes=self.num_episodes)
        if not 0 < self.max_angle < math.pi:
            raise InvalidArgument(f"max_angle must lie between 0 and π, got {self.max_angle}")

    @property
    def env(self) -> PointEnv:
        """The plane."""
        return PointEnv(self.horizon, reward_radius=None, ends_at_goal=True)

    @property
    def planners(self) -> tuple[OraclePlannerYardstick, ...]:
        """The planner of MML, with the true dynamics."""
        planner = Planner(horizon=PLANNED_STEPS)
        return (
            OraclePlannerYardstick(env=self.env, budget=self.budget, num_episodes=self.num_episodes, planner=planner),
        )

    def distribution(self, split: SplitName) -> Rotations:
        """Rotations of ``split``."""
        _check_split(split)
        if split == "ood":
            return Rotations((0.5, 0.5), self.max_angle, 2 * math.pi - self.max_angle)
        return Rotations((0.5, 0.5), -self.max_angle, self.max_angle)


def _check_split(split: str) -> None:
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
