"""Uniformly random actions."""

import jax
import jax.numpy as jnp
from jaxtyping import Key

from quickstudy.types import Action


def random_action(num_actions: int | None, action_shape: tuple[int, ...], *, key: Key[jax.Array, ""]) -> Action:
    """One uniform draw, of ``num_actions`` discrete actions, or from the box [-1, 1] if that is None."""
    if num_actions is None:
        return jax.random.uniform(key, action_shape, minval=-1.0)
    return jax.random.randint(key, (), 0, num_actions, jnp.int32)
