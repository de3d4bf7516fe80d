"""Gaussians by their natural parameters."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def from_natural(
    precision: Float[Array, "D D"], weighted_mean: Float[Array, " D"]
) -> tuple[Float[Array, " D"], Float[Array, "D D"]]:
    """Mean, and a square root of the covariance (``root @ root.T``), of the Gaussian with these natural parameters.

    Args:
        precision: the inverse of the covariance: symmetric and positive definite.
        weighted_mean: ``precision @ mean``.

    On the CPU a batch is factorised one by one: a batched factorisation waits, inside a thread of jaxlib's pool, for
    work that it queues there, so that two devices on two cores wait for ever (jaxlib 0.10).
    """
    one_by_one = jax.custom_batching.sequential_vmap(_from_natural)
    return jax.lax.platform_dependent(precision, weighted_mean, cpu=one_by_one, default=_from_natural)


def _from_natural(
    precision: Float[Array, "D D"], weighted_mean: Float[Array, " D"]
) -> tuple[Float[Array, " D"], Float[Array, "D D"]]:
    factor = jnp.linalg.cholesky(precision)
    root = jax.scipy.linalg.solve_triangular(factor, jnp.eye(precision.shape[0]), lower=True, trans="T")
    return root @ (root.T @ weighted_mean), root
