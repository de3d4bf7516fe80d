"""What an agent does that does not do what it thinks best: random actions, and those that were done least so far."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.algorithms.memory import Memory
from quickstudy.nets.action_terms import AbstractActionTerms
from quickstudy.types import Action

Tries = Literal["any", "rare"]


def attempt(
    tries: Tries, actions: AbstractActionTerms, memory: Memory, obs: Float[Array, " F"], *, key: Key[Array, ""]
) -> Action:
    """A random action; where `rare` ones are asked for, what was done least at ``obs``, and led where least was.

    Counts over the memory, one step ahead: an action that was never tried led nowhere, and comes first. They are of
    equal observations, so `rare` tries are for families with few of them, and few actions.
    """
    if tries == "any":
        return actions.random(key=key)
    data = memory.transitions
    seen = lambda obs: data.weight * jnp.all(data.obs == obs[None], axis=-1)
    done = seen(obs)[:, None] * jax.vmap(actions.terms)(data.action)
    counts = done.sum(0)
    visits = jax.vmap(lambda obs: seen(obs).sum())(data.next_obs[jnp.argmax(done, axis=0)])
    ahead = jnp.where(counts > 0, visits, 0.0) / len(counts)
    return actions.greedy(0.25 * jax.random.uniform(key, counts.shape) - counts - 2.0 * ahead)
