"""The third verb: `adapt` lets a trained learner master one task, and returns something that acts."""

import equinox as eqx
import jax
from jaxtyping import Array, Key, PyTree

from quickstudy.collect.base import AbstractCollector
from quickstudy.errors import require_positive
from quickstudy.learner import AbstractLearner
from quickstudy.types import Action, Budget, Snapshot, TimeStep, Trial


class Adapted(eqx.Module):
    """A learner after its trial in a task.

    Attributes:
        learner: what acts.
        params: its meta-learned parameters.
        trial: how it came to know the task; ``trial.final`` is where another `adapt` can go on.
    """

    learner: AbstractLearner
    params: PyTree
    trial: Trial

    @property
    def final(self) -> Snapshot:
        """Where the trial stopped, for this one task."""
        return jax.tree.map(lambda x: x[0] if eqx.is_array(x) else x, self.trial.final)

    @property
    def carry(self) -> PyTree:
        """The memory of the trial's first stream: what `act` goes on from."""
        return jax.tree.map(lambda x: x[0], self.final.carry)

    def act(self, timestep: TimeStep, carry: PyTree, *, key: Key[Array, ""]) -> tuple[Action, PyTree]:
        """One action for one stream, and its memory afterwards."""
        action, carry, _ = self.learner.act(self.params, self.final.state, carry, timestep, key=key)
        return action, carry


def adapt(
    learner: AbstractLearner,
    params: PyTree,
    collector: AbstractCollector,
    task: PyTree,
    budget: Budget,
    *,
    key: Key[Array, ""],
    start: Snapshot | None = None,
) -> Adapted:
    """Run ``learner`` in one task, from scratch or on from ``start``, and return it adapted.

    The same call as in meta-training and evaluation, with K = 1.

    Args:
        learner: what adapts.
        params: its meta-learned parameters (of one training seed).
        collector: where the task's environment lives.
        task: one task.
        budget: how long it may learn.
        key: randomness of the learner and the environment.
        start: ``Adapted.final`` of an earlier call.
    """
    require_positive(**budget.counts)
    add_axis = lambda x: x[None] if eqx.is_array(x) else x
    batch = jax.tree.map(add_axis, task)
    trial = collector.collect(
        learner, params, batch, budget, key=key, start=None if start is None else jax.tree.map(add_axis, start)
    )
    return Adapted(learner, params, trial)
