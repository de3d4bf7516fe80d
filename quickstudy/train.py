"""The first verb: `meta_train` trains a meta-algorithm on a task family."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from quickstudy.collect.base import AbstractCollector
from quickstudy.errors import InvalidArgument, NonFinite, require_positive
from quickstudy.finite import first_not_finite, require_finite_experience
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.parallel import map_seeds, place_seeds, place_tasks
from quickstudy.tasks.base import AbstractHostTaskDistribution, TaskSplit
from quickstudy.types import Budget, Info, Trajectory

NOT_FINITE = "not_finite"
"""Beside the metrics of an update, where its experience is not finite: they are read on the host together."""

Metrics = dict[str, np.ndarray]
OnStep = Callable[[int, "TrainState", Metrics], None]


class TrainState(eqx.Module):
    """All that meta-training changes. Iteration t draws its randomness from ``fold_in(key, t)`` and nothing else.

    Attributes:
        meta: the meta-algorithm's state for every seed, arrays ``[S, ...]``.
        key: one key for each seed, ``[S]``.
        step: meta-updates taken.
    """

    meta: MetaState
    key: Key[Array, " S"]
    step: Int[Array, ""]


def init_train_state(
    algorithm: AbstractMetaAlgorithm, collector: AbstractCollector, *, num_seeds: int, key: Key[Array, ""]
) -> TrainState:
    """The state before training: ``num_seeds`` independent initialisations."""
    require_positive(num_seeds=num_seeds)
    k_init, k_run = jax.random.split(key)
    # Mapped as updates are, and not by vmap: a batched QR factorisation (orthogonal weights) makes jaxlib wait inside
    # its thread pool for work that it queues there, and two at once on two cores wait for ever.
    init = eqx.filter_jit(map_seeds(lambda k: algorithm.init(collector.spec, key=k)))
    meta = init(jax.random.split(k_init, num_seeds))
    meta, keys = place_seeds((meta, jax.random.split(k_run, num_seeds)), num_seeds)
    return TrainState(meta, keys, jnp.zeros((), jnp.int32))


def meta_train(
    algorithm: AbstractMetaAlgorithm,
    collector: AbstractCollector,
    tasks: TaskSplit,
    budget: Budget,
    *,
    num_steps: int,
    num_tasks: int,
    key: Key[Array, ""],
    num_seeds: int = 1,
    state: TrainState | None = None,
    on_step: OnStep | None = None,
) -> TrainState:
    """Train ``algorithm`` on fresh tasks for ``num_steps`` meta-updates.

    Args:
        algorithm: what to train.
        collector: where its trials come from.
        tasks: the family's ``train`` split; any other split is refused.
        budget: the trial that each task gets.
        num_steps: meta-updates in all, those that ``state`` has already taken included.
        num_tasks: K, tasks in each meta-update of each seed.
        key: the source of all randomness; ignored when ``state`` is given, which carries its own.
        num_seeds: S, independent training runs, compiled as one; ignored when ``state`` is given.
        state: where an earlier call stopped: training goes on exactly as if it had not.
        on_step: called after every meta-update as ``on_step(step, state, metrics)``, with metrics ``[S]``.

    Returns:
        The state after the last meta-update.

    Raises:
        InvalidArgument: a count below 1, or a split other than ``train``.
        NonFinite: a reward, an observation or a metric of the update is not finite; names the meta-update, and the
            seed, task, block, step and stream or the metric. Methods that drop tasks which are not finite go on.
    """
    require_positive(num_steps=num_steps, num_tasks=num_tasks, **budget.counts)
    if tasks.name != "train":
        raise InvalidArgument(f"tasks is the {tasks.name!r} split; meta_train takes the 'train' split alone")
    if state is None:
        state = init_train_state(algorithm, collector, num_seeds=num_seeds, key=key)
    pending: tuple[int, TrainState, Info] | None = None
    for step in range(int(state.step), num_steps):
        state, info = _iterate(algorithm, collector, tasks, budget, num_tasks, state)
        # Read the metrics of the step before while this one computes.
        _deliver(pending, on_step)
        pending = (step + 1, state, info)
    _deliver(pending, on_step)
    return state


def _iterate(
    algorithm: AbstractMetaAlgorithm,
    collector: AbstractCollector,
    tasks: TaskSplit,
    budget: Budget,
    num_tasks: int,
    state: TrainState,
) -> tuple[TrainState, Info]:
    k_tasks, k_collect, k_update = _keys(state.key, state.step)
    batch = place_tasks(_draw(tasks, num_tasks, k_tasks), state.key.shape[0])
    trials = collector.collect_seeds(algorithm.explorer, state.meta.params, batch, budget, key=k_collect)
    meta, info = _update(algorithm, state.meta, trials, k_update)
    return TrainState(meta, state.key, state.step + 1), info


@eqx.filter_jit
def _keys(keys: Key[Array, " S"], step: Int[Array, ""]) -> tuple[Key[Array, " S"], Key[Array, " S"], Key[Array, " S"]]:
    """One iteration's keys for each seed: its tasks', its trials' and its update's."""
    k_tasks, k_collect, k_update = jax.vmap(lambda k: jax.random.split(jax.random.fold_in(k, step), 3), out_axes=1)(
        keys
    )
    return k_tasks, k_collect, k_update


def _draw(tasks: TaskSplit, num_tasks: int, keys: Key[Array, " S"]) -> PyTree:
    """Tasks for each seed, ``[S, K, ...]``."""
    if isinstance(tasks.distribution, AbstractHostTaskDistribution):
        return jax.tree.map(lambda *xs: jnp.stack(xs), *(tasks.batch(num_tasks, key=k) for k in keys))
    return _draw_compiled(tasks, num_tasks, keys)


@eqx.filter_jit
def _draw_compiled(tasks: TaskSplit, num_tasks: int, keys: Key[Array, " S"]) -> PyTree:
    return jax.vmap(lambda k: tasks.batch(num_tasks, key=k))(keys)


@eqx.filter_jit
def _update(
    algorithm: AbstractMetaAlgorithm, meta: MetaState, trials: PyTree, keys: Key[Array, " S"]
) -> tuple[MetaState, Info]:
    def one(meta: MetaState, trials: PyTree, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        new, info = algorithm.update(meta, trials, key=key)
        return new, info | training_returns(trials.trajectory) | {NOT_FINITE: first_not_finite(trials.trajectory)}

    meta, info = map_seeds(one)(meta, trials, keys)
    return place_seeds(meta, keys.shape[0]), info


def training_returns(trajectory: Trajectory) -> Info:
    """Mean return of the whole trial, of its first and of its last completed episode, over tasks and streams.

    The episodes' are NaN where no episode was completed.
    """
    last = jnp.moveaxis(trajectory.terminated | trajectory.truncated, -1, 1)
    reward = jnp.moveaxis(trajectory.reward, -1, 1)
    last = last.reshape(*last.shape[:2], -1)
    reward = reward.reshape(last.shape)
    episode = jnp.cumsum(last, axis=-1) - last
    count = last.sum(-1, keepdims=True)

    def mean_of(index: Int[Array, "K N 1"]) -> Float[Array, ""]:
        totals = jnp.sum(reward * (episode == index), -1, keepdims=True)
        return jnp.sum(totals * (count > 0)) / jnp.sum(count > 0)

    return {
        "return_total": reward.sum(-1).mean(),
        "return_first": mean_of(jnp.zeros_like(count)),
        "return_last": mean_of(count - 1),
    }


def _deliver(pending: tuple[int, TrainState, Info] | None, on_step: OnStep | None) -> None:
    if pending is None:
        return
    step, state, info = pending
    metrics = {name: np.asarray(value) for name, value in info.items()}
    where = metrics.pop(NOT_FINITE)
    if "dropped_tasks" not in metrics:  # A method that counts them goes on without the tasks that are not finite.
        require_finite_experience(where, during=f"meta-update {step}")
    for name, value in metrics.items():
        if not name.startswith("return_") and not np.isfinite(value).all():
            seed = int(np.flatnonzero(~np.isfinite(value))[0])
            dropped = metrics["dropped_tasks"][seed] if "dropped_tasks" in metrics else 0
            lost = f" ({dropped:.0f} tasks had an inner gradient that was not finite)" if dropped else ""
            raise NonFinite(
                f"meta-update {step}: {name} of seed {seed} is {value[seed]}{lost}; "
                "lower the learning rate, or look at the rewards of the tasks of this step"
            )
    if on_step is not None:
        on_step(step, state, metrics)
