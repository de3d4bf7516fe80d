"""ANIL: almost no inner loop. Raghu et al. 2020, arXiv:1909.09157, section 4.

MAML in which only the policy's head adapts in a task; the layers below are learned across tasks and stay as they are::

    head_i = head + α ∇_head J_i(layers, head),        (layers, head) ← Adam on  Σ_i J_i(layers, head_i)

Differs from the paper:

1. The outer loop is Adam on the policy gradient instead of a trust region.
2. A Gaussian policy's standard deviation belongs to the head and adapts with it.
"""

from jaxtyping import Array, Key

from quickstudy.algorithms.gradient.learner import GradientParams, InnerLoop, PolicyGradientLearner
from quickstudy.algorithms.gradient.outer import ClippedAscent, begin, improve
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.task_policy import PolicyNetwork
from quickstudy.types import Info, Spec, Trial


class ANIL(AbstractMetaAlgorithm):
    """MAML that adapts the policy's head alone."""

    network: PolicyNetwork = PolicyNetwork()
    """The policy."""
    inner: InnerLoop = InnerLoop()
    """The inner loop."""
    ascent: ClippedAscent = ClippedAscent(num_epochs=1)
    """The outer loop."""

    @property
    def learner(self) -> PolicyGradientLearner:
        """The inner loop on the head."""
        return PolicyGradientLearner(self.inner, part="head")

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A freshly initialised policy and optimiser."""
        return begin(GradientParams(self.network.build(spec, key=key)), self.ascent)

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """A step uphill on the last block's return, through the inner steps of the head."""
        del key
        return improve(state, trials, self.learner, self.ascent)
