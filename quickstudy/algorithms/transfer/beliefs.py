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
    known, actions = params.knowledge(obs), params.knowledge.actions
    before, now = known.action_values(prior.mean), known.action_values(head.mean)
    best = actions.best_terms(now)
    return {
        "knowledge": before @ actions.best_terms(before),
        "adapted": now @ best,
        "uncertainty": jnp.sqrt(head.variance(best @ known.features)),
    }
