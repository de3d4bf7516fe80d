"""Proximal policy optimisation over whole trials: the outer loop that RL² and multi-task PPO share.

Schulman et al. 2017, arXiv:1707.06347. For every step, with ratio ρ = π(a|h) / π_old(a|h)::

    loss = − min(ρ A, clip(ρ, 1 ± clip) A)  +  value_weight · ½ (v − target)²  −  entropy_weight · H(π(·|h))

What distinguishes the two users is how far the future reaches, a function that they pass in: `lifetime_targets` lets
advantages cross the borders of episodes, `episode_targets` cuts them there.
"""

from typing import NamedTuple, Protocol, runtime_checkable

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, PyTree

from quickstudy.errors import InvalidArgument, require_counts, require_within
from quickstudy.meta import MetaState
from quickstudy.nets.actor_critic import AbstractActorCritic
from quickstudy.ops.returns import generalized_advantage
from quickstudy.types import Action, Info, Snapshot, TimeStep, Trajectory, Trial


class ValueScale(NamedTuple):
    """Running mean and variance of value targets, so that the critic always learns numbers of order one."""

    mean: Float[Array, ""]
    variance: Float[Array, ""]
    weight: Float[Array, ""]

    @property
    def std(self) -> Float[Array, ""]:
        """Standard deviation of the targets seen lately."""
        return jnp.sqrt(self.variance + 1e-6)


class Batch(NamedTuple):
    """What the loss reads, one entry a stream: ``[K, N, L, ...]`` with L steps in a trial."""

    timestep: TimeStep
    action: Action
    log_prob: Float[Array, "*axes L"]
    advantage: Float[Array, "*axes L"]
    target: Float[Array, "*axes L"]


@runtime_checkable
class Targets(Protocol):
    """How far the future reaches: advantages of one stream ``[L]``, with values in units of reward."""

    def __call__(
        self,
        ppo: "PPO",
        params: AbstractActorCritic,
        scale: ValueScale,
        stream: Trajectory,
        final_carry: PyTree,
        final_timestep: TimeStep,
    ) -> Float[Array, " L"]: ...


