"""A policy, and its value, that are learned in models of tasks: the cheap way to act, and what lies beyond a plan.

From stored states of a task the policy acts for H steps in the task's models, each state in one of them, and is moved
along the gradient of what it earns there, through the models; the value is moved to the same targets::

    G_t     =  r_t + γ c_t [(1 − λ) V(s_{t+1}, z) + λ G_{t+1}],     G_H = V(s_H, z),     a_t = π(s_t, z)
    policy:    max Σ_t G_t                  value:    min Σ_t (V(s_t, z) − G_t)²

with c the chance that the task goes on and z what is known of the task. Source: Dreamer, Hafner et al. 2020,
arXiv:1912.01603; stochastic value gradients, Heess et al. 2015, arXiv:1510.09142.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.errors import require_counts, require_within
from quickstudy.nets.dynamics import InnerModel, Scale, num_action_features
from quickstudy.nets.features import num_obs_features
from quickstudy.nets.perceptron import Perceptron
from quickstudy.types import Action, Info, Spec

BOUND = 5.0
"""Imagined states stay within this many standard deviations of the mean of those that were seen, and values within as
many `Behaviour.unit` of an average future: beyond, models say anything, and a value that learns from itself grows."""


class Behaviour(eqx.Module):
    """A policy π(s, z) and a value V(s, z); both read the state normalised, and numbers z that the task is known by."""

    policy: Perceptron
    critic: Perceptron
    num_actions: int | None = eqx.field(static=True)
    action_shape: tuple[int, ...] = eqx.field(static=True)
    gamma: float = eqx.field(static=True)

    def __init__(self, spec: Spec, num_known: int, *, width: int, gamma: float, key: Key[Array, ""]):
        k_policy, k_critic = jax.random.split(key)
        num_in = num_obs_features(spec) + num_known
        self.policy = Perceptron(num_in, num_action_features(spec), width=width, depth=2, key=k_policy)
        self.critic = Perceptron(num_in, 1, width=width, depth=2, key=k_critic)
        self.num_actions, self.action_shape, self.gamma = spec.num_actions, spec.action.shape, gamma

    def action(self, scale: Scale, obs: Float[Array, " F"], known: Float[Array, " Z"]) -> Action:
        """What the policy does: the most probable action, or the one in [-1, 1] that it names."""
        said = self.policy(_read(scale, obs, known))
        if self.num_actions is None:
            return jnp.tanh(said).reshape(self.action_shape)
        return jnp.argmax(said).astype(jnp.int32)

    def features(
        self, scale: Scale, obs: Float[Array, " F"], known: Float[Array, " Z"], *, key: Key[Array, ""]
    ) -> Float[Array, " A"]:
        """The action as a model reads it, to be differentiated through.

        A discrete one is drawn by its probabilities and its gradient is theirs (straight through, Bengio et al. 2013,
        arXiv:1308.3432).
        """
        said = self.policy(_read(scale, obs, known))
        if self.num_actions is None:
            return jnp.tanh(said)
        probabilities = jax.nn.softmax(said)
        drawn = jax.nn.one_hot(jax.random.categorical(key, said), self.num_actions)
        return jax.lax.stop_gradient(drawn - probabilities) + probabilities

    def value(self, scale: Scale, obs: Float[Array, " F"], known: Float[Array, " Z"]) -> Float[Array, ""]:
        """V, in units of reward; the network says by how many `unit` it differs from average rewards for ever."""
        differs = BOUND * jnp.tanh(self.critic(_read(scale, obs, known))[0] / BOUND)
        return scale.reward_mean / (1.0 - self.gamma) + self.unit(scale) * differs

    def unit(self, scale: Scale) -> Float[Array, ""]:
        """What a standard deviation of the reward is worth for ever."""
        return scale.reward_std / (1.0 - self.gamma)


class Imagination(eqx.Module):
    """Hyperparameters of a policy and a value that are learned in the models."""

    horizon: int = 0
    """H, steps that the policy acts for in a model; 0 for no policy and no value."""
    num_starts: int = 4
    """States of a stored trial that it acts from in each model, in a step of Muon."""
    width: int = 64
    """Units in a layer of both networks."""
    gamma: float = 0.99
    """Discount."""
    lam: float = 0.95
    """λ: 0 for targets one step ahead, 1 for targets at the end of the imagined steps."""

    def __check_init__(self):
        require_counts(self, "num_starts", "width", prefix="imagination.")
        require_within("[0, inf)", self, "horizon", prefix="imagination.")
        require_within("[0, 1)", self, "gamma", prefix="imagination.")
        require_within("[0, 1]", self, "lam", prefix="imagination.")

    def build(self, spec: Spec, num_known: int, *, key: Key[Array, ""]) -> Behaviour | None:
        """Fresh networks, if any are to be learned."""
        if not self.horizon:
            return None
        return Behaviour(spec, num_known, width=self.width, gamma=self.gamma, key=key)

    def loss(
        self,
        behaviour: Behaviour,
        ensemble: InnerModel,
        scale: Scale,
        starts: Float[Array, "E R F"],
        known: Float[Array, " Z"],
        *,
        key: Key[Array, ""],
    ) -> tuple[Float[Array, ""], Info]:
        """What the policy misses, and the value's squared error, from R states in each of the E models."""
        ensemble, known = jax.lax.stop_gradient((ensemble, known))
        keys = jax.random.split(key, starts.shape[:2])

        def in_one(model: InnerModel, starts: Array, keys: Array) -> tuple[Array, Array]:
            one = lambda start, key: self._one(behaviour, model, scale, start, known, key=key)
            return jax.vmap(one)(starts, keys)

        earned, error = eqx.filter_vmap(in_one)(ensemble, starts, keys)
        return error.mean() - earned.mean(), {"imagined": earned.mean(), "value_error": error.mean()}

    def _one(
        self,
        behaviour: Behaviour,
        model: InnerModel,
        scale: Scale,
        start: Float[Array, " F"],
        known: Float[Array, " Z"],
        *,
        key: Key[Array, ""],
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Mean target of the imagined steps, and mean squared error of the value, in the value network's units."""
        frozen = jax.lax.stop_gradient(behaviour)
        low, high = scale.obs_mean - BOUND * scale.obs_std, scale.obs_mean + BOUND * scale.obs_std

        def act(obs: Float[Array, " F"], key: Key[Array, ""]) -> tuple[Array, tuple[Array, Array, Array]]:
            next_obs, reward, goes_on = model.step_by(scale, obs, behaviour.features(scale, obs, known, key=key))
            next_obs = jnp.clip(next_obs, low, high)
            return next_obs, (next_obs, reward, goes_on)

        _, (after, reward, goes_on) = jax.lax.scan(act, start, jax.random.split(key, self.horizon))
        values = jax.vmap(lambda obs: frozen.value(scale, obs, known))(after)

        def target(later: Float[Array, ""], x: tuple[Array, Array, Array]) -> tuple[Array, Array]:
            reward, goes_on, value = x
            now = reward + self.gamma * goes_on * ((1.0 - self.lam) * value + self.lam * later)
            return now, now

        _, targets = jax.lax.scan(target, values[-1], (reward, goes_on, values), reverse=True)
        before = jax.lax.stop_gradient(jnp.concatenate([start[None], after[:-1]]))
        reached = jax.lax.stop_gradient(jnp.cumprod(jnp.concatenate([jnp.ones(1), goes_on[:-1]])))
        guesses = jax.vmap(lambda obs: behaviour.value(scale, obs, known))(before)
        missed = (guesses - jax.lax.stop_gradient(targets)) / behaviour.unit(scale)
        return jnp.mean(reached * targets) / behaviour.unit(scale), 0.5 * jnp.mean(reached * jnp.square(missed))


def _read(scale: Scale, obs: Float[Array, " F"], known: Float[Array, " Z"]) -> Float[Array, " N"]:
    return jnp.concatenate([scale.normal(obs), known])
