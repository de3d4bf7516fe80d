"""A task family: an environment, where its tasks come from, how long a trial lasts, and what to measure against."""

import abc
from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Array, Float, Key, PyTree

from quickstudy.envs.base import AbstractEnv
from quickstudy.envs.host import HostEnv
from quickstudy.errors import InvalidArgument
from quickstudy.tasks.base import AbstractTaskDistribution, SplitName, TaskSplit
from quickstudy.types import Budget, Obs, Trajectory


class AbstractReference(eqx.Module):
    """Something that a method's numbers are read against."""

    name: eqx.AbstractVar[str]


class AbstractYardstick(AbstractReference):
    """A reference policy with its value on a task, as a compiled function."""

    name: eqx.AbstractVar[str]

    @abc.abstractmethod
    def returns(self, task: PyTree, *, key: Key[Array, ""]) -> Float[Array, " E"]:
        """The return of each episode of a trial in ``task``; callers vmap over tasks."""


class AbstractFamily(eqx.Module):
    """A family of related tasks. Its fields are its hyperparameters; everything else follows from them.

    The trial that `budget` describes holds `num_episodes` episodes in each stream.
    """

    @property
    @abc.abstractmethod
    def env(self) -> AbstractEnv | HostEnv:
        """The dynamics that the tasks share: compiled, or of Gymnasium (`quickstudy.host`)."""

    @property
    @abc.abstractmethod
    def budget(self) -> Budget:
        """The trial that the family is usually measured on."""

    @property
    @abc.abstractmethod
    def num_episodes(self) -> int:
        """Episodes that a stream completes within `budget` when none ends early."""

    @property
    def episode_length(self) -> int:
        """Steps of an episode that does not end early."""
        return self.budget.steps_per_stream // self.num_episodes

    def trial_in_blocks(self, length: int, *, option: str = "block_length") -> Budget:
        """The trial of `budget`, cut into blocks of ``length`` steps, or of an episode each if it is 0.

        Raises:
            InvalidArgument: ``length`` does not divide the trial; the message calls it ``option``.
        """
        if length < 0:
            raise InvalidArgument(f"{option} must be at least 0 (one episode), got {length}")
        steps, length = self.budget.steps_per_stream, length or self.episode_length
        if steps % length:
            name = type(self).__name__
            raise InvalidArgument(f"{option}={length} must divide the {steps} steps of a trial of {name}")
        return Budget(steps // length, length, self.budget.num_streams)

    @abc.abstractmethod
    def distribution(self, split: SplitName) -> AbstractTaskDistribution:
        """Where the tasks of ``split`` come from.

        Raises:
            InvalidArgument: the family has no such split.
        """

    @abc.abstractmethod
    def yardsticks(self) -> tuple[AbstractReference, ...]:
        """Reference policies. The first is the floor (random), the last the ceiling of the normalised score."""

    @abc.abstractmethod
    def task_features(self, task: PyTree) -> Float[Array, " F"]:
        """All that there is to know of ``task``, as numbers that a network can read: what an oracle is shown."""

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What the numbers of `task_features` are called, in their order; empty where they have no names."""
        return ()

    @abc.abstractmethod
    def replay(self, task: PyTree, trajectory: Trajectory) -> dict[str, Any]:
        """What one stream ``[L, ...]`` of a trial did in ``task``, as plain data that the report can draw."""

    def tasks(self, split: SplitName) -> TaskSplit:
        """The tasks of one split, for `meta_train`, `adapt` and `evaluate`."""
        return TaskSplit(self.distribution(split), split)


class StateMap(NamedTuple):
    """Observations that cover the states of a family, laid out on a square.

    Attributes:
        obs: what an agent sees in each cell, ``[H, H, ...]``: rows along y, upwards, and columns along x.
        limits: where the square begins and ends along both axes, in the coordinates of the family's replay (a grid's
            cells are of side 1, and begin at 0).
    """

    obs: Obs
    limits: tuple[float, float]


class AbstractMappedFamily(AbstractFamily):
    """A family whose states can be drawn as a map, which is the same for all of its tasks."""

    @abc.abstractmethod
    def state_map(self) -> StateMap:
        """Observations that cover the states."""
