"""The linear-feature baseline: a value function that is fitted to one task's block in closed form.

Duan et al. 2016, arXiv:1604.06778 (rllab's ``LinearFeatureBaseline``), which MAML and ProMP use.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

TIME_SCALE = 100.0
"""Steps that count as one unit of time among the features (rllab's choice)."""


def steps_since_first(first: Bool[Array, " T"]) -> Int[Array, " T"]:
    """How many steps before each one its episode began; a stream that begins within an episode counts from there."""
    t = jnp.arange(first.shape[0])
    return t - jax.lax.cummax(jnp.where(first, t, 0))


def time_features(obs: Float[Array, " F"], time: Int[Array, ""]) -> Float[Array, " D"]:
    """``[s, s², t, t², t³, 1]`` with s clipped to ±10 and t in hundreds of steps; D = 2F + 4."""
    obs = jnp.clip(obs, -10.0, 10.0)
    t = time / TIME_SCALE
    return jnp.concatenate([obs, jnp.square(obs), jnp.stack([t, t**2, t**3, jnp.ones_like(t)])])


def fit_linear(features: Float[Array, "n D"], target: Float[Array, " n"], ridge: float) -> Float[Array, " D"]:
    """Weights w that minimise ``mean (features · w − target)² + ridge · |w|²``, by one Cholesky factorisation.

    A hundred-thousandth of each feature's mean square is added to the ridge: features may be large and equal (a
    position that never changes, all that an oracle is shown), and their products are known to seven digits only.
    """
    gram = features.T @ features / features.shape[0]
    gram += jnp.diag(ridge + 1e-5 * jnp.diag(gram))
    return jax.scipy.linalg.solve(gram, features.T @ target / features.shape[0], assume_a="pos")
