"""Gaussians by their natural parameters.

Factors are computed here, without LAPACK, because on the CPU its calls do not suit many small problems:
jaxlib (0.10) hands each of them to a thread of its pool and waits for it, which takes longer than the work itself, and
for ever where two devices on two cores do so at once for a batch.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

SMALL = 8
"""Up to this size a loop over columns is faster than halves, and compiles faster."""

ROUNDING = 1e-5
"""What elimination leaves of a diagonal element, as a share of it, may be off by this much with 32 bits."""

_product = partial(jnp.matmul, precision="highest")


def from_natural(
    precision: Float[Array, "D D"], weighted_mean: Float[Array, " D"]
) -> tuple[Float[Array, " D"], Float[Array, "D D"]]:
    """Mean, and a square root of the covariance (``root @ root.T``), of the Gaussian with these natural parameters.

    Args:
        precision: the inverse of the covariance: symmetric and positive definite.
        weighted_mean: ``precision @ mean``.
    """
    root = inverse_factor(precision).T
    return _product(root, _product(root.T, weighted_mean)), root


def inverse_factor(matrix: Float[Array, "D D"]) -> Float[Array, "D D"]:
    """The inverse of the Cholesky factor L of ``matrix = L Lᵀ``, by halves.

    With blocks A₁₁, A₂₁, A₂₂ and W₁₁ = L₁₁⁻¹: L₂₁ = A₂₁ W₁₁ᵀ, W₂₂ that of A₂₂ − L₂₁ L₂₁ᵀ, and W₂₁ = −W₂₂ L₂₁ W₁₁.

    A pivot that is nothing but `ROUNDING`, of either sign, counts as just that: where many alike observations leave
    some directions to the prior alone, its share of the matrix is beyond 32 bits. Below that the factor is not finite.
    """
    return _inverse_factor(matrix, ROUNDING * jnp.diagonal(matrix))


def _inverse_factor(matrix: Float[Array, "D D"], rounding: Float[Array, " D"]) -> Float[Array, "D D"]:
    size = matrix.shape[0]
    if size <= SMALL:
        return _eliminate(matrix, rounding)
    half = size // 2
    first = _inverse_factor(matrix[:half, :half], rounding[:half])
    below = _product(matrix[half:, :half], first.T)
    second = _inverse_factor(matrix[half:, half:] - _product(below, below.T), rounding[half:])
    corner = -_product(_product(second, below), first)
    return jnp.block([[first, jnp.zeros((half, size - half), matrix.dtype)], [corner, second]])


def _eliminate(matrix: Float[Array, "D D"], rounding: Float[Array, " D"]) -> Float[Array, "D D"]:
    """The same column by column: what turns ``matrix`` into Lᵀ turns the identity into L⁻¹."""
    rows = jnp.arange(matrix.shape[0])

    def step(column: Any, both: tuple[Array, Array]) -> tuple[Array, Array]:
        left, inverse = both
        pivot = left[column, column]
        length = jnp.sqrt(jnp.where(jnp.abs(pivot) < rounding[column], rounding[column], pivot))
        scaled = left[:, column] / length
        row = inverse[column] / length
        below = jnp.where(rows > column, scaled, 0.0)
        inverse = jnp.where((rows == column)[:, None], row[None], inverse - below[:, None] * row[None])
        return left - below[:, None] * below[None], inverse

    start = (matrix, jnp.eye(matrix.shape[0], dtype=matrix.dtype))
    return jax.lax.fori_loop(0, matrix.shape[0], step, start)[1]
