"""The outer loops of gradient methods: inner steps are run again on stored rollouts, and what they lead to is judged.

For parameters Θ and the rollouts of a task, a `Judge` replays ``φ_0(Θ), φ_1(Θ), …`` and weighs, for each block b, how
much better the policy φ_b(Θ) would have done than the one that acted::

    value  =  Σ_b weight_b · mean_t min(ρ A, clip(ρ, 1 ± clip) A),     ρ = π_{φ_b(Θ)}(a_t|s_t) / π_acted(a_t|s_t)

Two ways to climb it: `ClippedAscent` (Adam, one pass or several: ProMP's) and `TrustRegion` (MAML's).
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PyTree

from quickstudy.algorithms.gradient.learner import GradientParams, PolicyGradientLearner, log_probs, policies
from quickstudy.errors import require_counts, require_within
from quickstudy.meta import MetaState
from quickstudy.ops.policy_gradient import clipped
from quickstudy.ops.trust_region import backtrack, conjugate_gradient, gauss_newton_product
from quickstudy.parallel import mean_over_tasks
from quickstudy.trial import filter_scan
from quickstudy.types import Info, Trajectory, Trial


class Rollouts(NamedTuple):
    """The stored rollouts of K tasks with what does not depend on Θ: ``[K, B, T, N, ...]``.

    Attributes:
        trajectory: the rollouts. A dropped task's are replaced by those of one that was kept.
        advantage: over the linear baseline of each block.
        weight: of each task, ``[K]``; 0 for a task that was dropped, with sum 1.
        dropped: number of tasks with an inner gradient that was not finite.
    """

    trajectory: Trajectory
    advantage: Float[Array, "K B T N"]
    weight: Float[Array, " K"]
    dropped: Float[Array, ""]


def rollouts_of(learner: PolicyGradientLearner, trials: Trial) -> Rollouts:
    """What a judge needs of the trials; tasks whose inner gradient was not finite get weight 0."""
    kept: Bool[Array, " K"] = jnp.all(trials.info["finite"], axis=1)
    source = jnp.where(kept, jnp.arange(kept.shape[0]), jnp.argmax(kept))
    trajectory = jax.tree.map(lambda x: x[source], trials.trajectory)
    advantage = jax.vmap(jax.vmap(learner.advantages))(trajectory)
    weight = kept / jnp.maximum(kept.sum(), 1)
    return Rollouts(trajectory, advantage, weight, jnp.sum(~kept).astype(jnp.float32))


def majority(info: Info, rollouts: Rollouts) -> Info:
    """``info`` with the count of dropped tasks; more than half make the loss NaN, which stops the run."""
    stop = rollouts.dropped > rollouts.weight.shape[0] / 2
    return info | {"loss": jnp.where(stop, jnp.nan, info["loss"]), "dropped_tasks": rollouts.dropped}


def last_block(rollouts: Rollouts) -> Float[Array, " B"]:
    """Weights of the blocks under which the last one alone counts."""
    return jnp.zeros(rollouts.advantage.shape[1]).at[-1].set(1.0)


def every_update(rollouts: Rollouts) -> Float[Array, " B"]:
    """Weights of the blocks under which all that follow an update count alike, with sum 1."""
    num_blocks = rollouts.advantage.shape[1]
    return jnp.full(num_blocks, 1.0 / (num_blocks - 1)).at[0].set(0.0)


def later_return(rollouts: Rollouts) -> Float[Array, " K"]:
    """How much each task paid in its last block, in standard deviations from the mean over tasks."""
    paid = rollouts.trajectory.reward[:, -1].mean((1, 2))
    mean = rollouts.weight @ paid
    return (paid - mean) / jnp.sqrt(rollouts.weight @ jnp.square(paid - mean) + 1e-8)


class Judgement(NamedTuple):
    """What parameters are worth on stored rollouts.

    Attributes:
        value: the surrogate to be maximised.
        kl_before: mean divergence of the exploring policies (all blocks but the last) from those that acted; 0 for
            trials of a single block.
        kl_after: the same of the last block's policy.
        entropy: of the policies in the blocks that count.
    """

    value: Float[Array, ""]
    kl_before: Float[Array, ""]
    kl_after: Float[Array, ""]
    entropy: Float[Array, ""]


class Judge(NamedTuple):
    """Judges parameters by the rollouts of K tasks.

    Attributes:
        learner: the inner loop.
        rollouts: what was experienced.
        block_weights: how much each block counts, ``[B]``.
        credit: an advantage for all that each task's exploring policies did, ``[K]``: how good what followed was.
            Added to the value with the exploring blocks' ratios (E-MAML's term); zeros leave it out.
    """

    learner: PolicyGradientLearner
    rollouts: Rollouts
    block_weights: Float[Array, " B"]
    credit: Float[Array, " K"]

    def value(self, params: GradientParams, clip: float) -> Judgement:
        """The judgement, averaged over tasks."""
        of_task = lambda p, *task: self._one(p, clip, *task)
        return mean_over_tasks(of_task, params, self.rollouts.weight, *self._tasks)

    def gradient(
        self, loss: Callable[[Judgement], Float[Array, ""]], params: GradientParams, clip: float
    ) -> tuple[Float[Array, ""], Judgement, PyTree]:
        """A loss of the judgement, the judgement, and the loss's gradient, averaged over tasks."""

        def of_task(params: GradientParams, *task: PyTree) -> PyTree:
            def judged(params: GradientParams) -> tuple[Float[Array, ""], Judgement]:
                judgement = self._one(params, clip, *task)
                return loss(judgement), judgement

            return eqx.filter_value_and_grad(judged, has_aux=True)(params)

        (value, judgement), grads = mean_over_tasks(of_task, params, self.rollouts.weight, *self._tasks)
        return value, judgement, grads

    def curvature(self, params: GradientParams, v: GradientParams, num_streams: int) -> GradientParams:
        """The Hessian of ``kl_after`` at the parameters that acted, times ``v``, from some streams of every task."""
        some = jax.tree.map(lambda x: x[:, :, :, :num_streams], (self.rollouts.trajectory, self.rollouts.advantage))

        def of_task(
            params_and_v: tuple[GradientParams, GradientParams], trajectory: Trajectory, advantage: Array
        ) -> GradientParams:
            params, v = params_and_v
            old = _flat(jax.tree.map(lambda x: x[-1], trajectory).aux.policy)
            divergence = lambda new: jax.vmap(lambda p, q: p.kl_to(q))(old, new).mean()
            outputs = lambda params: replay(self.learner, params, trajectory, advantage)[1]
            return gauss_newton_product(outputs, divergence, params, v)

        return mean_over_tasks(of_task, (params, v), self.rollouts.weight, *some)

    @property
    def _tasks(self) -> tuple[PyTree, ...]:
        return self.rollouts.trajectory, self.rollouts.advantage, self.credit

    def _one(
        self, params: GradientParams, clip: float, trajectory: Trajectory, advantage: Array, credit: Array
    ) -> Judgement:
        before, after = replay(self.learner, params, trajectory, advantage)
        last = jax.tree.map(lambda x: x[-1], trajectory)
        kl_after = jax.vmap(lambda p, q: p.kl_to(q))(_flat(last.aux.policy), after).mean()
        log_prob = jnp.concatenate([before.log_prob, log_probs(after, last)[None]])
        surrogate = jax.vmap(jax.vmap(lambda new, old, a: clipped(new, old, a, clip), 1, 1))
        value = self.block_weights @ surrogate(log_prob, trajectory.aux.log_prob, advantage).mean((1, 2))
        explored = jnp.broadcast_to(credit, before.log_prob.shape)
        value += surrogate(before.log_prob, trajectory.aux.log_prob[:-1], explored).mean((1, 2)).sum()
        entropy = self.block_weights @ jnp.append(before.entropy, mean_entropy(after))
        return Judgement(value, before.kl.sum() / max(1, before.kl.shape[0]), kl_after, entropy)


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


