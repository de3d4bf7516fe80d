"""MAML: model-agnostic meta-learning. Finn et al. 2017, arXiv:1703.03400, section 4.2 and algorithm 3.

Parameters θ from which one step of policy gradient leads far: the outer loop differentiates the return after the inner
step with respect to θ, through the step::

    φ_i = θ + α ∇_θ J_i(θ),        θ ← argmax within a trust region of  Σ_i J_i(φ_i)

Differs from the paper:

1. Steps and rewards are those of the family; in the paper's plane actions are clipped to ±.1 and start with a standard
   deviation of 1, here they are in [-1, 1], scaled by .1, and start with a standard deviation of .6.
2. The baseline is fitted to the block whose advantages it serves, as in the released code.
3. ``outer="clipped"`` replaces the trust region by Adam, one pass or several.
"""

from typing import Literal

from jaxtyping import Array, Key

from quickstudy.algorithms.gradient.learner import GradientParams, InnerLoop, PolicyGradientLearner
from quickstudy.algorithms.gradient.outer import ClippedAscent, TrustRegion, begin, improve
from quickstudy.errors import unknown
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.task_policy import PolicyNetwork
from quickstudy.types import Info, Spec, Trial

Outer = Literal["trust-region", "clipped"]


class MAML(AbstractMetaAlgorithm):
    """A policy that one step of policy gradient makes good at its task; ``inner.first_order`` makes it FOMAML."""

    network: PolicyNetwork = PolicyNetwork(width=100, activation="relu")
    """The policy."""
    inner: InnerLoop = InnerLoop(surrogate="score-function", later_step_size=0.05)
    """The inner loop."""
    outer: Outer = "trust-region"
    """How the outer loop climbs."""
    trust_region: TrustRegion = TrustRegion()
    """The outer loop of the paper."""
    ascent: ClippedAscent = ClippedAscent(num_epochs=1)
    """The outer loop by Adam."""

    def __check_init__(self):
        if self.outer not in ("trust-region", "clipped"):
            raise unknown("outer loop", self.outer, ("trust-region", "clipped"))

    @property
    def learner(self) -> PolicyGradientLearner:
        """The inner loop with this method's hyperparameters."""
        return PolicyGradientLearner(self.inner)

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A freshly initialised policy."""
        return begin(GradientParams(self.network.build(spec, key=key)), self._climb)

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """One step uphill on the last block's return, through the inner steps."""
        del key
        return improve(state, trials, self.learner, self._climb)

    @property
    def _climb(self) -> TrustRegion | ClippedAscent:
        return self.trust_region if self.outer == "trust-region" else self.ascent


def first_order_maml() -> MAML:
    """FOMAML, section 5.2 of the paper: the inner gradient is treated as a constant in the outer loop."""
    return MAML(inner=InnerLoop(surrogate="score-function", later_step_size=0.05, first_order=True))