class PPO(eqx.Module):
    """Hyperparameters of the outer loop.

    Learning rate and entropy weight fall linearly, over ``anneal_steps`` meta-updates, to their final values.
    """

    learning_rate: float = 3e-3
    """Adam's step size at the start."""
    final_learning_rate: float = 3e-4
    """Adam's step size from ``anneal_steps`` on."""
    entropy_weight: float = 0.03
    """Weight of the entropy bonus at the start."""
    final_entropy_weight: float = 0.0
    """Weight of the entropy bonus from ``anneal_steps`` on."""
    anneal_steps: int = 600
    """Meta-updates over which learning rate and entropy weight fall."""
    gamma: float = 0.97
    """Discount, applied over the whole trial."""
    trace: float = 0.9
    """λ of the generalised advantage estimate."""
    clip: float = 0.2
    """How far the probability ratio may leave 1."""
    value_weight: float = 0.5
    """Weight of the value loss."""
    num_epochs: int = 4
    """Passes over each batch of trials."""
    num_minibatches: int = 4
    """Gradient steps in a pass; must divide the number of tasks."""
    max_grad_norm: float = 0.5
    """Gradients longer than this are scaled down to it."""
    remat: bool = False
    """Recompute activations in the backward pass: less memory, more time."""

    def __check_init__(self):
        require_counts(self, "num_epochs", "num_minibatches", "anneal_steps", prefix="ppo.")
        require_within("[0, 1]", self, "gamma", "trace", prefix="ppo.")
        require_within("(0, inf)", self, "learning_rate", "clip", "max_grad_norm", prefix="ppo.")

    def init(self, params: AbstractActorCritic) -> MetaState:
        """The state before any training of ``params``."""
        opt_state = self._optimizer().init(eqx.filter(params, eqx.is_inexact_array))
        scale = ValueScale(jnp.zeros(()), jnp.ones(()), jnp.zeros(()))
        return MetaState(params, opt_state, jnp.zeros((), jnp.int32), scale)

    def update(self, state: MetaState, trials: Trial, targets: Targets) -> tuple[MetaState, Info]:
        """One meta-update from the trials of K tasks."""
        scale = state.extra
        batch = self._batch(state.params, scale, trials, targets)
        scale = _follow(scale, batch.target)
        batch = batch._replace(
            advantage=(batch.advantage - batch.advantage.mean()) / (batch.advantage.std() + 1e-8),
            target=(batch.target - scale.mean) / scale.std,
        )
        schedule = optax.linear_schedule(self.entropy_weight, self.final_entropy_weight, self.anneal_steps)
        entropy_weight = jnp.asarray(schedule(state.step))
        params, opt_state, info = self._epochs(state.params, state.opt_state, batch, entropy_weight)
        params = params.after(batch.timestep)
        info |= {"value_scale": scale.std, "entropy_weight": entropy_weight}
        return MetaState(params, opt_state, state.step + 1, scale), info

    def _batch(self, params: AbstractActorCritic, scale: ValueScale, trials: Trial, targets: Targets) -> Batch:
        streams = streams_of(trials.trajectory)
        final: Snapshot = trials.final
        advantage = jax.vmap(jax.vmap(lambda *xs: targets(self, params, scale, *xs)))(
            streams, final.carry, final.timestep
        )
        target = advantage + streams.aux.value * scale.std + scale.mean
        return Batch(streams.timestep, streams.action, streams.aux.log_prob, advantage, target)

    def _epochs(
        self, params: AbstractActorCritic, opt_state: PyTree, batch: Batch, entropy_weight: Float[Array, ""]
    ) -> tuple[AbstractActorCritic, PyTree, Info]:
        minibatches = jax.tree.map(self._split, batch)
        arrays, static = eqx.partition(params, eqx.is_inexact_array)

        def gradient_step(carry: tuple[PyTree, PyTree], minibatch: Batch) -> tuple[tuple[PyTree, PyTree], Info]:
            arrays, opt_state = carry

            def loss(arrays: PyTree) -> tuple[Float[Array, ""], Info]:
                return self._loss(eqx.combine(arrays, static), minibatch, entropy_weight)

            grads, info = jax.grad(loss, has_aux=True)(arrays)
            updates, opt_state = self._optimizer().update(grads, opt_state)
            info["gradient_norm"] = optax.tree.norm(grads)
            return (optax.apply_updates(arrays, updates), opt_state), info

        def epoch(carry: tuple[PyTree, PyTree], _: None) -> tuple[tuple[PyTree, PyTree], Info]:
            return jax.lax.scan(gradient_step, carry, minibatches)

        (arrays, opt_state), info = jax.lax.scan(epoch, (arrays, opt_state), length=self.num_epochs)
        return eqx.combine(arrays, static), opt_state, jax.tree.map(jnp.mean, info)

    def _split(self, x: Array) -> Array:
        """``[K, ...]`` to ``[M, K/M, ...]``.

        Strided rather than shuffled: the tasks of a batch are exchangeable, and a stride takes the same share of
        every minibatch from every device that the tasks are sharded over, so nothing moves between devices.
        """
        if x.shape[0] % self.num_minibatches:
            raise InvalidArgument(
                f"the number of tasks ({x.shape[0]}) must be a multiple of ppo.num_minibatches "
                f"({self.num_minibatches}): change one of them"
            )
        return x.reshape(-1, self.num_minibatches, *x.shape[1:]).swapaxes(0, 1)

    def _loss(
        self, params: AbstractActorCritic, batch: Batch, entropy_weight: Float[Array, ""]
    ) -> tuple[Float[Array, ""], Info]:
        policies, values = jax.vmap(jax.vmap(lambda timesteps: params.unroll(timesteps, remat=self.remat)))(
            batch.timestep
        )
        over_steps = lambda f: jax.vmap(jax.vmap(jax.vmap(f)))
        log_ratio = over_steps(lambda policy, action: policy.log_prob(action))(policies, batch.action) - batch.log_prob
        ratio = jnp.exp(log_ratio)
        clipped = jnp.clip(ratio, 1 - self.clip, 1 + self.clip)
        policy_loss = -jnp.minimum(ratio * batch.advantage, clipped * batch.advantage).mean()
        value_loss = 0.5 * jnp.square(values - batch.target).mean()
        entropy = over_steps(lambda policy: policy.entropy())(policies).mean()
        loss = policy_loss + self.value_weight * value_loss - entropy_weight * entropy
        info = {
            "loss": loss,
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "kl": (ratio - 1 - log_ratio).mean(),
            "clip_fraction": (jnp.abs(ratio - 1) > self.clip).mean(),
        }
        return loss, info

    def _optimizer(self) -> optax.GradientTransformation:
        gradient_steps = self.anneal_steps * self.num_epochs * self.num_minibatches
        rate = optax.linear_schedule(self.learning_rate, self.final_learning_rate, gradient_steps)
        return optax.chain(optax.clip_by_global_norm(self.max_grad_norm), optax.adam(rate, eps=1e-5))


