"""Reptile: first-order meta-learning without a second look. Nichol et al. 2018, arXiv:1803.02999, algorithm 1.

The start moves towards where policy gradient led in every task; no gradient of a gradient is taken::

    φ_i = θ after k inner steps on task i,        θ ← θ + ε mean_i[φ_i − θ]

Differs from the paper:

1. The paper learns few-shot classification and sine curves; here the inner loop is policy gradient on fresh rollouts.
2. Plain interpolation with a constant ε; the paper's experiments let it fall.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Key

from quickstudy.algorithms.gradient.judge import rollouts_of
from quickstudy.algorithms.gradient.learner import GradientParams, InnerLoop, PolicyGradientLearner
from quickstudy.algorithms.gradient.outer import majority
from quickstudy.errors import require_within
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.task_policy import PolicyNetwork
from quickstudy.types import Info, Spec, Trial


class Reptile(AbstractMetaAlgorithm):
    """A start that lies near where every task leads."""

    network: PolicyNetwork = PolicyNetwork()
    """The policy."""
    inner: InnerLoop = InnerLoop(num_updates=3)
    """The inner loop; the rollouts of the last block are learned from as well."""
    meta_step_size: float = 0.5
    """ε, how far the start moves, between 0 and 1."""

    def __check_init__(self):
        require_within("(0, 1]", self, "meta_step_size")

    @property
    def learner(self) -> PolicyGradientLearner:
        """The inner loop with this method's hyperparameters."""
        return PolicyGradientLearner(self.inner)

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A freshly initialised policy."""
        return MetaState(GradientParams(self.network.build(spec, key=key)), None, jnp.zeros((), jnp.int32))

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """One step towards the adapted policies of K tasks."""
        del key
        rollouts = rollouts_of(self.learner, trials)
        start = eqx.filter(state.params.policy, eqx.is_inexact_array)
        ends = eqx.filter(trials.final.state.policy, eqx.is_inexact_array)
        change = jax.tree.map(lambda end, x: jnp.tensordot(rollouts.weight, end - x[None], 1), ends, start)
        step = jax.tree.map(lambda x: self.meta_step_size * x, change)
        policy = eqx.apply_updates(state.params.policy, step)
        info = majority({"loss": optax.tree.norm(change)}, rollouts)
        return MetaState(GradientParams(policy), None, state.step + 1), info
