"""Hypernetworks: networks whose output is another network's parameters."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from quickstudy.nets.init import deviating_linear, drawn


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


class LowRankHypernetwork(eqx.Module):
    """``W(c) = W_0 + U diag(h(c)) V`` and ``b(c) = b_0 + h(c)``: changes of low rank, nonlinear in a code c.

    ``h(c) = H z`` and ``z = (c, silu(A c + a))``. H is zero at first, so that any code gives the base: Bias-HyperInit
    (Beck et al. 2022, arXiv:2210.11348). U and V are not, so that H feels a gradient.
    """

    trunk: eqx.nn.Linear
    heads: PyTree
    left: PyTree
    right: PyTree

    def __init__(self, target: PyTree, code_size: int, *, width: int, rank: int, key: Key[Array, ""]):
        arrays, structure = jax.tree.flatten(eqx.filter(target, eqx.is_inexact_array))
        heads, left, right = [], [], []
        for x in arrays:
            directions = min(rank, *x.shape) if x.ndim == 2 else x.shape[0]
            heads.append(jnp.zeros((directions, code_size + width)))
            left.append(jnp.full((x.shape[0], directions), 1 / math.sqrt(directions)) if x.ndim == 2 else None)
            right.append(jnp.full((directions, x.shape[1]), 1 / math.sqrt(x.shape[1])) if x.ndim == 2 else None)
        self.heads = jax.tree.unflatten(structure, heads)
        factors = tuple(jax.tree.unflatten(structure, xs) for xs in (left, right))
        self.trunk, (self.left, self.right) = drawn((deviating_linear(code_size, width, scale=1.0), factors), key=key)

    def __call__(self, code: Float[Array, " C"]) -> PyTree:
        """The change of every parameter, a pytree like the target."""
        z = jnp.concatenate([code, jax.nn.silu(self.trunk(code))])

        def change(head: Array, left: Array | None, right: Array | None) -> Array:
            return head @ z if left is None or right is None else (left * (head @ z)[None]) @ right

        return jax.tree.map(change, self.heads, self.left, self.right)
