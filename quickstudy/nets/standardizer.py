"""Inputs of order one, whatever the units of an environment are: running moments of what networks read."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quickstudy.nets.features import num_obs_features, obs_features
from quickstudy.types import Spec, TimeStep

LARGEST = 5.0
"""In standard deviations: what is farther away is moved here."""
SLOWEST = 0.01
"""The least that a new batch counts: first batches are averaged, and later moments follow the policy."""


class Standardizer(eqx.Module):
    """Observations less their mean over their standard deviation, number by number, and rewards over their size.

    Angles in radians, speeds and rewards of one robot differ by factors of a hundred, and a layer that reads them as
    they are learns from the largest first. A reward keeps its sign, and 0 stays 0. The moments are those of training:
    they are part of the parameters, no gradient reaches them, and in a new task they stand still.
    """

    mean: Float[Array, " F"]
    variance: Float[Array, " F"]
    reward_square: Float[Array, ""]
    num_batches: Float[Array, ""]

    def __init__(self, spec: Spec):
        size = num_obs_features(spec)
        self.mean, self.variance = jnp.zeros(size), jnp.ones(size)
        self.reward_square, self.num_batches = jnp.ones(()), jnp.zeros(())

    def __call__(self, timestep: TimeStep) -> TimeStep:
        """The same time step with a flat, standardised observation and a scaled reward."""
        still = jax.lax.stop_gradient(self)
        obs = (obs_features(timestep) - still.mean) * _inverse_root(still.variance)
        reward = timestep.prev_reward * _inverse_root(still.reward_square)
        bound = lambda x: jnp.clip(x, -LARGEST, LARGEST)
        return timestep._replace(obs=bound(obs), prev_reward=bound(reward))

    def after(self, timesteps: TimeStep) -> "Standardizer":
        """With the moments of ``timesteps`` ``[K, N, L, ...]`` among its own."""
        obs = jax.vmap(jax.vmap(jax.vmap(obs_features)))(timesteps)
        mean, variance = obs.mean((0, 1, 2)), obs.var((0, 1, 2))
        reward_square = jnp.square(timesteps.prev_reward).mean()
        weight = jnp.maximum(1.0 / (self.num_batches + 1.0), SLOWEST)
        old = (self.mean, self.variance, self.reward_square)
        moved = jax.tree.map(lambda x, new: x + weight * (new - x), old, (mean, variance, reward_square))
        where = lambda s: (s.mean, s.variance, s.reward_square, s.num_batches)
        return eqx.tree_at(where, self, (*moved, self.num_batches + 1.0))


def _inverse_root(square: Float[Array, "..."]) -> Float[Array, "..."]:
    """1 / √x, and 1 where x is 0: what never changes stays as it is."""
    return jnp.where(square > 1e-10, jax.lax.rsqrt(jnp.maximum(square, 1e-10)), 1.0)
