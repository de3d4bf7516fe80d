"""The linear-quadratic regulator: the best feedback where dynamics are linear and costs are squares."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

DOUBLINGS = 14
"""The regulator looks 2^14 steps ahead: as good as forever."""


def riccati(
    a: Float[Array, "n n"], b: Float[Array, "n m"], q: Float[Array, "n n"], r: Float[Array, "m m"]
) -> Float[Array, "n n"]:
    """The matrix p of the cost-to-go ``xᵀ p x`` of ``x' = a x + b u`` under the cost ``xᵀ q x + uᵀ r u`` a step.

    p solves ``p = q + aᵀ p (1 + b r⁻¹ bᵀ p)⁻¹ a``. The structure-preserving doubling algorithm (Chu et al. 2004) takes
    2^k steps of that recursion in k.
    """
    eye = jnp.eye(a.shape[0])

    def double(_: Int[Array, ""], carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        a, g, p = carry
        ahead, reach = jnp.split(jnp.linalg.solve(eye + g @ p, jnp.concatenate([a, g], axis=1)), 2, axis=1)
        return a @ ahead, g + a @ reach @ a.T, p + a.T @ p @ ahead

    return jax.lax.fori_loop(0, DOUBLINGS, double, (a, b @ jnp.linalg.solve(r, b.T), q))[2]


def regulator(
    step: Callable[[Float[Array, " n"], Float[Array, " m"]], Float[Array, " n"]],
    state_cost: Float[Array, " n"],
    action_cost: Float[Array, " m"],
) -> tuple[Float[Array, "m n"], Float[Array, "n n"]]:
    """The regulator of ``x' = step(x, u)``, linearised at rest in the origin.

    Args:
        step: the dynamics; ``step(0, 0)`` is 0.
        state_cost: of each squared part of the state.
        action_cost: of each squared part of the action.

    Returns:
        k and p: the action is ``u = −k x``, the cost-to-go ``xᵀ p x``.
    """
    a, b = jax.jacfwd(step, argnums=(0, 1))(jnp.zeros_like(state_cost), jnp.zeros_like(action_cost))
    r = jnp.diag(action_cost)
    p = riccati(a, b, jnp.diag(state_cost), r)
    return jnp.linalg.solve(r + b.T @ p @ b, b.T @ p @ a), p
