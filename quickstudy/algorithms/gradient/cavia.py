"""CAVIA: fast context adaptation. Zintgraf et al. 2019, arXiv:1810.03642, section 3.

The policy has a few inputs beside the observation that belong to the task, zero at first. Only they adapt::

    c_i = 0 + α ∇_c J_i(θ, c) at c = 0,        θ ← Adam on  Σ_i J_i(θ, c_i)

Differs from the paper:

1. The outer loop is Adam on the policy gradient instead of a trust region.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Key

from quickstudy.algorithms.gradient.learner import GradientParams, InnerLoop, PolicyGradientLearner
from quickstudy.algorithms.gradient.outer import ClippedAscent, begin, improve
from quickstudy.errors import require_positive
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.task_policy import PolicyNetwork
from quickstudy.types import Info, Spec, Trial


class CAVIA(AbstractMetaAlgorithm):
    """MAML that adapts a context vector alone."""

    network: PolicyNetwork = PolicyNetwork()
    """The policy."""
    context_size: int = 5
    """Inputs that belong to the task, and all that adapts."""
    inner: InnerLoop = InnerLoop(step_size=1.0, later_step_size=1.0)
    """The inner loop."""
    ascent: ClippedAscent = ClippedAscent(num_epochs=1)
    """The outer loop."""

    def __check_init__(self):
        require_positive(context_size=self.context_size)

    @property
    def learner(self) -> PolicyGradientLearner:
        """The inner loop on the context."""
        return PolicyGradientLearner(self.inner, part="context")

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A freshly initialised policy and optimiser."""
        policy = self.network.build(spec, context_size=self.context_size, key=key)
        return begin(GradientParams(policy), self.ascent)

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """A step uphill on the last block's return; the context that tasks start from stays zero."""
        del key
        state, info = improve(state, trials, self.learner, self.ascent)
        context = state.params.policy.context
        return eqx.tree_at(lambda s: s.params.policy.context, state, jnp.zeros_like(context)), info
