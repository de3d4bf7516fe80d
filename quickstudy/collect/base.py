"""Collectors: how experience is gathered, and the only part that knows whether an environment is compiled."""

import abc

import equinox as eqx
from jaxtyping import Array, Key, PyTree

from quickstudy.learner import AbstractLearner
from quickstudy.types import Budget, Snapshot, Spec, Trial


class AbstractCollector(eqx.Module):
    """Runs a learner in tasks and returns trials. Algorithms cannot tell one collector from another."""

    @property
    @abc.abstractmethod
    def spec(self) -> Spec:
        """Shapes of observations and actions."""

    @abc.abstractmethod
    def collect(
        self,
        learner: AbstractLearner,
        params: PyTree,
        tasks: PyTree,
        budget: Budget,
        *,
        key: Key[Array, ""],
        start: Snapshot | None = None,
    ) -> Trial:
        """One trial in each of K tasks, ``[K, B, T, N, ...]``, from scratch or from ``start`` (``[K, ...]``)."""

    @abc.abstractmethod
    def collect_seeds(
        self,
        learner: AbstractLearner,
        params: PyTree,
        tasks: PyTree,
        budget: Budget,
        *,
        key: Key[Array, " S"],
        start: Snapshot | None = None,
    ) -> Trial:
        """`collect` for S independent sets of parameters at once; every argument but ``budget`` is ``[S, ...]``."""
