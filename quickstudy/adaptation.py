"""The third verb: `adapt` lets a trained learner master one task, and returns something that acts."""

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Key, PyTree

from quickstudy.collect.base import AbstractCollector
from quickstudy.errors import InvalidArgument, require_positive
from quickstudy.finite import first_not_finite, require_finite_experience, require_finite_params
from quickstudy.learner import AbstractLearner
from quickstudy.trial import first_timestep, fresh_agent, zeros_of
from quickstudy.types import Action, Budget, Snapshot, Spec, TimeStep, Trajectory, Trial


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
    demonstrations: Trajectory | None = None,
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
        demonstrations: transitions ``[T, N, ...]`` of someone else in this task, an expert perhaps, which the learner
            learns from before it acts; ``aux`` is not used.

    Raises:
        InvalidArgument: a count below 1, parameters that are not finite, or demonstrations that this learner or this
            family cannot take.
        NonFinite: a reward or an observation is not finite; names the block, step and stream.
    """
    require_positive(**budget.counts)
    require_finite_params(params)
    if demonstrations is not None:
        check_demonstrations(learner, params, collector.spec, demonstrations)
        k_taught, key = jax.random.split(key)
        start = taught(learner, params, collector.spec, demonstrations, budget.num_streams, key=k_taught, start=start)
    add_axis = lambda x: x[None] if eqx.is_array(x) else x
    batch = jax.tree.map(add_axis, task)
    trial = collector.collect(
        learner, params, batch, budget, key=key, start=None if start is None else jax.tree.map(add_axis, start)
    )
    where = eqx.filter_jit(first_not_finite)(trial.trajectory)
    require_finite_experience(np.asarray(where), during="adapt")
    return Adapted(learner, params, trial)


def taught(
    learner: AbstractLearner,
    params: PyTree,
    spec: Spec,
    demonstrations: Trajectory,
    num_streams: int,
    *,
    key: Key[Array, ""],
    start: Snapshot | None = None,
) -> Snapshot:
    """Where a learner stands that was shown ``demonstrations`` before it acts, from scratch or at ``start``."""
    k_init, k_update = jax.random.split(key)
    if start is None:
        timestep = first_timestep(zeros_of(spec.obs, (num_streams,)), spec, (num_streams,))
        start = fresh_agent(learner, params, timestep, key=k_init)
    state, _ = learner.update(params, start.state, demonstrations._replace(aux=None), key=k_update)
    return start._replace(state=state)


def check_demonstrations(learner: AbstractLearner, params: PyTree, spec: Spec, demonstrations: Trajectory) -> None:
    """Raise `InvalidArgument` where ``demonstrations`` are nothing that ``learner`` can learn from."""
    timestep = first_timestep(zeros_of(spec.obs), spec)
    key = jax.random.key(0)
    act = lambda params: learner.act(
        params, learner.init(params, key=key), learner.init_carry(params), timestep, key=key
    )
    if jax.tree.leaves(eqx.filter_eval_shape(act, params)[2]):
        raise InvalidArgument(
            f"demonstrations: {type(learner).__name__} learns from what it recorded while it acted, and others did "
            "not record that: choose a method that learns from transitions alone, such as mktn or dqn"
        )
    shape = np.shape(demonstrations.reward)
    if len(shape) != 2 or 0 in shape:
        raise InvalidArgument(f"demonstrations.reward must be [T, N], steps and streams, got {list(shape)}")
    parts = (("timestep.obs", demonstrations.timestep.obs, spec.obs), ("action", demonstrations.action, spec.action))
    for name, got, one in (*parts, ("next_obs", demonstrations.next_obs, spec.obs)):
        wanted = [(*shape, *leaf.shape) for leaf in jax.tree.leaves(one)]
        found = [np.shape(leaf) for leaf in jax.tree.leaves(got)]
        if wanted != found:
            raise InvalidArgument(f"demonstrations.{name} must be of shape {wanted}, got {found}")
    bad = np.argwhere(~np.isfinite(np.asarray(demonstrations.reward)))
    if bad.size:
        step, stream = bad[0]
        value = demonstrations.reward[step, stream]
        raise InvalidArgument(f"demonstrations.reward must be finite, got {value} at step {step} of stream {stream}")
