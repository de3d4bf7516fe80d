"""The finite-horizon Gittins policy: pull the arm of highest index.

Gittins 1979; the index is defined, and its tables are computed, in `quickstudy.planning.gittins`. Taking the pulls left
into account it is within a few thousandths of the Bayes-optimal value, and costs one look-up an arm.

Differs from the paper:

1. The index is the undiscounted one of the pulls that are left, not the discounted one of an endless trial.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.algorithms.baselines.arms import AbstractArmLearner, AbstractArmPrior, ArmStatistics
from quickstudy.errors import require_positive
from quickstudy.types import Action, TimeStep


class GittinsPolicy(AbstractArmLearner[Float[Array, "..."]]):
    """Acts by a table of indices, ``prior.gittins_table(num_pulls)``, which is its parameters."""

    prior: AbstractArmPrior
    """What is believed of the arms before the first pull."""
    num_pulls: int
    """Pulls in the trial."""

    def __check_init__(self):
        require_positive(num_pulls=self.num_pulls)

    def act(
        self,
        params: Float[Array, "..."],
        state: ArmStatistics,
        carry: tuple[()],
        timestep: TimeStep,
        *,
        key: Key[Array, ""],
    ) -> tuple[Action, tuple[()], None]:
        """The arm of highest index; after the last of ``num_pulls`` that is the one of highest posterior mean."""
        del timestep, key
        left = jnp.maximum(self.num_pulls - jnp.sum(state.pulls), 0).astype(jnp.int32)
        index = self.prior.gittins_index(params, state, left)
        return jnp.argmax(index).astype(jnp.int32), carry, None
