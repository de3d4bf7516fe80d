"""What value transfer believes of a state: its value before the task and now, and how uncertain that is."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from quickstudy.algorithms.transfer.parts import Head, TransferParams


def value_beliefs(
    params: TransferParams, prior: Head, head: Head, obs: Float[Array, " F"]
) -> dict[str, Float[Array, ""]]:
    """``max_a Q(s, a)`` with the mean of the prior and with that of the posterior.

    ``uncertainty`` is the posterior's standard deviation of Q at the action that is greedy for its mean.
    """
    known = params.knowledge(obs)
    adapted = known.action_values(head.mean)
    best = jnp.argmax(adapted)
    return {
        "knowledge": jnp.max(known.action_values(prior.mean)),
        "adapted": adapted[best],
        "uncertainty": jnp.sqrt(head.variance(known.features[best])),
    }
