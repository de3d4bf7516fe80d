"""The conformance table: one row a method. A new method joins with one row, and runs through every property."""

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from quickstudy.algorithms._skeleton import PreferenceReptile
from quickstudy.algorithms.baselines.continuous import SAC, td3
from quickstudy.algorithms.baselines.dqn import DQN, FineTunedDQN, QLearningRule
from quickstudy.algorithms.baselines.multitask import MultiTaskPPO
from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.algorithms.baselines.thompson import ThompsonSampling
from quickstudy.algorithms.context.rl2 import RL2
from quickstudy.algorithms.gradient.anil import ANIL
from quickstudy.algorithms.gradient.cavia import CAVIA
from quickstudy.algorithms.gradient.emaml import EMAML
from quickstudy.algorithms.gradient.learner import InnerLoop
from quickstudy.algorithms.gradient.maml import MAML
from quickstudy.algorithms.gradient.meta_sgd import MetaSGD
from quickstudy.algorithms.gradient.mpo import MPO
from quickstudy.algorithms.gradient.outer import ClippedAscent, TrustRegion
from quickstudy.algorithms.gradient.promp import ProMP
from quickstudy.algorithms.gradient.reptile import Reptile
from quickstudy.algorithms.model.grbal import GrBAL
from quickstudy.algorithms.model.learner import Acting
from quickstudy.algorithms.model.mml import MML, GeneratedModel
from quickstudy.algorithms.model.parts import Correction, Fitting, ModelNetwork
from quickstudy.algorithms.model.rebal import ReBAL
from quickstudy.algorithms.ppo import PPO
from quickstudy.algorithms.transfer.mktn import MKTN
from quickstudy.algorithms.transfer.parts import InnerNetwork
from quickstudy.envs.bandit import BernoulliBandit
from quickstudy.envs.gridworld import GridNavigation
from quickstudy.envs.point import PointNavigation
from quickstudy.family import AbstractFamily
from quickstudy.meta import AbstractMetaAlgorithm, NoMeta
from quickstudy.nets.task_policy import PolicyNetwork
from quickstudy.planning.shooting import Planner
from quickstudy.types import Budget, Budgets

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
        budgets: the trials of training and evaluation; by default the family's.
        num_steps: meta-updates after which it adapts to the bandit; 0 for a learner that needs none.
        continuous: whether it needs continuous actions, and so cannot play the bandit.
    """

    name: str
    build: Callable[[AbstractFamily], AbstractMetaAlgorithm]
    families: tuple[AbstractFamily, ...]
    adapts: bool
    budgets: Callable[[AbstractFamily], Budgets] = lambda family: Budgets(family.budget, family.budget)
    num_steps: int = 0
    continuous: bool = False


def ppo(**changes) -> PPO:
    """Settings under which the bandit is learned in few meta-updates."""
    quick = {"learning_rate": 1e-2, "final_learning_rate": 1e-3, "entropy_weight": 0.02, "anneal_steps": 100}
    return PPO(**quick | {"gamma": 1.0, "trace": 0.95, "num_epochs": 4, "num_minibatches": 4} | changes)


def every_step(family: AbstractFamily) -> Budgets:
    """The family's trial in blocks of one step."""
    budget = Budget(family.budget.steps_per_stream, 1)
    return Budgets(budget, budget)


INNER = InnerLoop(num_updates=2, num_streams=6, step_size=1.0, later_step_size=1.0)
GENTLE = replace(INNER, step_size=0.1, later_step_size=0.1)
"""For Gaussian policies: ten times longer steps make so much of rounding that the number of devices shows."""
ASCENT = ClippedAscent(learning_rate=1e-2, num_epochs=2)
CURVED = TrustRegion(curvature_streams=2, damping=0.01)
"""Damped enough that the direction of so small a problem does not hang on rounding."""
NETWORK = PolicyNetwork(width=8, depth=1)


def rollouts(family: AbstractFamily) -> Budgets:
    """Blocks of rollouts for gradient methods."""
    return Budgets(INNER.train_budget(family), INNER.test_budget(family))


def gradient(name: str, build: Callable[[InnerLoop], AbstractMetaAlgorithm], *families: AbstractFamily) -> Method:
    """A row of a gradient method."""
    inner = lambda family: GENTLE if family is POINT else INNER
    return Method(name, lambda family: build(inner(family)), families or (BANDIT,), True, rollouts, num_steps=60)


TRANSFER = MKTN(
    width=8,
    num_features=4,
    inner=InnerNetwork(num_sweeps=1, capacity=12, noise=0.5),
    anneal_steps=60,
    num_gradient_steps=2,
    batch_size=8,
    num_trials=256,
    num_lessons=32,
)

