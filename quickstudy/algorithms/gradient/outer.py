"""The outer loops of gradient methods: two ways to climb what a `Judge` says of parameters.

`ClippedAscent` is Adam, in one pass or several (ProMP's), `TrustRegion` MAML's; `improve` is a meta-update with either.
"""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree

from quickstudy.algorithms.gradient.judge import Judge, Judgement, Rollouts, last_block, later_return, rollouts_of
from quickstudy.algorithms.gradient.learner import GradientParams, PolicyGradientLearner
from quickstudy.errors import require_counts, require_within
from quickstudy.meta import MetaState
from quickstudy.ops.trust_region import backtrack, conjugate_gradient
from quickstudy.types import Info, Trial


def begin(params: GradientParams, climb: "TrustRegion | ClippedAscent") -> MetaState:
    """The state before any training of ``params``."""
    return MetaState(params, climb.init(params), jnp.zeros((), jnp.int32))


def improve(
    state: MetaState,
    trials: Trial,
    learner: PolicyGradientLearner,
    climb: "TrustRegion | ClippedAscent",
    *,
    weights: Callable[[Rollouts], Float[Array, " B"]] = last_block,
    credit: float = 0.0,
) -> tuple[MetaState, Info]:
    """One meta-update from the trials of K tasks.

    Args:
        state: before it.
        trials: what the learner experienced with the state's parameters.
        learner: the inner loop, run again in the judgement.
        climb: how to move uphill.
        weights: how much each block counts.
        credit: weight of `later_return` as the exploring policies' advantage.
    """
    rollouts = rollouts_of(learner, trials)
    judge = Judge(learner, rollouts, weights(rollouts), credit * later_return(rollouts))
    params, opt_state, info = climb.update(state.params, state.opt_state, judge, state.step)
    return MetaState(params, opt_state, state.step + 1), majority(info, rollouts)


def majority(info: Info, rollouts: Rollouts) -> Info:
    """``info`` with the count of dropped tasks; more than half make the loss NaN, which stops the run."""
    stop = rollouts.dropped > rollouts.weight.shape[0] / 2
    return info | {"loss": jnp.where(stop, jnp.nan, info["loss"]), "dropped_tasks": rollouts.dropped}


class ClippedAscent(eqx.Module):
    """Adam on the clipped surrogate, with a penalty on how far the exploring policies move."""

    learning_rate: float = 1e-3
    """Adam's step size at the start; it falls linearly."""
    final_learning_rate: float = 1e-4
    """Adam's step size from ``anneal_steps`` on."""
    anneal_steps: int = 500
    """Meta-updates over which the step size falls."""
    max_grad_norm: float = 1.0
    """Gradients longer than this are scaled down to it."""
    num_epochs: int = 5
    """Gradient steps on a batch of trials; with 1 the ratios are 1 and this is Adam on the policy gradient."""
    clip: float = 0.3
    """How far the probability ratio may leave 1."""
    kl_weight: float = 5e-4
    """Weight of the exploring policies' divergence from those that acted."""
    entropy_weight: float = 0.0
    """Weight of the adapted policies' entropy at the start; it falls linearly to 0 within ``anneal_steps``."""

    def __check_init__(self):
        require_counts(self, "num_epochs", "anneal_steps", prefix="ascent.")
        positive = ("learning_rate", "final_learning_rate", "max_grad_norm", "clip")
        require_within("(0, inf)", self, *positive, prefix="ascent.")
        require_within("[0, inf)", self, "kl_weight", "entropy_weight", prefix="ascent.")

    def init(self, params: GradientParams) -> PyTree:
        """Adam's state."""
        return self._optimizer().init(eqx.filter(params, eqx.is_inexact_array))

    def update(
        self, params: GradientParams, opt_state: PyTree, judge: Judge, step: Int[Array, ""]
    ) -> tuple[GradientParams, PyTree, Info]:
        """``num_epochs`` steps uphill, in meta-update number ``step``."""
        arrays, static = eqx.partition(params, eqx.is_inexact_array)
        entropy_weight = optax.linear_schedule(self.entropy_weight, 0.0, self.anneal_steps)(step)

        def loss(judgement: Judgement) -> Float[Array, ""]:
            return self.kl_weight * judgement.kl_before - judgement.value - entropy_weight * judgement.entropy

        def epoch(carry: tuple[PyTree, PyTree], _: None) -> tuple[tuple[PyTree, PyTree], Info]:
            arrays, opt_state = carry
            value, judgement, grads = judge.gradient(loss, eqx.combine(arrays, static), self.clip)
            updates, opt_state = self._optimizer().update(grads, opt_state)
            info = {"loss": value, **judgement._asdict()}
            del info["value"]
            info["gradient_norm"] = optax.tree.norm(grads)
            return (optax.apply_updates(arrays, updates), opt_state), info

        (arrays, opt_state), info = jax.lax.scan(epoch, (arrays, opt_state), length=self.num_epochs)
        info = {name: x[-1] if name.startswith("kl") else x.mean() for name, x in info.items()}
        return eqx.combine(arrays, static), opt_state, info

    def _optimizer(self) -> optax.GradientTransformation:
        steps = self.anneal_steps * self.num_epochs
        rate = optax.linear_schedule(self.learning_rate, self.final_learning_rate, steps)
        return optax.chain(optax.clip_by_global_norm(self.max_grad_norm), optax.adam(rate))


