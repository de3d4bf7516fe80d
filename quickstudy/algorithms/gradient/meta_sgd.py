"""Meta-SGD: the start *and* the step of every parameter are learned. Li et al. 2017, arXiv:1707.09835, section 3.2.

::

    φ_i = θ + α ⊙ ∇_θ J_i(θ),        (θ, α) ← Adam on  Σ_i J_i(φ_i)

α is a vector like θ: it decides the direction of the inner step as well as its length, and may become negative.

Differs from the paper:

1. Adam with the low-variance-curvature inner surrogate instead of a trust region.
2. α starts from one constant instead of random values.
"""

from jaxtyping import Array, Key

from quickstudy.algorithms.gradient.learner import (
    GradientParams,
    InnerLoop,
    PolicyGradientLearner,
    constant_step_sizes,
)
from quickstudy.algorithms.gradient.outer import ClippedAscent, begin, improve
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.task_policy import PolicyNetwork
from quickstudy.types import Info, Spec, Trial


class MetaSGD(AbstractMetaAlgorithm):
    """MAML with a learned step size for every parameter."""

    network: PolicyNetwork = PolicyNetwork()
    """The policy."""
    inner: InnerLoop = InnerLoop()
    """The inner loop; ``step_size`` is what every α starts from."""
    ascent: ClippedAscent = ClippedAscent(num_epochs=1)
    """The outer loop."""

    @property
    def learner(self) -> PolicyGradientLearner:
        """The inner loop with this method's hyperparameters."""
        return PolicyGradientLearner(self.inner)

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A freshly initialised policy and one step size for all."""
        policy = self.network.build(spec, key=key)
        params = GradientParams(policy, constant_step_sizes(policy, self.inner.step_size))
        return begin(params, self.ascent)

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """A step uphill on the last block's return, for the start and for the step sizes."""
        del key
        return improve(state, trials, self.learner, self.ascent)
