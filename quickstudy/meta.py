"""The second idea: a meta-algorithm is what happens to a learner's parameters across tasks."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, PyTree

from quickstudy.learner import AbstractLearner
from quickstudy.types import Info, Spec, Trial


class MetaState(eqx.Module):
    """Everything that meta-training changes, and all that a checkpoint must hold of an algorithm.

    Attributes:
        params: what the learner gets in every task.
        opt_state: the outer optimiser's state.
        step: meta-updates taken so far.
        extra: whatever else the method keeps (normalisers, replay, a decoder).
    """

    params: PyTree
    opt_state: PyTree
    step: Int[Array, ""]
    extra: PyTree = None


class AbstractMetaAlgorithm(eqx.Module):
    """What happens to a learner's parameters across tasks. Fields are hyperparameters.

    It sees trials, and never an environment or a device, so one algorithm serves compiled environments, Gymnasium
    environments and stored data.
    """

    @property
    @abc.abstractmethod
    def learner(self) -> AbstractLearner:
        """What acts in every task with the parameters that this method trains."""

    @property
    def explorer(self) -> AbstractLearner:
        """What acts in the trials of meta-training: `learner`, or one with its states that explores more."""
        return self.learner

    @abc.abstractmethod
    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """The state before any training, for a family with this ``spec``."""

    @abc.abstractmethod
    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """One meta-update from the trials of K tasks, ``[K, B, T, N, ...]``."""


class Untrained(AbstractMetaAlgorithm):
    """What learns nothing across tasks: the update is the identity.

    Baselines go through the same driver, the same evaluation and the same report as the methods that learn.
    """

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """Count the step and change nothing."""
        del trials, key
        return MetaState(state.params, state.opt_state, state.step + 1, state.extra), {}


class NoMeta(Untrained):
    """Any learner as a meta-algorithm that learns nothing across tasks."""

    baseline: AbstractLearner
    params: Any = None

    @property
    def learner(self) -> AbstractLearner:
        """The given learner."""
        return self.baseline

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """The given parameters; ``spec`` and ``key`` are not needed."""
        del spec, key
        return MetaState(self.params, None, jnp.zeros((), jnp.int32))


class NoOptions(eqx.Module):
    """The hyperparameters of a method that has none."""
