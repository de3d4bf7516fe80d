"""Thompson sampling: pull the arm that is best in one draw from the posterior.

Thompson 1933; Chapelle and Li 2011. With μ the arm means::

    μ̃ ~ p(μ | what was seen),   a = argmax_i μ̃_i
"""

import jax.numpy as jnp
from jaxtyping import Array, Key

from quickstudy.algorithms.baselines.arms import AbstractArmLearner, AbstractArmPrior, ArmStatistics
from quickstudy.types import Action, TimeStep


class ThompsonSampling(AbstractArmLearner[None]):
    """Posterior sampling over arms."""

    prior: AbstractArmPrior
    """What is believed of the arms before the first pull."""

    def act(
        self, params: None, state: ArmStatistics, carry: tuple[()], timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Action, tuple[()], None]:
        """The best arm of one posterior draw."""
        del params, timestep
        draw = self.prior.posterior_sample(state, key=key)
        return jnp.argmax(draw).astype(jnp.int32), carry, None
