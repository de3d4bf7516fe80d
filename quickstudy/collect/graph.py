"""The compiled collector: whole trials of all tasks and seeds in one XLA program."""

import equinox as eqx
import jax
from jaxtyping import Array, Key, PyTree

from quickstudy.collect.base import AbstractCollector
from quickstudy.envs.base import AbstractEnv
from quickstudy.learner import AbstractLearner
from quickstudy.parallel import map_seeds
from quickstudy.trial import run_trial
from quickstudy.types import Budget, Snapshot, Spec, Trial


class GraphCollector(AbstractCollector):
    """Runs trials of a compiled environment: `run_trial`, mapped over tasks and seeds, compiled once a shape."""

    env: AbstractEnv

    @property
    def spec(self) -> Spec:
        """The environment's spec."""
        return self.env.spec

    @eqx.filter_jit
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
        """One trial in each of K tasks."""
        num_tasks = jax.tree.leaves(tasks)[0].shape[0]

        def one(task: PyTree, key: Key[Array, ""], start: Snapshot | None) -> Trial:
            return run_trial(learner, params, self.env, task, budget, key=key, start=start)

        return eqx.filter_vmap(one)(tasks, jax.random.split(key, num_tasks), start)

    @eqx.filter_jit
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
        """One trial in each of K tasks for each of S sets of parameters."""

        def one(params: PyTree, tasks: PyTree, key: Key[Array, ""], start: Snapshot | None) -> Trial:
            return self.collect(learner, params, tasks, budget, key=key, start=start)

        return map_seeds(one)(params, tasks, key, start)
