"""BEB: the Bayesian exploration bonus.

Kolter and Ng 2009. The agent plans in the posterior mean MDP, with a bonus for what it has seldom tried; with n(s, a)
the visits of s and a::

    a_t = argmax_a Q*_t(s_t, a; M̄ with r̄(s, a) + bonus / (1 + n(s, a)))

``bonus = 0`` is the greedy policy, certainty equivalence. Run it with blocks of one step, so that it plans anew at
every step; with longer blocks it plans when a block ends.

Differs from the paper:

1. The count is of visits alone; the paper's includes the pseudo-counts of the prior.
2. The belief goes on being updated; the paper stops it for states and actions that were seen often.
"""

from jaxtyping import Array, Key

from quickstudy.algorithms.baselines.tabular import AbstractTabularPlanner, MDPPrior, Visits
from quickstudy.errors import InvalidArgument
from quickstudy.planning.dynamic_programming import TabularMDP


class BayesianExplorationBonus(AbstractTabularPlanner):
    """Plans in the posterior mean, with a bonus for novelty."""

    prior: MDPPrior
    """What is believed of the MDP before the first step."""
    horizon: int
    """Steps in an episode."""
    bonus: float
    """Reward added to what was never tried; it falls with the number of visits."""

    def __check_init__(self):
        if self.bonus < 0:
            raise InvalidArgument(f"bonus must not be negative, got {self.bonus}")

    def imagine(self, seen: Visits, *, key: Key[Array, ""]) -> TabularMDP:
        """The posterior mean, with optimistic rewards."""
        del key
        mean = self.prior.posterior_mean(seen)
        return mean._replace(reward=mean.reward + self.bonus / (1 + seen.tries))
