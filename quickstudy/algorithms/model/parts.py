"""What methods with a model share beside the agent: networks, gradient steps in a task, and learning across tasks."""

from collections.abc import Callable
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree

from quickstudy.algorithms.fitting import annealed_muon, descend_by
from quickstudy.algorithms.memory import (
    Memory,
    draw_trials,
    empty_memory,
    empty_store,
    filled_rows,
    remember,
    store_trials,
    transitions_of,
)
from quickstudy.algorithms.model.learner import AbstractMetaModel, ModelParams, failed_plans
from quickstudy.errors import require_counts, require_within
from quickstudy.meta import MetaState
from quickstudy.nets.dynamics import MAX_LOG_STD, InnerModel, Scale, transition_loss
from quickstudy.nets.features import num_obs_features
from quickstudy.types import Info, Spec, Trajectory, Transitions, Trial

MetaModelT = TypeVar("MetaModelT", bound=AbstractMetaModel)


class ModelNetwork(eqx.Module):
    """Hyperparameters of an ensemble of inner models."""

    width: int = 32
    """Units in a hidden layer."""
    depth: int = 2
    """Hidden layers of each of the two networks of a model."""
    num_members: int = 1
    """E, models in the ensemble."""
    min_log_std: float = -4.0
    """Least log standard deviation that is predicted, in normalised units. Errors far below it hardly count, so it says
    how finely a deterministic task is learned; likelihoods, and gradients, of what is not known yet grow with it."""

    def __check_init__(self):
        require_counts(self, "width", "depth", "num_members", prefix="network.")
        require_within(f"(-inf, {MAX_LOG_STD:g})", self, "min_log_std", prefix="network.")

    def build(self, spec: Spec, *, key: Key[Array, ""]) -> InnerModel:
        """A freshly initialised ensemble, ``[E]``."""
        make = lambda k: InnerModel(spec, width=self.width, depth=self.depth, min_log_std=self.min_log_std, key=k)
        return eqx.filter_vmap(make)(jax.random.split(key, self.num_members))


class Correction(eqx.Module):
    """Hyperparameters of gradient steps on a task's latest transitions."""

    num_steps: int = 0
    """M, gradient steps after each block; 0 for none."""
    step_size: float = 0.01
    """α, of a gradient step."""
    pull: float = 0.0
    """Weight of half the squared distance from where the steps began."""
    capacity: int = 32
    """Transitions of the task that are remembered for them; beyond it the oldest are dropped."""

    def __check_init__(self):
        require_counts(self, "capacity", prefix="correction.")
        require_within("[0, inf)", self, "num_steps", "step_size", "pull", prefix="correction.")

    def __call__(self, start: InnerModel, scale: Scale, data: Transitions) -> InnerModel:
        """M steps from ``start``, ``[E]``, downhill on the likelihood of the transitions whose weight is 1."""
        if not self.num_steps:
            return start
        origin, static = eqx.partition(start, eqx.is_inexact_array)

        def loss(arrays: PyTree) -> Float[Array, ""]:
            apart = jax.tree.map(lambda x, y: jnp.sum(jnp.square(x - y)), arrays, origin)
            missed, _ = ensemble_loss(eqx.combine(arrays, static), scale, data)
            return missed + self.pull / 2 * jnp.stack(jax.tree.leaves(apart)).sum()

        def step(arrays: PyTree, _: None) -> tuple[PyTree, None]:
            return jax.tree.map(lambda x, g: x - self.step_size * g, arrays, jax.grad(loss)(arrays)), None

        return eqx.combine(jax.lax.scan(step, origin, length=self.num_steps)[0], static)


