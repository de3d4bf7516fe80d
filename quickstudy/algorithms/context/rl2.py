"""RL²: fast reinforcement learning via slow reinforcement learning.

Duan et al. 2016, arXiv:1611.02779; Wang et al. 2016, arXiv:1611.05763.

A recurrent policy reads observation, previous action, previous reward and episode border; its hidden state lives on
across the episodes of a trial, and PPO maximises the return of the whole trial. So the hidden state is the task's
memory, and the recurrent weights are a learning algorithm::

    h_t = cell(h_{t−1}, [s_t, a_{t−1}, r_{t−1}, first_t]),   π(a_t | h_t),   v(h_t),   max Σ_trial γ^t r_t

Differs from the paper:

1. PPO with minibatches over tasks instead of TRPO on the whole batch (Duan) or asynchronous A2C (Wang).
2. The policy and the value read one recurrent core; Duan et al. train a separate recurrent baseline.
3. The border input marks the *beginning* of an episode instead of its termination, one step later: the same bit.
4. The network reads the previous observation too, and a discrete action once more times the reward that it earned;
   a hidden layer between memory and heads is an option, and so is a fast-weight memory beside the recurrent layer, with
   a score of every action by what that memory holds of it (`quickstudy.nets.associative`).
5. Entropy bonus and learning rate fall linearly over training; the paper uses neither bonus nor schedule.
6. Value targets are standardised by running moments.
7. Batches of 10,000 to 100,000 environment steps instead of 50,000 to 250,000, and networks of 32 to 64 units
   instead of 256.
8. A bonus for observations new to the trial is an option (`quickstudy.ops.novelty`). It is paid in training only.
9. Observations and rewards that are read may be standardised by running moments (`quickstudy.nets.standardizer`).
10. A trial has a fixed number of steps, and an episode that terminates is followed by another: where every step pays
    alike, ending would be free. `mortal` counts nothing after it.
"""

from jaxtyping import Array, Float, Key, PyTree

from quickstudy.algorithms.actor_critic import ActorCriticLearner
from quickstudy.algorithms.ppo import PPO, ValueScale, lifetime_targets
from quickstudy.errors import InvalidArgument, require_positive
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.actor_critic import AbstractActorCritic, RecurrentActorCritic
from quickstudy.nets.recurrent import CellName
from quickstudy.ops.novelty import first_met
from quickstudy.types import Info, Spec, TimeStep, Trajectory, Trial


class RL2(AbstractMetaAlgorithm):
    """A recurrent actor-critic trained by PPO over whole trials."""

    cell: CellName = "gru"
    """Recurrent cell."""
    width: int = 64
    """Units of the recurrent cell."""
    readout: int = 0
    """Units of the layer between memory and heads, which sees the observation once more; 0 for none."""
    associative: bool = False
    """Keep what came of every action in a fast-weight memory too, addressed by the observation it was taken in."""
    novelty_weight: float = 0.0
    """Reward in training for each step to an observation that is new to the trial; for discrete observations."""
    standardize: bool = False
    """Standardise what is read by running moments: for measurements of different sizes, as a robot's are."""
    mortal: bool = False
    """In training, what follows a terminated episode is worth nothing to it: for tasks that pay for staying alive."""
    ppo: PPO = PPO()
    """The outer loop."""

    def __check_init__(self):
        require_positive(width=self.width)
        if self.novelty_weight < 0:
            raise InvalidArgument(f"novelty_weight must be at least 0 (no bonus), got {self.novelty_weight}")
        if self.readout < 0:
            raise InvalidArgument(f"readout must be at least 0 (no readout layer), got {self.readout}")

    @property
    def learner(self) -> ActorCriticLearner:
        """Acts by the network that this method trains."""
        return ActorCriticLearner()

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A freshly initialised network and optimiser for families of this ``spec``."""
        network = RecurrentActorCritic(
            spec,
            cell=self.cell,
            width=self.width,
            readout=self.readout,
            associative=self.associative,
            standardize=self.standardize,
            key=key,
        )
        return self.ppo.init(network)

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """One PPO update on the trials of K tasks."""
        del key
        return self.ppo.update(state, trials, self._targets)

    def _targets(
        self,
        ppo: PPO,
        params: AbstractActorCritic,
        scale: ValueScale,
        stream: Trajectory,
        final_carry: PyTree,
        final_timestep: TimeStep,
    ) -> Float[Array, " L"]:
        """`lifetime_targets` of the reward and what novelty adds to it."""
        if self.novelty_weight:
            stream = stream._replace(reward=stream.reward + self.novelty_weight * first_met(stream))
        return lifetime_targets(ppo, params, scale, stream, final_carry, final_timestep, mortal=self.mortal)
