"""Surrogates whose gradients are policy gradients, of one stream of experience.

All are written to be *maximised*, and all have the same gradient, ``Σ_t A_t ∇ log π(a_t|s_t)``, where the policy is the
one that acted. They differ in their second derivatives, which is what a gradient through a policy-gradient step sees,
and in how they treat a policy that has moved away from the one that acted.

``log_prob`` belongs to the policy that is differentiated, ``log_prob_old`` to the one that acted.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def score_function(
    log_prob: Float[Array, " T"], log_prob_old: Float[Array, " T"], advantage: Float[Array, " T"]
) -> Float[Array, " T"]:
    """``A_t log π(a_t|s_t)`` (Williams 1992). Its second derivative ignores that the policy also decides the data."""
    del log_prob_old
    return log_prob * advantage


def low_variance_curvature(
    log_prob: Float[Array, " T"], log_prob_old: Float[Array, " T"], advantage: Float[Array, " T"]
) -> Float[Array, " T"]:
    """``π(a_t|s_t) / π_old(a_t|s_t) · A_t`` (ProMP, Rothfuss et al. 2019, equation 9).

    Its second derivative ``A (∇² log π + ∇ log π ∇ log πᵀ)`` holds the credit that each action deserves for the data
    that it brought, without the products across time that make the exact one noisy.
    """
    return jnp.exp(log_prob - log_prob_old) * advantage


def dice(
    log_prob: Float[Array, " T"], log_prob_old: Float[Array, " T"], advantage: Float[Array, " T"]
) -> Float[Array, " T"]:
    """``(Π_{t' ≤ t} ρ_{t'} − Π_{t' < t} ρ_{t'}) · A_t``: exact in every derivative, and noisy.

    DiCE (Foerster et al. 2018, arXiv:1802.05098) in the form for advantages and returns to go, "loaded DiCE" (Farquhar
    et al. 2019, arXiv:1909.10549); ρ = π / π_old. For one episode.
    """
    log_ratio = log_prob - log_prob_old
    until = jnp.cumsum(log_ratio)
    return (jnp.exp(until) - jnp.exp(until - log_ratio)) * advantage


def clipped(
    log_prob: Float[Array, " T"], log_prob_old: Float[Array, " T"], advantage: Float[Array, " T"], clip: float
) -> Float[Array, " T"]:
    """``min(ρ A, clip(ρ, 1 ± clip) A)`` with ``ρ = π / π_old`` (PPO, Schulman et al. 2017)."""
    ratio = jnp.exp(log_prob - log_prob_old)
    return jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - clip, 1 + clip) * advantage)


def discounted_returns(reward: Float[Array, " T"], last: Float[Array, " T"], gamma: float) -> Float[Array, " T"]:
    """Return to go within the episode, ``G_t = r_t + γ (1 − last_t) G_{t+1}``; ``last`` is 1 where an episode ends."""

    def step(following: Float[Array, ""], x: tuple[Array, Array]) -> tuple[Array, Array]:
        reward, last = x
        total = reward + gamma * (1.0 - last) * following
        return total, total

    return jax.lax.scan(step, jnp.zeros_like(reward[0]), (reward, last), reverse=True)[1]