MODELS = ModelNetwork(width=8, num_members=2)
PLANNED = Acting(Planner(horizon=2, num_candidates=8), epsilon=1.0, train_candidates=8)
"""Random actions in training: plans in a model that has learned nothing yet differ by little more than rounding."""
FITTING = Fitting(
    learning_rate=1e-2, anneal_steps=60, num_gradient_steps=5, batch_size=8, num_targets=8, capacity=10, num_trials=512
)
MODEL = MML(
    MODELS,
    code_size=2,
    encoder_width=16,
    hyper_width=8,
    rank=2,
    inner=GeneratedModel(correction=Correction(num_steps=1, capacity=10)),
    acting=PLANNED,
    fitting=FITTING,
    num_context=10,
)


def associative_rl2(_: AbstractFamily) -> RL2:
    """RL² with its second memory and a bonus for novelty.

    No readout: in a network this small, a relu unit whose gradient is all but zero can stand at its kink, where the
    rounding of the number of devices decides, and Adam makes full steps of that.
    """
    return RL2(width=8, associative=True, novelty_weight=0.1, ppo=ppo())


SCRATCH = DQN(
    width=16, depth=1, rule=QLearningRule(1e-2, gamma=0.0, num_gradient_steps=4), capacity=12, epsilon_steps=6
)
ACROSS = QLearningRule(num_gradient_steps=2, batch_size=8)
SMALL_TD3 = replace(td3(), width=8, depth=1, capacity=12, random_steps=2)
SMALL_SAC = SAC(width=8, depth=1, capacity=12, random_steps=2)


METHODS = (
    Method("rl2-gru", lambda family: RL2(cell="gru", width=16, ppo=ppo()), (BANDIT, GRID), True, num_steps=100),
    Method(
        "rl2-lstm",
        lambda family: RL2(cell="lstm", width=16, standardize=True, ppo=ppo()),
        (BANDIT,),
        True,
        num_steps=100,
    ),
    gradient("mpo", lambda inner: MPO(NETWORK, inner=inner, code_size=4, encoder_width=8, ascent=ASCENT)),
    gradient("maml", lambda inner: MAML(NETWORK, inner, trust_region=CURVED)),
    gradient("fomaml", lambda inner: MAML(NETWORK, replace(inner, first_order=True), outer="clipped", ascent=ASCENT)),
    gradient("promp", lambda inner: ProMP(NETWORK, inner, ASCENT), POINT),
    gradient("reptile", lambda inner: Reptile(NETWORK, inner)),
    gradient("meta-sgd", lambda inner: MetaSGD(NETWORK, inner, ASCENT)),
    gradient("anil", lambda inner: ANIL(NETWORK, inner, ASCENT)),
    gradient("cavia", lambda inner: CAVIA(NETWORK, inner=inner, ascent=ASCENT), POINT),
    gradient("e-maml", lambda inner: EMAML(NETWORK, inner=inner, ascent=ASCENT)),
    Method("mktn", lambda family: TRANSFER, (BANDIT, GRID), True, budgets=every_step, num_steps=60),
    Method("mml", lambda family: MODEL, (POINT,), True, MODEL.budgets, 3, True),
    Method(
        "grbal", lambda family: GrBAL(MODELS, acting=PLANNED, fitting=FITTING), (POINT,), True, MODEL.budgets, 3, True
    ),
    Method("rebal", lambda family: ReBAL(MODELS, 8, PLANNED, FITTING), (POINT,), True, MODEL.budgets, 3, True),
    Method("dqn", lambda family: SCRATCH, (BANDIT, GRID), True, every_step),
    Method("fine-tuned-dqn", lambda family: FineTunedDQN(SCRATCH, ACROSS), (BANDIT, GRID), True, every_step, 3),
    Method("td3", lambda family: SMALL_TD3, (POINT,), True, every_step, continuous=True),
    Method("sac", lambda family: SMALL_SAC, (POINT,), True, every_step, continuous=True),
    Method("rl2-associative", associative_rl2, (BANDIT, GRID), True, num_steps=100),
    Method(
        "multitask-ppo",
        lambda family: MultiTaskPPO(width=8, depth=1, standardize=True, ppo=ppo()),
        (GRID, POINT),
        False,
    ),
    Method("random", lambda family: NoMeta(RandomLearner.for_spec(family.env.spec)), (GRID, POINT), False),
    Method("thompson", lambda family: NoMeta(ThompsonSampling(family.prior)), (BANDIT,), True, budgets=every_step),
    Method("skeleton", lambda family: PreferenceReptile(), (BANDIT,), True, budgets=every_step, num_steps=3),
)
SOME_METHODS = tuple(
    m for m in METHODS if m.name in ("rl2-gru", "mpo", "maml", "mktn", "multitask-ppo", "thompson", "skeleton")
)
"""One of each kind, for properties that depend on the kind alone."""
