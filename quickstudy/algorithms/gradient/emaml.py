"""E-MAML: MAML whose exploring policy is paid for what it makes possible. Stadie et al. 2018, arXiv:1803.01118.

MAML's gradient takes the rollouts before the inner step as given. E-MAML adds that the start decides them too::

    ∇ Σ_i J_i(φ_i)  +  Σ_i R_i(φ_i) Σ_t ∇ log π_θ(a_t|s_t),        φ_i = θ + α ∇ J_i(θ)

with R_i the return after the inner step, here in standard deviations from the mean over tasks.

Differs from the paper:

1. The outer loop is Adam on the policy gradient instead of a trust region.
2. The mean return over tasks is subtracted from R_i; without a baseline the term is mostly noise.
"""

from jaxtyping import Array, Key

from quickstudy.algorithms.gradient.learner import GradientParams, InnerLoop, PolicyGradientLearner
from quickstudy.algorithms.gradient.outer import ClippedAscent, begin, improve
from quickstudy.errors import InvalidArgument
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.task_policy import PolicyNetwork
from quickstudy.types import Info, Spec, Trial


class EMAML(AbstractMetaAlgorithm):
    """MAML with credit for the rollouts that the inner step learned from."""

    network: PolicyNetwork = PolicyNetwork()
    """The policy."""
    credit: float = 0.1
    """Weight of the exploring policy's credit."""
    inner: InnerLoop = InnerLoop(surrogate="score-function")
    """The inner loop."""
    ascent: ClippedAscent = ClippedAscent(num_epochs=1)
    """The outer loop."""

    def __check_init__(self):
        if not self.credit > 0:
            raise InvalidArgument(f"credit must be positive (without it this is MAML), got {self.credit}")

    @property
    def learner(self) -> PolicyGradientLearner:
        """The inner loop with this method's hyperparameters."""
        return PolicyGradientLearner(self.inner)

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A freshly initialised policy and optimiser."""
        return begin(GradientParams(self.network.build(spec, key=key)), self.ascent)

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """A step uphill on the last block's return, with the exploring policies' share of it."""
        del key
        return improve(state, trials, self.learner, self.ascent, credit=self.credit)
