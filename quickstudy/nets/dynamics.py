"""The inner model: how the state changes, what a step pays, and whether the task goes on, with their uncertainty."""

import itertools
import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.nets.features import num_obs_features
from quickstudy.nets.init import RELU, deviating_linear, drawn
from quickstudy.types import Action, Spec, Transitions

MAX_LOG_STD = 1.0
"""The largest predicted log standard deviation, in normalised units."""


class Scale(NamedTuple):
    """Means and standard deviations that observations, their changes and rewards are normalised by."""

    obs_mean: Float[Array, " F"]
    obs_std: Float[Array, " F"]
    change_mean: Float[Array, " F"]
    change_std: Float[Array, " F"]
    reward_mean: Float[Array, ""]
    reward_std: Float[Array, ""]

    @classmethod
    def unit(cls, num_obs: int) -> "Scale":
        """Nothing is changed."""
        zeros, ones = jnp.zeros(num_obs), jnp.ones(num_obs)
        return cls(zeros, ones, zeros, ones, jnp.zeros(()), jnp.ones(()))

    @classmethod
    def of(cls, data: Transitions) -> "Scale":
        """Of the transitions ``[M, C, ...]`` whose weight is 1."""
        weight = data.weight / jnp.maximum(data.weight.sum(), 1.0)

        def moments(x: Array) -> tuple[Array, Array]:
            mean = jnp.tensordot(weight, x, 2)
            variance = jnp.tensordot(weight, jnp.square(x - mean), 2)
            return mean, jnp.where(variance > 1e-10, jnp.sqrt(variance), 1.0)  # what never changes stays as it is

        with jax.numpy_rank_promotion("allow"):
            return cls(*moments(data.obs), *moments(data.next_obs - data.obs), *moments(data.reward))

    def normal(self, obs: Float[Array, " F"]) -> Float[Array, " F"]:
        """An observation, normalised."""
        return (obs - self.obs_mean) / self.obs_std

    def moved(self, obs: Float[Array, " F"], change: Float[Array, " F"]) -> Float[Array, " F"]:
        """The observation that a normalised ``change`` makes of ``obs``."""
        return obs + self.change_mean + self.change_std * change


class Prediction(NamedTuple):
    """What a model says of one transition, in normalised units.

    Attributes:
        change: mean of the change of state.
        change_log_std: logarithm of its standard deviation.
        reward: mean of the reward.
        reward_log_std: logarithm of its standard deviation.
        end: logit of the probability that the task terminates.
    """

    change: Float[Array, " F"]
    change_log_std: Float[Array, " F"]
    reward: Float[Array, ""]
    reward_log_std: Float[Array, ""]
    end: Float[Array, ""]


class InnerModel(eqx.Module):
    """Two perceptrons: ``(s, a)`` to the change of state, ``(s, a, s')`` to reward and termination.

    What a step pays mostly depends on where it led, alike in all tasks; the second network is shown that.
    """

    motion: tuple[eqx.nn.Linear, ...]
    outcome: tuple[eqx.nn.Linear, ...]
    num_actions: int | None = eqx.field(static=True)
    action_shape: tuple[int, ...] = eqx.field(static=True)
    min_log_std: float = eqx.field(static=True)

    def __init__(self, spec: Spec, *, width: int, depth: int, min_log_std: float, key: Key[Array, ""]):
        num_obs = num_obs_features(spec)
        num_in = num_obs + num_action_features(spec)
        motion, outcome = _layers(num_in, 2 * num_obs, width, depth), _layers(num_in + num_obs, 3, width, depth)
        self.motion, self.outcome = drawn((motion, outcome), key=key)
        self.num_actions, self.action_shape = spec.num_actions, spec.action.shape
        self.min_log_std = min_log_std

    def predict(
        self, scale: Scale, obs: Float[Array, " F"], action: Action, next_obs: Float[Array, " F"] | None = None
    ) -> Prediction:
        """What the transition would be; reward and termination are those of ``next_obs``, or of where it leads."""
        return self._predict(scale, obs, action_features(action, self.num_actions), next_obs)

    def _predict(
        self, scale: Scale, obs: Float[Array, " F"], action: Float[Array, " A"], next_obs: Float[Array, " F"] | None
    ) -> Prediction:
        x = jnp.concatenate([scale.normal(obs), action])
        change, change_log_std = jnp.split(_run(self.motion, x), 2)
        if next_obs is None:
            next_obs = scale.moved(obs, change)
        reward, reward_log_std, end = _run(self.outcome, jnp.concatenate([x, scale.normal(next_obs)]))
        return Prediction(change, self._bounded(change_log_std), reward, self._bounded(reward_log_std), end)

    def _bounded(self, x: Array) -> Array:
        return self.min_log_std + (MAX_LOG_STD - self.min_log_std) * jax.nn.sigmoid(x)

    def step(
        self, scale: Scale, obs: Float[Array, " F"], action: Action
    ) -> tuple[Float[Array, " F"], Float[Array, ""], Float[Array, ""]]:
        """The expected next observation and reward, and the probability that the task goes on: a planner's model."""
        return self.step_by(scale, obs, action_features(action, self.num_actions))

    def step_by(
        self, scale: Scale, obs: Float[Array, " F"], action: Float[Array, " A"]
    ) -> tuple[Float[Array, " F"], Float[Array, ""], Float[Array, ""]]:
        """As `step`, by an action's `action_features`: what can be differentiated whatever the action is."""
        said = self._predict(scale, obs, action, None)
        next_obs = scale.moved(obs, said.change)
        return next_obs, scale.reward_mean + scale.reward_std * said.reward, jax.nn.sigmoid(-said.end)


