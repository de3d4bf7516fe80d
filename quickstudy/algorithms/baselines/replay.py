"""What all learners that replay a task's transitions have in common."""

import equinox as eqx

from quickstudy.errors import require_counts, require_within


class AbstractReplayRule(eqx.Module):
    """How networks learn from replayed transitions. Fields are hyperparameters."""

    learning_rate: float = 1e-3
    """Adam's step size."""
    gamma: float = 0.99
    """Discount; an episode that the clock ends is worth what its last state is worth."""
    num_gradient_steps: int = 1
    """Steps of Adam after every block."""
    batch_size: int = 64
    """Transitions in a step of Adam."""
    target_rate: float = 0.01
    """How far the target networks move towards the others in a step."""

    def __check_init__(self):
        require_counts(self, "num_gradient_steps", "batch_size", prefix="rule.")
        require_within("(0, inf)", self, "learning_rate", prefix="rule.")
        require_within("[0, 1]", self, "gamma", prefix="rule.")
        require_within("(0, 1]", self, "target_rate", prefix="rule.")