class TrustRegion(eqx.Module):
    """Trust-region policy optimisation of the meta-parameters (Schulman et al. 2015), as MAML uses it."""

    max_kl: float = 0.01
    """How far the adapted policies may move in one meta-update, in nats."""
    damping: float = 1e-5
    """Added to the curvature."""
    num_conjugate_steps: int = 10
    """Iterations of the conjugate gradient."""
    curvature_streams: int = 5
    """Rollouts of each task, at most, that the curvature is estimated from."""
    shrink: float = 0.8
    """By how much the step shrinks while it is refused."""
    num_trials: int = 15
    """How often it may shrink."""

    def __check_init__(self):
        counts = ("num_conjugate_steps", "curvature_streams", "num_trials")
        require_counts(self, *counts, prefix="trust_region.")
        require_within("(0, inf)", self, "max_kl", prefix="trust_region.")
        require_within("(0, 1)", self, "shrink", prefix="trust_region.")

    def init(self, params: GradientParams) -> None:
        """No state is kept between updates."""
        del params

    def update(
        self, params: GradientParams, opt_state: None, judge: Judge, step: Int[Array, ""]
    ) -> tuple[GradientParams, None, Info]:
        """The longest step in the natural gradient's direction that improves and stays within ``max_kl``."""
        del step
        start, restore = jax.flatten_util.ravel_pytree(params)
        loss, before, grads = judge.gradient(lambda judgement: -judgement.value, params, jnp.inf)
        gradient = -jax.flatten_util.ravel_pytree(grads)[0]

        def product(v: Float[Array, " n"]) -> Float[Array, " n"]:
            curved = judge.curvature(params, restore(v), self.curvature_streams)
            return jax.flatten_util.ravel_pytree(curved)[0] + self.damping * v

        direction = conjugate_gradient(product, gradient, self.num_conjugate_steps)
        length = jnp.sqrt(2 * self.max_kl / jnp.maximum(direction @ product(direction), 1e-8))

        def accept(flat: Float[Array, " n"]) -> Bool[Array, ""]:
            new = judge.value(restore(flat), jnp.inf)
            return (new.value > before.value) & (new.kl_after <= self.max_kl)

        end, fraction = backtrack(accept, start, length * direction, shrink=self.shrink, num_trials=self.num_trials)
        info = {"loss": loss, "step_fraction": fraction, "gradient_norm": jnp.linalg.norm(gradient)}
        return restore(end), opt_state, info