def transition_loss(model: InnerModel, scale: Scale, row: Transitions) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Of one transition: negative log likelihood (β-NLL), and squared error of the change of state.

    Each Gaussian term counts as much as its predicted standard deviation is large (Seitzer et al. 2022,
    arXiv:2203.09168, with β = ½): with plain likelihoods what is predicted badly is learned slowly.
    """
    said = model.predict(scale, row.obs, row.action, row.next_obs)
    return _missed(said, scale, row)


def missed_change(model: InnerModel, scale: Scale, row: Transitions) -> tuple[Float[Array, " F"], Float[Array, " F"]]:
    """Of one transition, in normalised units: what the change of state has beyond the prediction, which is its mean.

    Returns:
        That, and the logarithm of the deviation that was predicted for it.
    """
    said = model.predict(scale, row.obs, row.action, row.next_obs)
    return _standardised(scale, row)[0] - said.change, said.change_log_std


def log_likelihood(model: InnerModel, scale: Scale, row: Transitions) -> Float[Array, ""]:
    """Of one transition, in nats and normalised units, up to a constant that is the same for every model."""
    said = model.predict(scale, row.obs, row.action, row.next_obs)
    change, reward = _standardised(scale, row)
    motion = _log_density(change, said.change, said.change_log_std).sum()
    return motion + _log_density(reward, said.reward, said.reward_log_std) + _log_chance_of_ending(said, row)


def rollout_loss(model: InnerModel, scale: Scale, rows: Transitions) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """Of transitions ``[k]`` that follow each other: means of `transition_loss`, each from where the last was thought
    to lead.

    The first is predicted from where it was; what comes after the end of an episode, or has no weight, does not count.
    """

    def step(
        carry: tuple[Float[Array, " F"], Float[Array, ""]], row: Transitions
    ) -> tuple[tuple[Float[Array, " F"], Float[Array, ""]], tuple[Array, Array, Array]]:
        obs, counts = carry
        counts = counts * row.weight
        said = model.predict(scale, obs, row.action, row.next_obs)
        surprise, error = _missed(said, scale, row._replace(obs=obs))
        led = scale.moved(obs, said.change)
        return (led, counts * (1.0 - row.last)), (counts * surprise, counts * error, counts)

    first = rows.obs[0]
    _, (surprise, error, counts) = jax.lax.scan(step, (first, jnp.ones(())), rows)
    num = jnp.maximum(counts.sum(), 1.0)
    return surprise.sum() / num, error.sum() / num


def num_transition_numbers(spec: Spec) -> int:
    """Length of `transition_numbers` for a family."""
    return 2 * num_obs_features(spec) + num_action_features(spec) + 2


def transition_numbers(scale: Scale, row: Transitions, num_actions: int | None) -> Float[Array, " N"]:
    """One transition, normalised, for a network to read: state, action, change of state, reward, termination."""
    parts = (
        scale.normal(row.obs),
        action_features(row.action, num_actions),
        (row.next_obs - row.obs - scale.change_mean) / scale.change_std,
        ((row.reward - scale.reward_mean) / scale.reward_std)[None],
        1.0 - row.discount[None],
    )
    return jnp.concatenate(parts)


def num_action_features(spec: Spec) -> int:
    """Length of `action_features` for a family."""
    return math.prod(spec.action.shape) if spec.num_actions is None else spec.num_actions


def action_features(action: Action, num_actions: int | None) -> Float[Array, " A"]:
    """An action as numbers: one-hot if it is discrete."""
    return jnp.ravel(action) if num_actions is None else jax.nn.one_hot(action, num_actions)


def _missed(said: Prediction, scale: Scale, row: Transitions) -> tuple[Float[Array, ""], Float[Array, ""]]:
    change, reward = _standardised(scale, row)
    surprise = _counted(change, said.change, said.change_log_std).sum()
    surprise += _counted(reward, said.reward, said.reward_log_std)
    surprise -= _log_chance_of_ending(said, row)
    return surprise, jnp.mean(jnp.square(change - said.change))


def _standardised(scale: Scale, row: Transitions) -> tuple[Float[Array, " F"], Float[Array, ""]]:
    change = (row.next_obs - row.obs - scale.change_mean) / scale.change_std
    return change, (row.reward - scale.reward_mean) / scale.reward_std


def _counted(target: Array, mean: Array, log_std: Array) -> Array:
    return -jax.lax.stop_gradient(jnp.exp(log_std)) * _log_density(target, mean, log_std)


def _log_density(target: Array, mean: Array, log_std: Array) -> Array:
    return -0.5 * jnp.square(target - mean) * jnp.exp(-2 * log_std) - log_std


def _log_chance_of_ending(said: Prediction, row: Transitions) -> Float[Array, ""]:
    return (1.0 - row.discount) * said.end - jax.nn.softplus(said.end)


def _layers(num_in: int, num_out: int, width: int, depth: int) -> tuple[eqx.nn.Linear, ...]:
    sizes = (num_in, *[width] * depth)
    hidden = [deviating_linear(n, m, scale=RELU) for n, m in itertools.pairwise(sizes)]
    return (*hidden, deviating_linear(width, num_out, scale=0.01))


def _run(layers: tuple[eqx.nn.Linear, ...], x: Array) -> Array:
    for layer in layers[:-1]:
        x = jax.nn.silu(layer(x))
    return layers[-1](x)
