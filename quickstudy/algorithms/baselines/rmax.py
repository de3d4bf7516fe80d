"""R-MAX: optimism in the face of what is not known. Brafman and Tennenholtz 2002.

What was tried at least m times is known, with the frequencies and the mean reward that were seen; anything else is
taken for a place where every step pays the most there is. The agent plans in that MDP, so it either earns or learns::

    a_t = argmax_a Q*_t(s_t, a; M̂),    M̂(s, a) = (n'/n, R/n) if n(s, a) ≥ m,   else (stay in s, max_reward)

Run it with blocks of one step, so that it plans anew at every step; with longer blocks it plans when a block ends.

Differs from the paper:

1. An unknown pair leads back to its own state rather than to a fictitious one: the plan's value is the same.
2. m is given, not computed from the accuracy and the confidence that are asked for.
3. What is known goes on being re-estimated; the paper stops at m.
"""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Key

from quickstudy.algorithms.baselines.tabular import AbstractTabularPlanner, MDPPrior, Visits, table_shape
from quickstudy.errors import require_positive
from quickstudy.family import AbstractFamily
from quickstudy.planning.dynamic_programming import TabularMDP


class RMax(AbstractTabularPlanner):
    """Plans in the MDP that was seen, with the best reward wherever too little was."""

    prior: MDPPrior
    """Only its numbers of states and actions are used."""
    horizon: int
    """Steps in an episode."""
    max_reward: float
    """What an unknown step is taken to pay: the largest mean reward that there can be."""
    known_after: int = 1
    """m, tries after which a state and action are known; 1 where nothing is random."""

    def __check_init__(self):
        require_positive(known_after=self.known_after)

    def imagine(self, seen: Visits, *, key: Key[Array, ""]) -> TabularMDP:
        """The known part as it was seen, the rest as good as can be."""
        del key
        known, tries = seen.tries >= self.known_after, jnp.maximum(seen.tries, 1.0)
        stay = jnp.broadcast_to(jnp.eye(self.prior.num_states)[:, None], seen.transitions.shape)
        transition = jnp.where(known[..., None], seen.transitions / tries[..., None], stay)
        return TabularMDP(transition, jnp.where(known, seen.reward / tries, self.max_reward))


class RMaxOptions(eqx.Module):
    """What the command line may say of `RMax`."""

    max_reward: float = 3.0
    """What an unknown step is taken to pay."""
    known_after: int = 1
    """Tries after which a state and action are known."""

    def build(self, family: AbstractFamily) -> RMax:
        """The learner for a family of finite MDPs."""
        horizon = family.episode_length
        return RMax(MDPPrior(*table_shape(family)), horizon, self.max_reward, self.known_after)
