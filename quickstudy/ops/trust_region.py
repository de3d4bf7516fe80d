"""What trust-region policy optimisation is made of (Schulman et al. 2015, arXiv:1502.05477)."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

Vector = Float[Array, " n"]


def hessian_vector_product(function: Callable[[PyTree], Float[Array, ""]], at: PyTree, v: PyTree) -> PyTree:
    """``∇² function(at) · v``, by forward over reverse differentiation."""
    return jax.jvp(jax.grad(function), (at,), (v,))[1]


def gauss_newton_product(
    outputs: Callable[[PyTree], PyTree], divergence: Callable[[PyTree], Float[Array, ""]], at: PyTree, v: PyTree
) -> PyTree:
    """``Jᵀ H J v`` with the Jacobian J of ``outputs`` at a point and the Hessian H of ``divergence`` in the outputs.

    Where the divergence's gradient vanishes, as that of a Kullback-Leibler divergence between equal policies does,
    this is the Hessian-vector product of ``divergence ∘ outputs``, without differentiating ``outputs`` twice.
    """
    out, tangent = jax.jvp(outputs, (at,), (v,))
    _, transpose = jax.vjp(outputs, at)
    return transpose(hessian_vector_product(divergence, out, tangent))[0]


def conjugate_gradient(product: Callable[[Vector], Vector], b: Vector, num_iterations: int) -> Vector:
    """Approximate solution of ``A x = b`` for a positive definite A given as ``product``, starting from 0.

    Stops early, by standing still, when the residual's squared norm falls below 1e-10.
    """

    def step(state: tuple[Vector, Vector, Vector], _: None) -> tuple[tuple[Vector, Vector, Vector], None]:
        x, residual, direction = state
        squared = residual @ residual
        going = squared > 1e-10
        image = product(direction)
        length = jnp.where(going, squared / jnp.where(going, direction @ image, 1.0), 0.0)
        x, new = x + length * direction, residual - length * image
        ratio = jnp.where(going, (new @ new) / jnp.where(going, squared, 1.0), 0.0)
        return (x, new, new + ratio * direction), None

    return jax.lax.scan(step, (jnp.zeros_like(b), b, b), length=num_iterations)[0][0]


def backtrack(
    accept: Callable[[Vector], Bool[Array, ""]], start: Vector, step: Vector, *, shrink: float, num_trials: int
) -> tuple[Vector, Float[Array, ""]]:
    """The longest of ``start + shrink^i · step``, i < num_trials, that ``accept`` takes, and its ``shrink^i``.

    Returns ``start`` itself and 0 if it takes none.
    """

    def refused(state: tuple[Array, Array]) -> Bool[Array, ""]:
        i, done = state
        return (i < num_trials) & ~done

    def attempt(state: tuple[Array, Array]) -> tuple[Array, Array]:
        i, _ = state
        done = accept(start + shrink**i * step)
        return jnp.where(done, i, i + 1), done

    i, done = jax.lax.while_loop(refused, attempt, (jnp.zeros((), jnp.int32), jnp.zeros((), bool)))
    fraction = jnp.where(done, shrink**i, 0.0)
    return jnp.where(done, start + fraction * step, start), fraction
