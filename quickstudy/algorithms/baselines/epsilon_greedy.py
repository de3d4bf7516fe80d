"""ε-greedy: pull the arm of highest posterior mean, and now and then any arm.

Sutton and Barto 2018, section 2.2, with the posterior mean in the place of the sample average, so that arms never
pulled are rated by the prior. ``epsilon = 0`` is the greedy policy.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key

from quickstudy.algorithms.baselines.arms import AbstractArmLearner, AbstractArmPrior, ArmStatistics
from quickstudy.errors import require_within
from quickstudy.types import Action, TimeStep


class EpsilonGreedy(AbstractArmLearner[None]):
    """Exploits, except for a share ``epsilon`` of the pulls, which go to arms drawn uniformly."""

    prior: AbstractArmPrior
    """What is believed of the arms before the first pull."""
    epsilon: float
    """Probability of a uniformly random pull."""

    def __check_init__(self):
        require_within("[0, 1]", self, "epsilon")

    def act(
        self, params: None, state: ArmStatistics, carry: tuple[()], timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Action, tuple[()], None]:
        """The arm of highest posterior mean, or with probability ε any arm."""
        del params, timestep
        k_explore, k_arm = jax.random.split(key)
        best = jnp.argmax(self.prior.posterior_mean(state)).astype(jnp.int32)
        other = jax.random.randint(k_arm, (), 0, self.prior.num_arms, jnp.int32)
        return jnp.where(jax.random.uniform(k_explore) < self.epsilon, other, best), carry, None