def ensemble_loss(ensemble: InnerModel, scale: Scale, data: Transitions) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Of transitions ``[R]`` and E members: `transition_loss`, averaged over the rows whose weight is 1.

    Returns:
        The sum over members of their losses, and the mean over members of their squared errors.
    """
    one = lambda model: jax.vmap(lambda row: transition_loss(model, scale, row))(data)
    surprise, error = eqx.filter_vmap(one)(ensemble)
    weight = data.weight / jnp.maximum(data.weight.sum(), 1.0)
    return jnp.sum(surprise @ weight), jnp.mean(error @ weight)


def memory_for(base: InnerModel, scale: Scale, capacity: int) -> Memory:
    """Room for ``capacity`` transitions of a family that ``base`` models."""
    dtype = jnp.float32 if base.num_actions is None else jnp.int32
    return empty_memory(capacity, scale.obs_mean.shape[0], jax.ShapeDtypeStruct(base.action_shape, dtype))


def remember_latest(memory: Memory, trajectory: Trajectory) -> Memory:
    """The ring with the latest transitions of a block ``[T, N]`` in it, which may be longer than the ring."""
    num_steps = max(memory.transitions.reward.shape[0] // trajectory.reward.shape[1], 1)
    return remember(memory, jax.tree.map(lambda x: x[-num_steps:], trajectory))[0]


class Fitting(eqx.Module):
    """Hyperparameters of learning across tasks from stored trials."""

    learning_rate: float = 0.01
    """Muon's step size; it falls linearly to a hundredth."""
    anneal_steps: int = 24
    """Meta-updates over which the learning rate falls."""
    num_gradient_steps: int = 200
    """Steps of Muon in a meta-update."""
    batch_size: int = 32
    """Stored trials in a step of Muon."""
    num_targets: int = 32
    """R, transitions of each that have to be predicted."""
    capacity: int = 200
    """Latest transitions that are kept of a trial."""
    num_trials: int = 1024
    """Trials that are kept over meta-updates."""

    def __check_init__(self):
        counts = ("anneal_steps", "num_gradient_steps", "batch_size", "num_targets", "capacity", "num_trials")
        require_counts(self, *counts, prefix="fitting.")
        require_within("(0, inf)", self, "learning_rate", prefix="fitting.")

    def begin(self, meta: AbstractMetaModel, spec: Spec) -> MetaState:
        """Before any training: no trials, and nothing normalised."""
        num_obs = num_obs_features(spec)
        opt_state = self._optimizer().init(eqx.filter(meta, eqx.is_inexact_array))
        store = empty_store(self.num_trials, empty_memory(self.capacity, num_obs, spec.action))
        return MetaState(ModelParams(meta, Scale.unit(num_obs)), opt_state, jnp.zeros((), jnp.int32), store)

    def improve(
        self,
        state: MetaState,
        trials: Trial,
        loss: Callable[[MetaModelT, Scale, Transitions, Key[Array, ""]], tuple[Float[Array, ""], Info]],
        *,
        key: Key[Array, ""],
    ) -> tuple[MetaState, Info]:
        """Store K trials, then some steps of Muon on ``loss`` of stored ones, each ``[C]`` in the order of time."""
        store = store_trials(state.extra, memories_of(trials, self.capacity))
        scale = Scale.of(store.transitions)

        def batch_loss(meta: MetaModelT, key: Key[Array, ""]) -> tuple[Float[Array, ""], Info]:
            k_trials, k_loss = jax.random.split(key)
            data, keys = draw_trials(store, self.batch_size, key=k_trials), jax.random.split(k_loss, self.batch_size)
            one = lambda data, key: loss(meta, scale, data, key)
            return jax.tree.map(lambda x: x.mean(0), jax.vmap(one)(data, keys))

        optimizer, meta = self._optimizer(), state.params.meta
        meta, opt_state, info = descend_by(
            optimizer, meta, state.opt_state, batch_loss, num_steps=self.num_gradient_steps, key=key
        )
        info |= {"failed_plans": failed_plans(trials.trajectory.aux)}
        return MetaState(ModelParams(meta, scale), opt_state, state.step + 1, store), info

    def _optimizer(self) -> optax.GradientTransformation:
        return annealed_muon(self.learning_rate, self.anneal_steps * self.num_gradient_steps)


def memories_of(trials: Trial, capacity: int) -> Memory:
    """The latest ``capacity`` transitions of each of K trials, ``[K, C, ...]``, in the order of time."""

    def one(trajectory: Trajectory) -> Memory:
        steps = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), trajectory._replace(aux=None))
        new = jax.tree.map(lambda x: x[-capacity:], transitions_of(steps))
        size = new.reward.shape[0]
        action = jax.ShapeDtypeStruct(new.action.shape[1:], new.action.dtype)
        blank = empty_memory(capacity, new.obs.shape[1], action)
        rows = jax.tree.map(lambda old, x: old.at[:size].set(x), blank.transitions, new)
        return Memory(rows, jnp.asarray(size, jnp.int32))

    return jax.vmap(one)(trials.trajectory)


def random_runs(data: Transitions, num: int, length: int, *, key: Key[Array, ""]) -> Transitions:
    """``num`` runs of ``length`` transitions that follow each other, ``[num, length]``, from anywhere in ``[C]``.

    The empty rows of ``data`` come first. Where a run reaches beyond the last one, its rows have weight 0.
    """
    capacity = data.weight.shape[0]
    rows = filled_rows(data, num, key=key)[:, None] + jnp.arange(length)[None]
    runs = jax.tree.map(lambda x: x[jnp.minimum(rows, capacity - 1)], data)
    return runs._replace(weight=(rows < capacity).astype(jnp.float32))


def random_stretch(data: Transitions, num: int, *, key: Key[Array, ""]) -> Transitions:
    """``num`` consecutive transitions from anywhere, or all of them if they are fewer; the first follow the last.

    The empty rows of ``data`` come first; those of the result come last.
    """
    size = data.weight.sum().astype(jnp.int32)
    num_empty, offset = data.weight.shape[0] - size, jnp.arange(num)
    rows = num_empty + (filled_rows(data, 1, key=key) - num_empty + offset) % size
    stretch = jax.tree.map(lambda x: x[rows], data)
    return stretch._replace(weight=(offset < size).astype(jnp.float32))
