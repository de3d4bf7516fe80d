"""ProMP: proximal meta-policy search. Rothfuss et al. 2019, arXiv:1810.06784, algorithm 1.

The inner step ascends a surrogate whose curvature holds the credit of exploration with little variance, and the outer
loop takes several clipped steps on one batch of rollouts::

    φ_i = θ + α ∇_θ mean_t[π_θ / π_old · A_t],
    θ ← θ + β ∇_θ { Σ_i mean_t[min(ρ A, clip(ρ, 1 ± ε) A)] − η KL(π_old ‖ π_θ) },     ρ = π_{φ_i} / π_acted

Differs from the paper:

1. η is fixed, as in the released experiments (``adaptive_inner_kl_penalty`` is off there).
"""

from jaxtyping import Array, Key

from quickstudy.algorithms.gradient.learner import GradientParams, InnerLoop, PolicyGradientLearner
from quickstudy.algorithms.gradient.outer import ClippedAscent, begin, improve
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.task_policy import PolicyNetwork
from quickstudy.types import Info, Spec, Trial


class ProMP(AbstractMetaAlgorithm):
    """MAML with low-variance curvature and a clipped outer loop."""

    network: PolicyNetwork = PolicyNetwork()
    """The policy."""
    inner: InnerLoop = InnerLoop()
    """The inner loop."""
    ascent: ClippedAscent = ClippedAscent()
    """The outer loop."""

    @property
    def learner(self) -> PolicyGradientLearner:
        """The inner loop with this method's hyperparameters."""
        return PolicyGradientLearner(self.inner)

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A freshly initialised policy and optimiser."""
        return begin(GradientParams(self.network.build(spec, key=key)), self.ascent)

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """Several clipped steps uphill on the last block's return, through the inner steps."""
        del key
        return improve(state, trials, self.learner, self.ascent)
