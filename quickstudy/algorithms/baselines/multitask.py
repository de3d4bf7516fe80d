"""Multi-task PPO: one policy for all tasks, without memory, so without adaptation.

The control that shows what a family offers to an agent which never learns in the task. Schulman et al. 2017, with the
task drawn anew for every trial.

Differs from the paper:

1. Minibatches are strided over tasks rather than shuffled over steps.
2. Value targets are standardised by running moments, and observations may be.
"""

from jaxtyping import Array, Key

from quickstudy.algorithms.actor_critic import ActorCriticLearner
from quickstudy.algorithms.ppo import PPO, episode_targets
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.actor_critic import MemorylessActorCritic
from quickstudy.types import Info, Spec, Trial


class MultiTaskPPO(AbstractMetaAlgorithm):
    """A policy without memory, trained by PPO on all tasks at once."""

    width: int = 64
    """Units in a hidden layer."""
    depth: int = 2
    """Hidden layers of the policy and of the value network."""
    standardize: bool = False
    """Standardise observations by running moments: for measurements of different sizes, as a robot's are."""
    ppo: PPO = PPO()
    """The outer loop."""

    @property
    def learner(self) -> ActorCriticLearner:
        """Acts by the network that this method trains."""
        return ActorCriticLearner()

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """Freshly initialised networks and optimiser for families of this ``spec``."""
        network = MemorylessActorCritic(spec, width=self.width, depth=self.depth, standardize=self.standardize, key=key)
        return self.ppo.init(network)

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """One PPO update on the trials of K tasks."""
        del key
        return self.ppo.update(state, trials, episode_targets)
