"""Worlds for tests: Gymnasium environments worked out by hand. No JAX in here: worker processes import it."""

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces


class StaircaseEnv(gymnasium.Env):
    """The toy `Staircase`, written for Gymnasium."""

    observation_space = spaces.Box(0.0, 10.0, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, top: int = 2):
        self.top, self.task, self.height = top, 0.0, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.task, self.height = (options or {}).get("task", self.task), 0
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.height += int(action)
        return np.array([self.height], np.float32), self.height * self.task, self.height >= self.top, False, {}


@dataclasses.dataclass(frozen=True)
class StaircaseWorld:
    horizon: int = 3
    num_episodes: int = 2

    def make(self) -> gymnasium.Env:
        return StaircaseEnv()

    def sample_task(self, rng: np.random.Generator, split: str) -> float:
        return rng.uniform(1.0, 2.0)


class PlaneEnv(gymnasium.Env):
    """The point of `PointNavigation`, written for Gymnasium, with actions in [-.1, .3]²: pushes shifted by .1."""

    observation_space = spaces.Dict({"x": spaces.Box(-9, 9, (1,)), "y": spaces.Box(-9, 9, (1,))})
    action_space = spaces.Box(np.float32(-0.1), np.float32(0.3), (2,))

    def __init__(self, goal: tuple[float, float] = (0.0, 0.0)):
        self.goal, self.position = np.asarray(goal), np.zeros(2)

    def _obs(self):
        return {"x": self.position[:1].astype(np.float32), "y": self.position[1:].astype(np.float32)}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position = np.zeros(2)
        return self._obs(), {}

    def step(self, action):
        self.position = self.position + (action - 0.1) / 2
        distance = np.linalg.norm(self.position - self.goal)
        return self._obs(), -np.square(distance), bool(distance <= 0.01), False, {}


@dataclasses.dataclass(frozen=True)
class PlaneWorld:
    horizon: int = 4
    num_episodes: int = 2

    def make(self, task: Any) -> gymnasium.Env:
        return PlaneEnv(task["goal"])

    def sample_task(self, rng: np.random.Generator, split: str) -> Any:
        return {"goal": rng.uniform(-0.5, 0.5, 2)}


class NoiseEnv(gymnasium.Env):
    """Shows the seed's first random number, and pays noise around the task."""

    observation_space = spaces.Box(0.0, 1.0, (1,), np.float64)
    action_space = spaces.Discrete(2)

    def set_task(self, task):
        self.task = task

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.np_random.random(1), {}

    def step(self, action):
        return self.np_random.random(1), self.task + self.np_random.normal(), False, False, {}


@dataclasses.dataclass(frozen=True)
class NoiseWorld:
    horizon: int = 5
    num_episodes: int = 2
    num_streams: int = 2

    def make(self) -> gymnasium.Env:
        return NoiseEnv()

    def sample_task(self, rng: np.random.Generator, split: str) -> float:
        return rng.uniform()


class FaultyEnv(StaircaseEnv):
    """A staircase that goes wrong at step 2 of an episode of task 7: as ``fault`` says, once a file ``flag`` exists."""

    def __init__(self, fault: str, flag: str):
        super().__init__(top=100)
        self.fault, self.flag, self.time = fault, Path(flag), 0

    def reset(self, *, seed=None, options=None):
        self.time = 0
        if (options or {}).get("task") == 7.0 and self.fault == "reset":
            raise RuntimeError("cannot be reset")
        return super().reset(seed=seed, options=options)

    def step(self, action):
        self.time += 1
        obs, reward, *rest = super().step(action)
        if self.task != 7.0 or self.time != 2 or not self.flag.exists():
            return obs, reward, *rest
        if self.fault != "raise always":
            self.flag.unlink()
        if self.fault.startswith("raise"):
            raise RuntimeError("the simulator exploded")
        if self.fault == "hang":
            time.sleep(600)
        if self.fault == "die":
            os._exit(3)
        if self.fault == "nan observation":
            return obs * np.nan, reward, *rest
        if self.fault == "nan reward":
            return obs, np.nan, *rest
        return np.zeros(2, np.float32), reward, *rest


@dataclasses.dataclass(frozen=True)
class FaultyWorld:
    fault: str
    flag: str
    horizon: int = 4
    num_episodes: int = 2

    def make(self) -> gymnasium.Env:
        return FaultyEnv(self.fault, self.flag)

    def sample_task(self, rng: np.random.Generator, split: str) -> float:
        return 7.0


class SignEnv(gymnasium.Env):
    """Pays 1 a step for the action that the task wants, and shows nothing."""

    observation_space = spaces.Box(0.0, 1.0, (1,), np.float32)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.wanted = int((options or {}).get("task", 0) > 0)
        return np.ones(1, np.float32), {}

    def step(self, action):
        return np.ones(1, np.float32), float(action == self.wanted), False, False, {}


@dataclasses.dataclass(frozen=True)
class SignWorld:
    horizon: int = 4
    num_episodes: int = 2

    def make(self) -> gymnasium.Env:
        return SignEnv()

    def sample_task(self, rng: np.random.Generator, split: str) -> float:
        return float(rng.choice([-1.0, 1.0]))


class DeafEnv(SignEnv):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)


@dataclasses.dataclass(frozen=True)
class DeafWorld(SignWorld):
    def make(self) -> gymnasium.Env:
        return DeafEnv()