def streams_of(trajectory: Trajectory) -> Trajectory:
    """``[K, B, T, N, ...]`` to ``[K, N, L, ...]``: each stream of a trial as one sequence."""

    def one(x: Array) -> Array:
        x = jnp.moveaxis(x, 3, 1)
        return x.reshape(*x.shape[:2], -1, *x.shape[4:])

    return jax.tree.map(one, trajectory)


def lifetime_targets(
    ppo: PPO,
    params: AbstractActorCritic,
    scale: ValueScale,
    stream: Trajectory,
    final_carry: PyTree,
    final_timestep: TimeStep,
    *,
    mortal: bool = False,
) -> Float[Array, " L"]:
    """Advantages that cross the borders of episodes: exploration now is paid by return in later episodes.

    After an episode ends, terminated or truncated, the agent lives on in the next one, so the value of that one's
    first step is what the border bootstraps from. The lifetime ends with the trial when an episode ends there too
    (the future is worth 0); a trial that was cut in the middle of an episode bootstraps from where it stopped. If
    ``mortal``, termination ends it as well, and only what the clock ends lives on.
    """
    _, _, last = params.step(final_carry, final_timestep)
    v_tm1 = stream.aux.value * scale.std + scale.mean
    v_t = jnp.append(v_tm1[1:], last * scale.std + scale.mean)
    lifetime_over = jnp.zeros_like(stream.terminated).at[-1].set(final_timestep.first)
    if mortal:
        lifetime_over |= stream.terminated
    discount = ppo.gamma * (1.0 - lifetime_over)
    return generalized_advantage(stream.reward, discount, v_tm1, v_t, jnp.full_like(v_t, ppo.trace))


def episode_targets(
    ppo: PPO,
    params: AbstractActorCritic,
    scale: ValueScale,
    stream: Trajectory,
    final_carry: PyTree,
    final_timestep: TimeStep,
) -> Float[Array, " L"]:
    """Advantages within one episode, for a policy without memory: 0 after termination, V(next_obs) after truncation."""
    del final_timestep
    successor = stream.timestep._replace(obs=stream.next_obs)
    values = jax.vmap(lambda timestep: params.step(final_carry, timestep)[2])(successor)
    v_tm1 = stream.aux.value * scale.std + scale.mean
    v_t = values * scale.std + scale.mean
    border: Bool[Array, " L"] = stream.terminated | stream.truncated
    discount = ppo.gamma * (1.0 - stream.terminated)
    return generalized_advantage(stream.reward, discount, v_tm1, v_t, ppo.trace * (1.0 - border))


def _follow(scale: ValueScale, targets: Float[Array, "..."], rate: float = 0.05) -> ValueScale:
    """Exponential moving averages of the targets' moments; the first batch sets them."""
    weight = jnp.where(scale.weight == 0, 1.0, rate)
    mean = scale.mean + weight * (targets.mean() - scale.mean)
    variance = scale.variance + weight * (targets.var() - scale.variance)
    return ValueScale(mean, variance, jnp.ones(()))