class Explored(NamedTuple):
    """The exploring blocks under replayed policies.

    Attributes:
        log_prob: of what was done, ``[B-1, T, N]``.
        kl: mean divergence of the policies that acted from them, ``[B-1]``.
        entropy: their mean entropy, ``[B-1]``.
    """

    log_prob: Float[Array, "B T N"]
    kl: Float[Array, " B"]
    entropy: Float[Array, " B"]


def mean_entropy(distributions: PyTree) -> Float[Array, ""]:
    """Mean entropy of policies ``[n]``, in nats."""
    return jax.vmap(lambda p: p.entropy())(distributions).mean()


def replay(
    learner: PolicyGradientLearner, params: GradientParams, trajectory: Trajectory, advantage: Float[Array, "B T N"]
) -> tuple[Explored, PyTree]:
    """One task's inner loop again, on its stored blocks: what its exploring policies make of theirs, and the policies
    of the last block at every step, ``[T·N, ...]``.
    """

    def step(state: PyTree, block_and_advantage: tuple[Trajectory, Array]) -> tuple[PyTree, Explored]:
        block, advantage = block_and_advantage
        now = policies(state.policy, block)
        kl = jax.vmap(lambda old, new: old.kl_to(new))(_flat(block.aux.policy), now).mean()
        return learner.step(params, state, block, advantage)[0], Explored(log_probs(now, block), kl, mean_entropy(now))

    blocks = jax.tree.map(lambda x: x[:-1], (trajectory, advantage))
    last = jax.tree.map(lambda x: x[-1], trajectory)
    step = jax.checkpoint(step) if learner.inner.remat else step
    final, before = filter_scan(step, learner.init(params, key=jax.random.key(0)), blocks)
    return before, policies(final.policy, last)


def _flat(tree: PyTree) -> PyTree:
    """``[T, N, ...]`` to ``[T·N, ...]``."""
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), tree)


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
