"""Uniformly random actions: the floor of every comparison."""

from jaxtyping import Array, Key

from quickstudy.learner import AbstractLearner
from quickstudy.ops.random_action import random_action
from quickstudy.types import Action, Info, Spec, TimeStep, Trajectory


class RandomLearner(AbstractLearner[None, None, tuple[()]]):
    """Acts uniformly at random, over the discrete actions or the box [-1, 1]."""

    num_actions: int | None
    """How many discrete actions there are; None for continuous ones."""
    action_shape: tuple[int, ...] = ()
    """Shape of a continuous action."""

    @classmethod
    def for_spec(cls, spec: Spec) -> "RandomLearner":
        """The random learner of a family."""
        return cls(spec.num_actions, spec.action.shape)

    def init(self, params: None, *, key: Key[Array, ""]) -> None:
        """No state."""
        del params, key

    def init_carry(self, params: None) -> tuple[()]:
        """No memory."""
        del params
        return ()

    def act(
        self, params: None, state: None, carry: tuple[()], timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Action, tuple[()], None]:
        """One uniform draw."""
        del params, state, timestep
        return random_action(self.num_actions, self.action_shape, key=key), carry, None

    def update(self, params: None, state: None, trajectory: Trajectory, *, key: Key[Array, ""]) -> tuple[None, Info]:
        """Learn nothing."""
        del params, state, trajectory, key
        return None, {}
