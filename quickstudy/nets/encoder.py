"""Encoders: from a task's transitions to a code, whatever order they came in."""

import math
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.nets.features import flat_obs, num_obs_features
from quickstudy.nets.init import orthogonal_linear
from quickstudy.types import Spec, Trajectory


class Evidence(NamedTuple):
    """What is kept of the transitions of a task: sum, maximum and number of their embeddings."""

    total: Float[Array, " H"]
    maximum: Float[Array, " H"]
    num_transitions: Float[Array, ""]


class SetEncoder(eqx.Module):
    """Embeds every transition, pools them over all time and streams by mean and maximum, and maps the pools to a code.

    Order-free (deep sets, Zaheer et al. 2017), and summed up as it comes: a task of any length costs the same memory.
    The mean tells frequencies, the maximum that something happened at all.
    """

    embed: tuple[eqx.nn.Linear, ...]
    read: tuple[eqx.nn.Linear, ...]
    prior: Float[Array, " C"]
    num_actions: int | None = eqx.field(static=True)

    def __init__(self, spec: Spec, *, width: int, code_size: int, key: Key[Array, ""]):
        k1, k2, k3, k4 = jax.random.split(key, 4)
        actions = math.prod(spec.action.shape) if spec.num_actions is None else spec.num_actions
        num_inputs = 2 * num_obs_features(spec) + 2 * actions + 1
        relu, out = math.sqrt(2), 1 / math.sqrt(code_size)
        self.embed = (
            orthogonal_linear(num_inputs, width, scale=relu, key=k1),
            orthogonal_linear(width, width, scale=relu, key=k2),
        )
        self.read = (
            orthogonal_linear(2 * width, width, scale=relu, key=k3),
            orthogonal_linear(width, code_size, scale=out, key=k4),
        )
        self.prior = jnp.zeros(code_size)
        self.num_actions = spec.num_actions

    def initial(self) -> Evidence:
        """No evidence."""
        zeros = jnp.zeros(self.embed[-1].out_features)
        return Evidence(zeros, zeros, jnp.zeros(()))

    def add(self, evidence: Evidence, trajectory: Trajectory) -> Evidence:
        """The evidence after one more block ``[T, N, ...]``."""
        embeddings = jax.vmap(jax.vmap(self._embed))(trajectory)
        flat = embeddings.reshape(-1, embeddings.shape[-1])
        return Evidence(
            evidence.total + flat.sum(0),
            jnp.maximum(evidence.maximum, flat.max(0)),
            evidence.num_transitions + flat.shape[0],
        )

    def code(self, evidence: Evidence) -> Float[Array, " C"]:
        """The code: a learned prior before any evidence."""
        pools = jnp.concatenate([evidence.total / jnp.maximum(evidence.num_transitions, 1.0), evidence.maximum])
        hidden, out = self.read
        code = jnp.tanh(out(jax.nn.relu(hidden(pools))))
        return jnp.where(evidence.num_transitions > 0, code, self.prior)

    def _embed(self, step: Trajectory) -> Float[Array, " H"]:
        action = step.action
        action = jnp.ravel(action) if self.num_actions is None else jax.nn.one_hot(action, self.num_actions)
        x = jnp.concatenate(
            [flat_obs(step.timestep.obs), action, action * step.reward, step.reward[None], flat_obs(step.next_obs)]
        )
        for layer in self.embed:
            x = jax.nn.relu(layer(x))
        return x
