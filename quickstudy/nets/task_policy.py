"""The policy that adapts by gradient: a small perceptron on the observation, and what of it may change in a task."""

import math
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.errors import InvalidArgument, require_positive, unknown
from quickstudy.nets.features import num_obs_features
from quickstudy.nets.init import orthogonal_linear
from quickstudy.nets.policy import Categorical, DiagonalGaussian, PolicyHead
from quickstudy.types import Spec

Activation = Literal["tanh", "relu"]
Part = Literal["all", "head", "context"]
ACTIVATIONS = {"tanh": jax.nn.tanh, "relu": jax.nn.relu}


class PolicyNetwork(eqx.Module):
    """Hyperparameters of a `TaskPolicy`."""

    width: int = 64
    """Units in a hidden layer."""
    depth: int = 2
    """Hidden layers."""
    activation: Activation = "tanh"
    """Nonlinearity of the hidden layers."""

    def __check_init__(self):
        require_positive(**{"network.width": self.width, "network.depth": self.depth})
        if self.activation not in ACTIVATIONS:
            raise unknown("network.activation", self.activation, ACTIVATIONS)

    def build(self, spec: Spec, *, context_size: int = 0, key: Key[Array, ""]) -> "TaskPolicy":
        """A freshly initialised policy for families of this ``spec``."""
        k_head, *k_layers = jax.random.split(key, self.depth + 1)
        sizes = [num_obs_features(spec) + context_size] + [self.width] * self.depth
        layers = tuple(
            orthogonal_linear(n, m, scale=math.sqrt(2), key=k)
            for n, m, k in zip(sizes[:-1], sizes[1:], k_layers, strict=True)
        )
        context = jnp.zeros(context_size) if context_size else None
        return TaskPolicy(context, layers, PolicyHead(self.width, spec, key=k_head), self.activation)


class TaskPolicy(eqx.Module):
    """``π(a | s; φ)``: hidden layers on the observation beside a context vector, then a policy head.

    The context is a parameter like the others, zero at first: an input that belongs to the task (CAVIA's).
    """

    context: Float[Array, " C"] | None
    layers: tuple[eqx.nn.Linear, ...]
    head: PolicyHead
    activation: Activation = eqx.field(static=True)

    def __call__(self, obs: Float[Array, " F"]) -> Categorical | DiagonalGaussian:
        x = obs if self.context is None else jnp.concatenate([obs, self.context])
        for layer in self.layers:
            x = ACTIVATIONS[self.activation](layer(x))
        return self.head(x)


def part_of(policy: TaskPolicy, part: Part) -> TaskPolicy:
    """A pytree of booleans like ``policy``: True where a parameter belongs to ``part`` and so adapts in a task.

    Raises:
        InvalidArgument: nothing belongs to it.
    """
    chosen = {"all": lambda p: p, "head": lambda p: p.head, "context": lambda p: p.context}
    if part not in chosen:
        raise unknown("part of the policy", part, chosen)
    if not jax.tree.leaves(chosen[part](policy)):
        raise InvalidArgument(f"part={part!r} leaves nothing to adapt: the policy has no {part}")
    nothing = jax.tree.map(lambda _: False, policy)
    return eqx.tree_at(chosen[part], nothing, replace_fn=lambda chosen: jax.tree.map(lambda _: True, chosen))
