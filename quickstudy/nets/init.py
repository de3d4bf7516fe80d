"""Initialisation of layers."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key


def orthogonal_linear(num_in: int, num_out: int, *, scale: float, key: Key[Array, ""]) -> eqx.nn.Linear:
    """A linear layer with orthogonal weights times ``scale`` and zero bias (Saxe et al. 2014)."""
    linear = eqx.nn.Linear(num_in, num_out, key=key)
    weight = jax.nn.initializers.orthogonal(scale)(key, (num_out, num_in), jnp.float32)
    return eqx.tree_at(lambda layer: (layer.weight, layer.bias), linear, (weight, jnp.zeros(num_out)))
