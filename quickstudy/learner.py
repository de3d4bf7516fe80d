"""The first idea: a learner is what an agent does inside one task."""

import abc
from typing import Any, Generic, TypeVar

import equinox as eqx
from jaxtyping import Array, Float, Key, Num

from quickstudy.types import Action, Info, Obs, TimeStep, Trajectory

ParamsT = TypeVar("ParamsT")
StateT = TypeVar("StateT")
CarryT = TypeVar("CarryT")


class AbstractLearner(eqx.Module, Generic[ParamsT, StateT, CarryT]):
    """What an agent does inside one task. Fields are hyperparameters; everything that changes is passed around.

    ``params`` are the same in every task and belong to the meta-algorithm. ``state`` is per task, and only `update`
    writes it. ``carry`` is per stream of experience, and only `act` writes it; every leaf of it is an array. So the
    engine broadcasts ``state`` over the N streams of a task and keeps one ``carry`` for each, with no special case.
    """

    @abc.abstractmethod
    def init(self, params: ParamsT, *, key: Key[Array, ""]) -> StateT:
        """The state at the start of a trial, before the task has shown anything."""

    @abc.abstractmethod
    def init_carry(self, params: ParamsT) -> CarryT:
        """The memory of one stream at the start of a trial. It survives the borders of episodes."""

    @abc.abstractmethod
    def act(
        self, params: ParamsT, state: StateT, carry: CarryT, timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Action, CarryT, Any]:
        """Choose one action for ONE stream; the third value is stored as ``aux`` beside the step."""

    @abc.abstractmethod
    def update(
        self, params: ParamsT, state: StateT, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[StateT, Info]:
        """Learn from one block ``[T, N, ...]`` of this task; ``Info`` holds diagnostics as arrays."""


class AbstractBelievingLearner(AbstractLearner[ParamsT, StateT, CarryT]):
    """A learner that can say what its state believes of an observation that it need not have met.

    Its `update` uses no randomness: beliefs of a stored trial are recomputed from the blocks, without the keys.
    """

    @abc.abstractmethod
    def believe(self, params: ParamsT, state: StateT, obs: Obs) -> dict[str, Float[Array, ""]]:
        """Beliefs about one observation.

        Returns:
            By name, as far as the learner has them: ``knowledge``, its value before the task has shown anything;
            ``adapted``, its value by what the task has shown since; ``uncertainty``, the standard deviation of
            ``adapted``. Values are in units of reward.
        """


class AbstractPredictingLearner(AbstractLearner[ParamsT, StateT, CarryT]):
    """A learner that predicts where actions lead.

    Its `update` uses no randomness: predictions in a stored trial are recomputed from the blocks, without the keys.
    What its `init` draws is drawn anew there.
    """

    @abc.abstractmethod
    def predict(
        self, params: ParamsT, state: StateT, obs: Obs, actions: Num[Array, "H ..."]
    ) -> tuple[Float[Array, "H F"], Float[Array, " H"]]:
        """Where H ``actions`` lead, one after the other, from ``obs``, with nothing observed in between.

        Returns:
            The flattened observation after each action, and the reward of each.
        """


class AbstractEncodingLearner(AbstractLearner[ParamsT, StateT, CarryT]):
    """A learner whose knowledge of its task is a few numbers: what a probe can be fitted to."""

    @abc.abstractmethod
    def code(self, params: ParamsT, state: StateT, carry: CarryT) -> Float[Array, " C"]:
        """What one stream knows of the task by now; no numbers at all (C = 0) where it is only in the weights."""
