"""Gymnasium's MuJoCo robots, asked to move at a speed or in a direction that the task hides.

Source: Finn et al. 2017, arXiv:1703.03400 (the families), Rakelly et al. 2019, arXiv:1903.08254, and Zintgraf et al.
2020, arXiv:1910.08348 (speeds up to 3 m/s, episodes of 200 steps). Those papers' robots are those of MuJoCo 1.5; these
are Gymnasium's ``v5``: returns differ a little from theirs.
"""

import abc
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from quickstudy.errors import require_positive
from quickstudy.extras import import_extra


class AskedToMove(gymnasium.Wrapper):
    """A robot whose pay for moving forward is replaced by ``pay(task, velocity)``, per step; all its costs remain.

    ``velocity`` is that of its torso along x and y, in m/s; a cheetah has no y.
    """

    task: Any = None

    def __init__(self, env: gymnasium.Env, pay: Callable[[Any, np.ndarray], float]):
        super().__init__(env)
        self._pay = pay

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """The robot's step, with the task's pay."""
        obs, reward, terminated, truncated, info = self.env.step(action)
        velocity = np.array([info["x_velocity"], info.get("y_velocity", 0.0)])
        pay = float(reward) - info["reward_forward"] + self._pay(self.task, velocity)
        return obs, pay, terminated, truncated, info


@dataclasses.dataclass(frozen=True)
class Locomotion(abc.ABC):
    """What the families have in common: the clock, and how a task reaches a robot."""

    horizon: int = 200
    """Steps in an episode."""
    num_episodes: int = 2
    """Episodes in a trial."""

    def __post_init__(self):
        require_positive(horizon=self.horizon, num_episodes=self.num_episodes)

    @abc.abstractmethod
    def robot(self) -> gymnasium.Env:
        """A new robot, as Gymnasium makes it."""

    @abc.abstractmethod
    def pay(self, task: Any, velocity: np.ndarray) -> float:
        """What ``task`` pays in a step at ``velocity`` (m/s, along x and y)."""

    @abc.abstractmethod
    def sample_task(self, rng: np.random.Generator, split: str) -> Any:
        """What the robot is asked to do."""

    def make(self) -> AskedToMove:
        """A robot without a task."""
        import_extra("mujoco", extra="mujoco", purpose=type(self).__name__)
        return AskedToMove(self.robot(), self.pay)

    def set_task(self, env: AskedToMove, task: Any) -> None:
        """Ask for something else from the next step on."""
        env.task = task


class Cheetah(Locomotion):
    """A half-cheetah (17 numbers seen, 6 joints driven) that pays .05 Σ a² for its actions a."""

    def robot(self) -> gymnasium.Env:
        """Gymnasium's ``HalfCheetah-v5``."""
        return gymnasium.make(
            "HalfCheetah-v5", ctrl_cost_weight=0.05, max_episode_steps=self.horizon, disable_env_checker=True
        )


@dataclasses.dataclass(frozen=True)
class HalfCheetahVel(Cheetah):
    """Run forward at a hidden speed v: each step pays −|ẋ − v|."""

    max_speed: float = 3.0
    """Of the speeds asked for, in m/s; out of distribution they lie beyond, up to a third more."""

    splits = ("train", "validation", "test", "ood")

    def pay(self, task: float, velocity: np.ndarray) -> float:
        """Minus the error of the speed along x."""
        return -abs(float(velocity[0]) - task)

    def sample_task(self, rng: np.random.Generator, split: str) -> float:
        """A speed, uniform on [0, ``max_speed``]."""
        ends = (self.max_speed, self.max_speed * 4 / 3) if split == "ood" else (0.0, self.max_speed)
        return float(rng.uniform(*ends))

    def yardsticks(self) -> dict[str, Callable[[Any], float]]:
        """What one speed for all tasks earns at most, and what nothing exceeds: neither reached, being at no cost.

        Whoever cannot tell tasks apart does best, on average over the speeds trained on, at the middle one.
        """
        return {
            "bound: the middle speed at once, for nothing": lambda task: -self.horizon * abs(task - self.max_speed / 2),
            "bound: that speed at once, for nothing": lambda _: 0.0,
        }


class HalfCheetahDir(Cheetah):
    """Run as fast as you can, forwards (task 1) or backwards (task −1): two tasks, in every split."""

    def pay(self, task: float, velocity: np.ndarray) -> float:
        """Speed in the right direction."""
        return task * float(velocity[0])

    def sample_task(self, rng: np.random.Generator, split: str) -> float:
        """Forwards or backwards."""
        del split
        return float(rng.choice((-1.0, 1.0)))


@dataclasses.dataclass(frozen=True)
class AntDir(Locomotion):
    """An ant (27 numbers seen, 8 joints driven) that runs as fast as it can in a hidden direction, and may fall."""

    plane: bool = False
    """Whether any direction of the plane may be asked for, instead of forwards (angle 0) or backwards (π)."""

    def robot(self) -> gymnasium.Env:
        """Gymnasium's ``Ant-v5`` without contact forces in view, as in the papers."""
        return gymnasium.make(
            "Ant-v5",
            include_cfrc_ext_in_observation=False,
            max_episode_steps=self.horizon,
            disable_env_checker=True,
        )

    def pay(self, task: float, velocity: np.ndarray) -> float:
        """Speed in the right direction; ``task`` is its angle to the x axis."""
        return float(math.cos(task) * velocity[0] + math.sin(task) * velocity[1])

    def sample_task(self, rng: np.random.Generator, split: str) -> float:
        """An angle, in radians."""
        del split
        return float(rng.uniform(0.0, 2 * math.pi)) if self.plane else float(rng.choice((0.0, math.pi)))
