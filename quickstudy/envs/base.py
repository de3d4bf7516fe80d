"""The environment interface: a family's dynamics, with the task as an explicit argument."""

import abc
from typing import Generic, TypeVar

import equinox as eqx
from jaxtyping import Array, Key

from quickstudy.types import Action, EnvStep, Obs, Spec

TaskT = TypeVar("TaskT")
EnvStateT = TypeVar("EnvStateT")


class AbstractEnv(eqx.Module, Generic[TaskT, EnvStateT]):
    """The dynamics that all tasks of a family share. Pure functions of one stream; the engine maps them.

    The task is any pytree of arrays, passed to every call and never drawn inside. `step` never resets: the engine
    does, so that the true successor of an episode's last step is never lost.
    """

    @property
    @abc.abstractmethod
    def spec(self) -> Spec:
        """Shapes of observations and actions."""

    @abc.abstractmethod
    def reset(self, task: TaskT, *, key: Key[Array, ""]) -> tuple[EnvStateT, Obs]:
        """Begin an episode of ``task``."""

    @abc.abstractmethod
    def step(self, task: TaskT, state: EnvStateT, action: Action, *, key: Key[Array, ""]) -> tuple[EnvStateT, EnvStep]:
        """Take one action. The state of an episode that ended need not be stepped again."""


class AbstractObservedEnv(AbstractEnv[TaskT, EnvStateT]):
    """An environment whose observation says all that its dynamics depend on: what a planner can step from."""

    @abc.abstractmethod
    def state_at(self, obs: Obs) -> EnvStateT:
        """The state that shows ``obs``, at the start of an episode's clock."""
