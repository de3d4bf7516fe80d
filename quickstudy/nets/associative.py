"""A fast-weight memory that is addressed by what is observed.

Fast weights (Schmidhuber 1992, Neural Computation 4(1); Ba et al. 2016, arXiv:1610.06258) are a matrix that every step
writes to by an outer product; read by a product with a vector, it is linear attention over the past without a
normaliser (Katharopoulos et al. 2020, arXiv:2006.16236)::

    M_t = M_{t−1} + v_t k_tᵀ,      read_t = asinh(M_t q_t) = asinh(Σ_{τ≤t} v_τ (k_τ · q_t))

Here ``k`` is the observation that an action was taken in, ``v`` what the action was and what came of it, and ``q`` the
present observation: the memory answers what happened in places like this one. Where observations are one-hot, it holds
counts and sums of rewards for every state and action.

Differs from the papers:

1. Keys, values and queries are features as they are, and no learned projections of them: that what was learned *there*
   is wanted when *there* again is known, and need not be found by meta-training.
2. What is read passes asinh, which is linear near 0 and logarithmic beyond: counts stay of order one, and of two
   logarithms the difference tells the ratio, so that a mean reward is not a quotient to be learned.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float


def empty_store(num_values: int, num_keys: int) -> Float[Array, "V K"]:
    """The memory at the start of a trial."""
    return jnp.zeros((num_values, num_keys))


def write(store: Float[Array, "V K"], key: Float[Array, " K"], value: Float[Array, " V"]) -> Float[Array, "V K"]:
    """The memory with ``value`` added at ``key``; a key of zeros writes nothing."""
    return store + jnp.outer(value, key)


def read(store: Float[Array, "V K"], query: Float[Array, " K"]) -> Float[Array, " V"]:
    """What is stored at keys like ``query``."""
    return jnp.arcsinh(store @ query)


def read_all(
    keys: Float[Array, "T K"], values: Float[Array, "T V"], queries: Float[Array, "T K"]
) -> Float[Array, "T V"]:
    """What step after step of `write` and then `read` gives, from an empty memory and with no step-by-step loop."""
    return jnp.arcsinh(jnp.tril(queries @ keys.T) @ values)
