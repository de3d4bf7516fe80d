"""How parameters are judged: inner steps are run again on stored rollouts, and what they lead to is weighed.

For parameters Θ and the rollouts of a task, a `Judge` replays ``φ_0(Θ), φ_1(Θ), …`` and weighs, for each block b, how
much better the policy φ_b(Θ) would have done than the one that acted::

    value  =  Σ_b weight_b · mean_t min(ρ A, clip(ρ, 1 ± clip) A),     ρ = π_{φ_b(Θ)}(a_t|s_t) / π_acted(a_t|s_t)
"""

from collections.abc import Callable
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from quickstudy.algorithms.gradient.learner import GradientParams, PolicyGradientLearner, log_probs, policies
from quickstudy.ops.policy_gradient import clipped
from quickstudy.ops.trust_region import gauss_newton_product
from quickstudy.parallel import mean_over_tasks
from quickstudy.trial import filter_scan
from quickstudy.types import Trajectory, Trial


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
