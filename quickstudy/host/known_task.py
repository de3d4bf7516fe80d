"""A world whose observations show the task: what knowing it is worth."""

import dataclasses
from typing import Any

import gymnasium
import jax
import numpy as np

from quickstudy.host.world import World, deliver, makes_from_task, splits_of


class TaskShown(gymnasium.Env):
    """An environment of one task, which it shows beside the observation, standardised."""

    def __init__(self, world: World, task: Any, shown: np.ndarray):
        self._world, self._task, self._shown = world, task, shown
        self._env: Any = world.make(task) if makes_from_task(world) else world.make()
        box = gymnasium.spaces.Box(-np.inf, np.inf, shown.shape, np.float32)
        self.observation_space = gymnasium.spaces.Dict({"obs": self._env.observation_space, "task": box})
        self.action_space = self._env.action_space

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Begin an episode of the task."""
        del options
        raw, info = self._env.reset(seed=seed, options=deliver(self._world, self._env, self._task))
        return {"obs": raw, "task": self._shown}, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """The environment's step, with the task in view."""
        raw, *rest = self._env.step(action)
        return {"obs": raw, "task": self._shown}, *rest

    def close(self) -> None:
        """Close the environment."""
        self._env.close()


@dataclasses.dataclass(frozen=True)
class KnownTask:
    """``world`` with its task shown."""

    world: World
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, world: World) -> "KnownTask":
        """Standardise by a hundred tasks."""
        draw = lambda seed: _vector(world.sample_task(np.random.default_rng(seed), splits_of(world)[0]))
        tasks = np.stack([draw(seed) for seed in range(100)])
        return cls(world, tuple(tasks.mean(0).tolist()), tuple((tasks.std(0) + 1e-6).tolist()))

    @property
    def horizon(self) -> int:
        """The world's."""
        return self.world.horizon

    @property
    def num_episodes(self) -> int:
        """The world's."""
        return self.world.num_episodes

    def make(self, task: Any) -> TaskShown:
        """An environment of ``task``."""
        shown = (_vector(task) - np.asarray(self.mean)) / np.asarray(self.std)
        return TaskShown(self.world, task, shown.astype(np.float32))

    def sample_task(self, rng: np.random.Generator, split: str) -> Any:
        """The world's."""
        return self.world.sample_task(rng, split)


def _vector(task: Any) -> np.ndarray:
    return np.concatenate([np.ravel(np.asarray(leaf, np.float64)) for leaf in jax.tree.leaves(task)])
