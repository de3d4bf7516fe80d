"""What a stream shows, as one flat vector: observation, previous action, previous reward, episode border.

A discrete previous action enters twice, one-hot and one-hot times the reward: what *that* action paid. A recurrent
layer adds its inputs up, so a running sum of wins for each action is one weight away, and no product to be learned.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quickstudy.types import Obs, Spec, TimeStep


def num_obs_features(spec: Spec) -> int:
    """Length of `obs_features` for a family."""
    return sum(_size(leaf.shape) for leaf in jax.tree.leaves(spec.obs))


def num_timestep_features(spec: Spec) -> int:
    """Length of `timestep_features` for a family."""
    actions = _size(spec.action.shape) if spec.num_actions is None else 2 * spec.num_actions
    return num_obs_features(spec) + actions + 2


def flat_obs(obs: Obs) -> Float[Array, " F"]:
    """One observation as one vector."""
    return jnp.concatenate([jnp.ravel(leaf).astype(jnp.float32) for leaf in jax.tree.leaves(obs)])


def obs_features(timestep: TimeStep) -> Float[Array, " F"]:
    """The observation alone, flattened: what a policy without memory may use."""
    return flat_obs(timestep.obs)


def timestep_features(timestep: TimeStep, num_actions: int | None) -> Float[Array, " F"]:
    """Everything that RL² reads (Duan et al. 2016): observation, previous action and reward, and ``first``."""
    action = timestep.prev_action
    if num_actions is None:
        action = jnp.ravel(action)
    else:
        chosen = jax.nn.one_hot(action, num_actions)
        action = jnp.concatenate([chosen, chosen * timestep.prev_reward])
    scalars = jnp.stack([timestep.prev_reward, timestep.first.astype(jnp.float32)])
    return jnp.concatenate([obs_features(timestep), action, scalars])


def features_by_action(features: Float[Array, " F"], num_obs: int, num_actions: int) -> Float[Array, "A 2"]:
    """What a vector laid out like `timestep_features` says of every discrete action: chosen, and chosen times reward.

    In a sum of such vectors: how often an action was taken, and what it paid in all.
    """
    return features[num_obs : num_obs + 2 * num_actions].reshape(2, num_actions).T


def num_transition_features(spec: Spec) -> int:
    """Length of `transition_features` for a family."""
    return num_obs_features(spec) + num_timestep_features(spec)


def transition_features(
    prev_obs: Float[Array, " O"], timestep: TimeStep, num_actions: int | None
) -> Float[Array, " F"]:
    """`timestep_features`, and the features of the observation that the previous action was taken in."""
    return jnp.concatenate([prev_obs, timestep_features(timestep, num_actions)])


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size
