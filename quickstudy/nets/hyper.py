"""Hypernetworks: networks whose output is another network's parameters."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree


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
        k_trunk, k_factors = jax.random.split(key)
        self.trunk = eqx.nn.Linear(code_size, width, key=k_trunk)
        arrays, structure = jax.tree.flatten(eqx.filter(target, eqx.is_inexact_array))
        heads, left, right = [], [], []
        for x, k in zip(arrays, jax.random.split(k_factors, len(arrays)), strict=True):
            directions = min(rank, *x.shape) if x.ndim == 2 else x.shape[0]
            heads.append(jnp.zeros((directions, code_size + width)))
            both = jax.random.normal(k, (directions, sum(x.shape))) if x.ndim == 2 else None
            left.append(None if both is None else both[:, : x.shape[0]].T / math.sqrt(directions))
            right.append(None if both is None else both[:, x.shape[0] :] / math.sqrt(x.shape[1]))
        self.heads, self.left, self.right = (jax.tree.unflatten(structure, xs) for xs in (heads, left, right))

    def __call__(self, code: Float[Array, " C"]) -> PyTree:
        """The change of every parameter, a pytree like the target."""
        z = jnp.concatenate([code, jax.nn.silu(self.trunk(code))])

        def change(head: Array, left: Array | None, right: Array | None) -> Array:
            return head @ z if left is None or right is None else (left * (head @ z)[None]) @ right

        return jax.tree.map(change, self.heads, self.left, self.right)
