"""Driving on a motorway (highway-env), where the traffic and one's own car differ from task to task.

Source of the environment: Leurent 2018, https://github.com/Farama-Foundation/HighwayEnv.
"""

import dataclasses
from typing import Any

import gymnasium
import numpy as np

from quickstudy.errors import require_positive
from quickstudy.extras import import_extra

RANGES = {"density": (0.7, 1.5), "headway": (0.5, 2.5), "response": (0.3, 1.5)}
"""Of every number of a task, in training."""
BEYOND = {"density": (1.5, 1.9), "headway": (2.5, 3.5), "response": (1.5, 2.1)}
"""And out of distribution."""


class Motorway(gymnasium.Wrapper):
    """``highway-fast-v0`` with a task's traffic and car, from the next reset on."""

    task: dict[str, float] | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin a drive."""
        road_env: Any = self.env.unwrapped
        if self.task is None:
            return self.env.reset(seed=seed, options=options)
        road_env.config["vehicles_density"] = self.task["density"]
        answer = self.env.reset(seed=seed, options=options)
        for vehicle in road_env.road.vehicles:
            if vehicle in road_env.controlled_vehicles:
                vehicle.KP_A = 1 / self.task["response"]
            else:
                vehicle.TIME_WANTED = self.task["headway"]
        return answer


@dataclasses.dataclass(frozen=True)
class HighwayDriving:
    """Drive fast among 20 cars on three lanes without a crash; one step is a second.

    A task says how dense the traffic is (``density``, 1: highway-env's), what distance the others keep (``headway``, in
    seconds; 1.5 there), and how quickly one's own car follows its throttle and brakes (``response``, in seconds; .6
    there).
    """

    horizon: int = 30
    """Steps in an episode that ends without a crash."""
    num_episodes: int = 4
    """Episodes in a trial."""

    splits = ("train", "validation", "test", "ood")

    def __post_init__(self):
        require_positive(horizon=self.horizon, num_episodes=self.num_episodes)

    def make(self) -> Motorway:
        """A motorway without a task."""
        highway_env = import_extra("highway_env", extra="highway", purpose="HighwayDriving")
        gymnasium.register_envs(highway_env)
        config = {"duration": self.horizon}
        return Motorway(gymnasium.make("highway-fast-v0", config=config, disable_env_checker=True))

    def set_task(self, env: Motorway, task: dict[str, float]) -> None:
        """Let the next drive be among other traffic, in another car."""
        env.task = task

    def sample_task(self, rng: np.random.Generator, split: str) -> dict[str, float]:
        """Each number uniform on its range."""
        ranges = BEYOND if split == "ood" else RANGES
        return {name: float(rng.uniform(*ends)) for name, ends in ranges.items()}
