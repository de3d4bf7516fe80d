"""A user's world as a task family: the same training, evaluation and report as for the families that come along."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.collect.host import HostCollector
from quickstudy.envs.host import HostEnv
from quickstudy.envs.replay import reward_replay
from quickstudy.errors import InvalidArgument, require_positive, unknown
from quickstudy.family import AbstractFamily
from quickstudy.host.world import World, splits_of, to_task
from quickstudy.tasks.base import AbstractHostTaskDistribution, SplitName
from quickstudy.types import Budget, Trajectory
from quickstudy.yardsticks import CollectedYardstick, HostYardstick


class WorldTasks(AbstractHostTaskDistribution[Any]):
    """The tasks that a world draws for one split."""

    world: World
    split: SplitName

    def sample(self, *, key: Key[Array, ""]) -> PyTree[Array]:
        """One task, drawn from a NumPy generator whose seed is the key."""
        seed = np.asarray(jax.random.key_data(key)).tolist()
        task = to_task(self.world.sample_task(np.random.default_rng(seed), self.split))
        try:
            return jax.tree.map(jnp.asarray, task)
        except TypeError as error:
            raise InvalidArgument(
                f"{type(self.world).__name__}.sample_task gave {task!r}, and a task must be numbers, arrays, or a "
                "dictionary or tuple of them: give an index into a list for anything else"
            ) from error


class HostFamily(AbstractFamily):
    """A family over a Gymnasium environment. `World` says what a user brings."""

    world: Any
    """Makes environments and draws tasks."""
    num_workers: int = 0
    """Worker processes that step the environments; 0 steps them in the training process."""
    timeout: float = 60.0
    """Seconds that one worker may take for one step of its environments."""
    max_restarts: int = 10
    """Failures of environments that are mended before training stops."""
    max_envs: int = 256
    """Environments that are alive at once."""

    @property
    def env(self) -> HostEnv:
        """The environment, seen from outside."""
        return HostEnv.of(self.world)

    @property
    def collector(self) -> HostCollector:
        """A new collector of the family's trials."""
        return HostCollector(
            self.env,
            num_workers=self.num_workers,
            timeout=self.timeout,
            max_restarts=self.max_restarts,
            max_envs=self.max_envs,
        )

    @property
    def budget(self) -> Budget:
        """One block an episode."""
        num_streams = getattr(self.world, "num_streams", 1)
        require_positive(num_streams=num_streams)
        return Budget(self.world.num_episodes, self.world.horizon, num_streams)

    @property
    def num_episodes(self) -> int:
        """The world's."""
        return self.world.num_episodes

    def distribution(self, split: SplitName) -> WorldTasks:
        """Tasks of ``split``."""
        if split not in splits_of(self.world):
            raise unknown(f"split of {type(self.world).__name__}", split, splits_of(self.world))
        return WorldTasks(self.world, split)

    def yardsticks(self) -> tuple[CollectedYardstick | HostYardstick, ...]:
        """Random, and what the world itself knows."""
        floor = CollectedYardstick("random", RandomLearner.for_spec(self.env.spec))
        own: dict[str, Callable[[Any], Any]] = getattr(self.world, "yardsticks", dict)()
        return (floor, *(HostYardstick(name, value, self.num_episodes) for name, value in own.items()))

    @property
    def showing_task(self) -> "HostFamily":
        """The same family with the task beside every observation: ``{"obs": …, "task": …}``, for an oracle."""
        from quickstudy.host.known_task import KnownTask

        return dataclasses.replace(self, world=KnownTask.of(self.world))

    def task_features(self, task: PyTree) -> Float[Array, " F"]:
        """The task's numbers, one after the other."""
        return jnp.concatenate([jnp.ravel(jnp.asarray(leaf, jnp.float32)) for leaf in jax.tree.leaves(task)])

    def replay(self, task: PyTree, trajectory: Trajectory) -> dict[str, Any]:
        return reward_replay(task, trajectory)
