"""Returns and advantages of one stream of experience.

Naming follows rlax: ``_tm1`` belongs to the step an action was chosen at, ``_t`` to the step after it.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def generalized_advantage(
    r_t: Float[Array, " T"],
    discount_t: Float[Array, " T"],
    v_tm1: Float[Array, " T"],
    v_t: Float[Array, " T"],
    trace_t: Float[Array, " T"],
) -> Float[Array, " T"]:
    """Generalised advantage estimates (Schulman et al. 2016).

    ``δ_t = r_t + discount_t · v_t − v_tm1`` and ``A_t = δ_t + discount_t · trace_t · A_{t+1}``. With trace 1 and
    ``v_t = v_tm1`` shifted by one this is the Monte Carlo return minus the value, with trace 0 the one-step
    temporal difference.

    Args:
        r_t: rewards.
        discount_t: γ, or 0 where the future is worth nothing.
        v_tm1: values of the states acted in.
        v_t: values of their successors.
        trace_t: λ, or 0 where the next entry belongs to another episode.
    """
    delta_t = r_t + discount_t * v_t - v_tm1

    def step(advantage: Float[Array, ""], x: tuple[Array, Array]) -> tuple[Array, Array]:
        delta, decay = x
        advantage = delta + decay * advantage
        return advantage, advantage

    _, advantages = jax.lax.scan(step, jnp.zeros_like(delta_t[0]), (delta_t, discount_t * trace_t), reverse=True)
    return advantages


def episode_returns(reward: Float[Array, " L"], last: Bool[Array, " L"], num_episodes: int) -> Float[Array, " E"]:
    """Undiscounted return of each of the first E episodes of one stream.

    Args:
        reward: rewards of the stream, over all its episodes.
        last: whether the step ended its episode, by termination or truncation.
        num_episodes: E; what follows the E-th episode is ignored.

    Returns:
        ``G_e = Σ r_t`` over the steps of episode e, and NaN for episodes that the stream did not complete.
    """
    ended = jnp.cumsum(last.astype(jnp.int32))
    episode = ended - last
    returns = jax.ops.segment_sum(reward, episode, num_episodes, indices_are_sorted=True)
    return jnp.where(jnp.arange(num_episodes) < ended[-1], returns, jnp.nan)
