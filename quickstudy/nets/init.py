"""Initialisation of layers."""

import math
from typing import TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Key

RELU = math.sqrt(2)
"""Scale that keeps the size of what relu units, and their like, pass on (He et al. 2015, arXiv:1502.01852)."""


def orthogonal_linear(num_in: int, num_out: int, *, scale: float, key: Key[Array, ""]) -> eqx.nn.Linear:
    """A linear layer with orthogonal weights times ``scale`` and zero bias (Saxe et al. 2014)."""
    linear = eqx.nn.Linear(num_in, num_out, key=key)
    weight = jax.nn.initializers.orthogonal(scale)(key, (num_out, num_in), jnp.float32)
    return eqx.tree_at(lambda layer: (layer.weight, layer.bias), linear, (weight, jnp.zeros(num_out)))


def deviating_linear(num_in: int, num_out: int, *, scale: float) -> eqx.nn.Linear:
    """A linear layer whose numbers are standard deviations: ``scale`` / √``num_in`` of weights, 0 of biases.

    `drawn` makes a network of such layers.
    """
    blank = eqx.filter_eval_shape(eqx.nn.Linear, num_in, num_out, key=jax.random.key(0))
    arrays = (jnp.full((num_out, num_in), scale / math.sqrt(num_in)), jnp.zeros(num_out))
    return eqx.tree_at(lambda layer: (layer.weight, layer.bias), blank, arrays)


ModuleT = TypeVar("ModuleT")


def drawn(deviations: ModuleT, *, key: Key[Array, ""]) -> ModuleT:
    """Normal numbers with these standard deviations, in one draw.

    A draw for every layer makes programs whose compilation takes longer than all else in them, and a factorisation as
    in `orthogonal_linear` cannot be mapped over the members of an ensemble.
    """
    arrays, static = eqx.partition(deviations, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(arrays)
    return eqx.combine(unravel(flat * jax.random.normal(key, flat.shape)), static)
