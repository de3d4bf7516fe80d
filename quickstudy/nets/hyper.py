"""Hypernetworks: networks whose output is another network's parameters."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree


class LinearHypernetwork(eqx.Module):
    """``Δ(c) = D c``: a change of every parameter of a target network, linear in a code c.

    The target's parameters are its own base plus Δ: they move within a subspace of as many dimensions as the code has.
    D is zero at first, so that any code gives the base, a network that was initialised as usual: Bias-HyperInit (Beck
    et al. 2022, arXiv:2210.11348), without which hypernetworks hardly train.
    """

    directions: PyTree

    def __init__(self, target: PyTree, code_size: int):
        zeros = lambda x: jnp.zeros((*x.shape, code_size), x.dtype)
        self.directions = jax.tree.map(zeros, eqx.filter(target, eqx.is_inexact_array))

    def __call__(self, code: Float[Array, " C"]) -> PyTree:
        """The change of every parameter, a pytree like the target."""
        return jax.tree.map(lambda d: d @ code, self.directions)
