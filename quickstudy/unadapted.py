"""The reference that adaptation must beat: the same learner, not allowed to learn."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from quickstudy.learner import AbstractLearner
from quickstudy.types import Action, Info, TimeStep, Trajectory


class Unadapted(AbstractLearner[PyTree, PyTree, PyTree]):
    """A learner that is not allowed to learn: it never updates, and forgets everything when an episode begins.

    The reference that adaptation must beat.
    """

    learner: AbstractLearner

    def init(self, params: PyTree, *, key: Key[Array, ""]) -> PyTree:
        """The learner's state at the start of a trial, kept throughout."""
        return self.learner.init(params, key=key)

    def init_carry(self, params: PyTree) -> PyTree:
        """The learner's memory at the start of a trial."""
        return self.learner.init_carry(params)

    def act(
        self, params: PyTree, state: PyTree, carry: PyTree, timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Action, PyTree, Any]:
        """Act as if every episode were the first."""
        forget = lambda new, old: jax.tree.map(lambda n, o: jnp.where(timestep.first, n, o), new, old)
        carry = forget(self.learner.init_carry(params), carry)
        timestep = timestep._replace(
            prev_action=forget(jnp.zeros_like(timestep.prev_action), timestep.prev_action),
            prev_reward=forget(jnp.zeros_like(timestep.prev_reward), timestep.prev_reward),
        )
        return self.learner.act(params, state, carry, timestep, key=key)

    def update(
        self, params: PyTree, state: PyTree, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[PyTree, Info]:
        """Learn nothing."""
        del params, trajectory, key
        return state, {}
