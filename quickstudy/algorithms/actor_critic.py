"""The learner that acts by a fixed actor-critic: whatever it learns in a task, it learns in its memory."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key, PyTree

from quickstudy.learner import AbstractEncodingLearner
from quickstudy.nets.actor_critic import AbstractActorCritic
from quickstudy.types import Action, Info, TimeStep, Trajectory


class ActorCriticAux(NamedTuple):
    """What PPO needs to know about the moment of acting."""

    log_prob: Float[Array, "*axes"]
    value: Float[Array, "*axes"]


class ActorCriticLearner(AbstractEncodingLearner[AbstractActorCritic, None, PyTree]):
    """Acts by an actor-critic whose memory (if it has one) is the carry; `update` changes nothing."""

    def init(self, params: AbstractActorCritic, *, key: Key[Array, ""]) -> None:
        """No per-task state."""
        del params, key

    def init_carry(self, params: AbstractActorCritic) -> PyTree:
        """The network's initial memory."""
        return params.initial_carry()

    def act(
        self, params: AbstractActorCritic, state: None, carry: PyTree, timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Action, PyTree, ActorCriticAux]:
        """Draw an action from the policy."""
        del state
        carry, policy, value = params.step(carry, timestep)
        action = policy.sample(key=key)
        return action, carry, ActorCriticAux(policy.log_prob(action), value)

    def update(
        self, params: AbstractActorCritic, state: None, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[None, Info]:
        """Nothing to do: adaptation happens in the memory."""
        del params, state, trajectory, key
        return None, {}

    def code(self, params: AbstractActorCritic, state: None, carry: PyTree) -> Float[Array, " C"]:
        """The memory."""
        del params, state
        return ravel_pytree(carry)[0].astype(jnp.float32)
