"""PSRL: posterior sampling for reinforcement learning.

Strens 2000; Osband et al. 2013. At the start of every episode one MDP is drawn from the posterior, and its optimal
policy is followed for the episode::

    M̃ ~ p(M | what was seen),   a_t = argmax_a Q*_t(s_t, a; M̃)

Run it with blocks of one episode: a draw is made when a block ends, and serves all streams of the task.
"""

from jaxtyping import Array, Key

from quickstudy.algorithms.baselines.tabular import AbstractTabularPlanner, MDPPrior, Visits
from quickstudy.planning.dynamic_programming import TabularMDP


class PSRL(AbstractTabularPlanner):
    """Plans in one draw from the posterior."""

    prior: MDPPrior
    """What is believed of the MDP before the first step."""
    horizon: int
    """Steps in an episode."""

    def imagine(self, seen: Visits, *, key: Key[Array, ""]) -> TabularMDP:
        """One posterior draw."""
        return self.prior.posterior_sample(seen, key=key)
