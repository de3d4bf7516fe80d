"""The conformance table: one row a method. A new method joins with one row, and runs through every property."""

from collections.abc import Callable
from typing import NamedTuple

from quickstudy.algorithms._skeleton import PreferenceReptile
from quickstudy.algorithms.baselines.multitask import MultiTaskPPO
from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.algorithms.baselines.thompson import ThompsonSampling
from quickstudy.algorithms.context.rl2 import RL2
from quickstudy.algorithms.ppo import PPO
from quickstudy.envs.bandit import BernoulliBandit
from quickstudy.envs.gridworld import GridNavigation
from quickstudy.envs.point import PointNavigation
from quickstudy.family import AbstractFamily
from quickstudy.meta import AbstractMetaAlgorithm, NoMeta
from quickstudy.types import Budget

BANDIT = BernoulliBandit(num_arms=2, num_pulls=10)
GRID = GridNavigation(size=3, horizon=4, num_episodes=3)
POINT = PointNavigation(horizon=4, num_episodes=2)


class Method(NamedTuple):
    """A row.

    Attributes:
        name: how the tests call it.
        build: a small instance for a family.
        families: the families that it can do.
        adapts: whether it claims to get better within a trial.
        block_length: steps between two updates of the learner; None leaves the family's blocks as they are.
        num_steps: meta-updates after which it adapts to the bandit; 0 for a learner that needs none.
    """

    name: str
    build: Callable[[AbstractFamily], AbstractMetaAlgorithm]
    families: tuple[AbstractFamily, ...]
    adapts: bool
    block_length: int | None = None
    num_steps: int = 0

    def budget(self, family: AbstractFamily) -> Budget:
        """The family's trial, cut into the blocks that this method learns in."""
        if self.block_length is None:
            return family.budget
        return Budget(family.budget.steps_per_stream // self.block_length, self.block_length)


def ppo(**changes) -> PPO:
    """Settings under which the bandit is learned in few meta-updates."""
    quick = {"learning_rate": 1e-2, "final_learning_rate": 1e-3, "entropy_weight": 0.02, "anneal_steps": 100}
    return PPO(**quick | {"gamma": 1.0, "trace": 0.95, "num_epochs": 4, "num_minibatches": 4} | changes)


def associative_rl2(_: AbstractFamily) -> RL2:
    """RL² with its second memory and a bonus for novelty.

    No readout: in a network this small, a relu unit whose gradient is all but zero can stand at its kink, where the
    rounding of the number of devices decides, and Adam makes full steps of that.
    """
    return RL2(width=8, associative=True, novelty_weight=0.1, ppo=ppo())


METHODS = (
    Method("rl2-gru", lambda family: RL2(cell="gru", width=16, ppo=ppo()), (BANDIT, GRID), True, num_steps=100),
    Method("rl2-lstm", lambda family: RL2(cell="lstm", width=16, ppo=ppo()), (BANDIT,), True, num_steps=100),
    Method("rl2-associative", associative_rl2, (BANDIT, GRID), True, num_steps=100),
    Method("multitask-ppo", lambda family: MultiTaskPPO(width=8, depth=1, ppo=ppo()), (GRID, POINT), False),
    Method("random", lambda family: NoMeta(RandomLearner.for_spec(family.env.spec)), (GRID, POINT), False),
    Method("thompson", lambda family: NoMeta(ThompsonSampling(family.prior)), (BANDIT,), True, block_length=1),
    Method("skeleton", lambda family: PreferenceReptile(), (BANDIT,), True, block_length=1, num_steps=3),
)
