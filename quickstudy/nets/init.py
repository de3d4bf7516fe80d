"""Initialisation of layers."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

RELU = math.sqrt(2)
"""Scale that keeps the size of what relu units, and their like, pass on (He et al. 2015, arXiv:1502.01852)."""


def orthogonal_linear(num_in: int, num_out: int, *, scale: float, key: Key[Array, ""]) -> eqx.nn.Linear:
    """A linear layer with orthogonal weights times ``scale`` and zero bias (Saxe et al. 2014)."""
    linear = eqx.nn.Linear(num_in, num_out, key=key)
    weight = jax.nn.initializers.orthogonal(scale)(key, (num_out, num_in), jnp.float32)
    return eqx.tree_at(lambda layer: (layer.weight, layer.bias), linear, (weight, jnp.zeros(num_out)))


def normal_linear(num_in: int, num_out: int, *, scale: float, key: Key[Array, ""]) -> eqx.nn.Linear:
    """A linear layer with normal weights of standard deviation ``scale`` / √``num_in``, and zero bias.

    No factorisation, unlike `orthogonal_linear`: it may be mapped over the members of an ensemble.
    """
    linear = eqx.nn.Linear(num_in, num_out, key=key)
    weight = scale / math.sqrt(num_in) * jax.random.normal(key, (num_out, num_in))
    return eqx.tree_at(lambda layer: (layer.weight, layer.bias), linear, (weight, jnp.zeros(num_out)))
