"""Methods and families by name: one entry each, loaded when it is asked for.

This is where the command line finds things; code imports classes directly. A new method or family is one entry here.
Nothing of JAX is imported until an entry is loaded.
"""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from quickstudy.errors import InvalidArgument, unknown
from quickstudy.outside import is_outside, load_outside

if TYPE_CHECKING:
    from quickstudy.family import AbstractFamily
    from quickstudy.meta import AbstractMetaAlgorithm
    from quickstudy.types import Budgets


class MethodEntry(NamedTuple):
    """A method that the command line offers.

    Attributes:
        summary: one line.
        load: returns the function that makes its hyperparameters' defaults.
        build: the meta-algorithm from hyperparameters and a family.
        budgets: the trials of training and evaluation from hyperparameters and a family.
        shows_task: whether observations hold the task beside what the environment shows: an oracle.
    """

    summary: str
    load: Callable[[], Callable[[], Any]]
    build: Callable[[Any, "AbstractFamily"], "AbstractMetaAlgorithm"]
    budgets: Callable[[Any, "AbstractFamily"], "Budgets"]
    shows_task: bool = False


class FamilyEntry(NamedTuple):
    """A task family that the command line offers.

    Attributes:
        summary: one line.
        load: returns the function that makes it with its defaults.
        extra: what has to be installed beside the library, as in ``quickstudy[extra]``; its environments are not
            compiled.
    """

    summary: str
    load: Callable[[], Callable[[], "AbstractFamily"]]
    extra: str = ""


def _algorithm(module: str, name: str) -> Callable[[], Callable[[], Any]]:
    """The loader of a name in ``quickstudy.algorithms``."""
    return lambda: getattr(importlib.import_module(f"quickstudy.algorithms.{module}"), name)


def _no_options() -> Callable[[], Any]:
    from quickstudy.meta import NoOptions

    return NoOptions


def _itself(options: Any, family: "AbstractFamily") -> "AbstractMetaAlgorithm":
    """A meta-algorithm is its own hyperparameters and fits any family."""
    del family
    return options


def _family_budgets(options: Any, family: "AbstractFamily") -> "Budgets":
    """The family's own trial, for training and evaluation."""
    from quickstudy.types import Budgets

    del options
    return Budgets(family.budget, family.budget)


def _every_step(options: Any, family: "AbstractFamily") -> "Budgets":
    """The family's trial in blocks of one step, for learners that learn at every step."""
    from quickstudy.types import Budgets

    del options
    budget = family.trial_in_blocks(1)
    return Budgets(budget, budget)


def _own_budgets(options: Any, family: "AbstractFamily") -> "Budgets":
    """Trials as the method itself says."""
    return options.budgets(family)


def _rollout_budgets(options: Any, family: "AbstractFamily") -> "Budgets":
    """Blocks of rollouts, as the method's inner loop says."""
    from quickstudy.types import Budgets

    return Budgets(options.inner.train_budget(family), options.inner.test_budget(family))


def _build_random(options: Any, family: "AbstractFamily") -> "AbstractMetaAlgorithm":
    from quickstudy.algorithms.baselines.random import RandomLearner
    from quickstudy.meta import NoMeta

    del options
    return NoMeta(RandomLearner.for_spec(family.env.spec))


def _build_tabular(options: Any, family: "AbstractFamily") -> "AbstractMetaAlgorithm":
    from quickstudy.algorithms.baselines.tabular import in_states
    from quickstudy.meta import NoMeta

    return NoMeta(in_states(options.build(family), family))


def _build_thompson(options: Any, family: "AbstractFamily") -> "AbstractMetaAlgorithm":
    from quickstudy.algorithms.baselines.thompson import ThompsonSampling
    from quickstudy.envs.bandit import BernoulliBandit, GaussianBandit
    from quickstudy.meta import NoMeta

    del options
    if not isinstance(family, BernoulliBandit | GaussianBandit):
        raise InvalidArgument(
            f"thompson samples arms of a bandit, and {type(family).__name__} is none: choose --family bernoulli-bandit "
            "or gaussian-bandit"
        )
    return NoMeta(ThompsonSampling(family.prior))


METHODS = {
    "rl2": MethodEntry(
        "RL²: a recurrent policy whose memory is the learning algorithm (Duan 2016)",
        _algorithm("context.rl2", "RL2"),
        _itself,
        _family_budgets,
    ),
    "mpo": MethodEntry(
        "MPO: a meta-policy network generates the policy of a task, and policy gradient improves it",
        _algorithm("gradient.mpo", "MPO"),
        _itself,
        _rollout_budgets,
    ),
    "mktn": MethodEntry(
        "MKTN: values that all tasks share, and a Bayesian linear head for each, explored by draws from its posterior",
        _algorithm("transfer.mktn", "MKTN"),
        _itself,
        _own_budgets,
    ),
    "mml": MethodEntry(
        "MML: a hypernetwork generates the model of a task from its transitions, and the agent plans through it",
        _algorithm("model.mml", "MML"),
        _itself,
        _own_budgets,
    ),
    "grbal": MethodEntry(
        "GrBAL: a model that one gradient step on the latest transitions adapts, and planning (Nagabandi 2019)",
        _algorithm("model.grbal", "GrBAL"),
        _itself,
        _own_budgets,
    ),
    "rebal": MethodEntry(
        "ReBAL: a model that reads a recurrent memory of the task, and planning (Nagabandi 2019)",
        _algorithm("model.rebal", "ReBAL"),
        _itself,
        _own_budgets,
    ),
    "maml": MethodEntry(
        "MAML: a policy that one step of policy gradient makes good (Finn 2017)",
        _algorithm("gradient.maml", "MAML"),
        _itself,
        _rollout_budgets,
    ),
    "fomaml": MethodEntry(
        "first-order MAML: the inner gradient is a constant (Finn 2017)",
        _algorithm("gradient.maml", "first_order_maml"),
        _itself,
        _rollout_budgets,
    ),
    "promp": MethodEntry(
        "ProMP: MAML with low-variance curvature and a clipped outer loop (Rothfuss 2019)",
        _algorithm("gradient.promp", "ProMP"),
        _itself,
        _rollout_budgets,
    ),
    "reptile": MethodEntry(
        "Reptile: a start that lies near where every task leads (Nichol 2018)",
        _algorithm("gradient.reptile", "Reptile"),
        _itself,
        _rollout_budgets,
    ),
    "meta-sgd": MethodEntry(
        "Meta-SGD: start and step sizes are learned (Li 2017)",
        _algorithm("gradient.meta_sgd", "MetaSGD"),
        _itself,
        _rollout_budgets,
    ),
    "anil": MethodEntry(
        "ANIL: MAML that adapts the policy's head alone (Raghu 2020)",
        _algorithm("gradient.anil", "ANIL"),
        _itself,
        _rollout_budgets,
    ),
    "cavia": MethodEntry(
        "CAVIA: MAML that adapts a context vector alone (Zintgraf 2019)",
        _algorithm("gradient.cavia", "CAVIA"),
        _itself,
        _rollout_budgets,
    ),
    "e-maml": MethodEntry(
        "E-MAML: MAML with credit for exploration (Stadie 2018)",
        _algorithm("gradient.emaml", "EMAML"),
        _itself,
        _rollout_budgets,
    ),
    "fine-tuned-ppo": MethodEntry(
        "one policy for all tasks, fine-tuned by PPO in each: the transferable policy",
        _algorithm("gradient.fine_tuning", "FineTunedPPO"),
        _itself,
        _own_budgets,
    ),
    "oracle-ppo": MethodEntry(
        "one policy for all tasks that is shown which one it is in: what knowing the task is worth",
        _algorithm("gradient.fine_tuning", "FineTunedPPO"),
        _itself,
        _own_budgets,
        shows_task=True,
    ),
    "scratch-ppo": MethodEntry(
        "PPO or REINFORCE from scratch in the task: nothing is meta-learned",
        _algorithm("gradient.fine_tuning", "FromScratch"),
        _itself,
        _rollout_budgets,
    ),
    "multitask-ppo": MethodEntry(
        "one policy for all tasks, without memory: the control that cannot adapt",
        _algorithm("baselines.multitask", "MultiTaskPPO"),
        _itself,
        _family_budgets,
    ),
    "dqn": MethodEntry(
        "deep Q-learning from scratch in the task (Mnih 2015)",
        _algorithm("baselines.dqn", "DQN"),
        _itself,
        _own_budgets,
    ),
    "fine-tuned-dqn": MethodEntry(
        "one Q-network for all tasks, fine-tuned by deep Q-learning in each",
        _algorithm("baselines.dqn", "FineTunedDQN"),
        _itself,
        _own_budgets,
    ),
    "ddpg": MethodEntry(
        "DDPG from scratch in the task (Lillicrap 2016)",
        _algorithm("baselines.continuous", "DDPG"),
        _itself,
        _own_budgets,
    ),
    "td3": MethodEntry(
        "TD3 from scratch in the task (Fujimoto 2018)", _algorithm("baselines.continuous", "td3"), _itself, _own_budgets
    ),
    "sac": MethodEntry(
        "SAC from scratch in the task (Haarnoja 2018)", _algorithm("baselines.continuous", "SAC"), _itself, _own_budgets
    ),
    "thompson": MethodEntry(
        "Thompson sampling with the right prior, on bandits", _no_options, _build_thompson, _every_step
    ),
    "r-max": MethodEntry(
        "R-MAX from scratch: plans as if all that is unknown were the best there is (Brafman 2002)",
        _algorithm("baselines.rmax", "RMaxOptions"),
        _build_tabular,
        _every_step,
    ),
    "q-learning": MethodEntry(
        "tabular Q-learning from scratch (Watkins 1992)",
        _algorithm("baselines.q_learning", "QLearningOptions"),
        _build_tabular,
        _every_step,
    ),
    "random": MethodEntry("uniformly random actions: the floor", _no_options, _build_random, _family_budgets),
}


def _compiled(summary: str, module: str, name: str) -> FamilyEntry:
    """A family of the library's own."""
    return FamilyEntry(summary, lambda: getattr(importlib.import_module(f"quickstudy.envs.{module}"), name))


def _world(summary: str, where: str, extra: str) -> FamilyEntry:
    """A family over another library's environments."""
    return FamilyEntry(summary, lambda: load_outside(f"quickstudy.worlds.{where}"), extra)


FAMILIES = {
    "bernoulli-bandit": _compiled("k arms that pay 0 or 1, with unknown probabilities", "bandit", "BernoulliBandit"),
    "gaussian-bandit": _compiled("k arms with unknown means and normal noise", "bandit", "GaussianBandit"),
    "random-mdp": _compiled("tabular Markov decision processes drawn from a Dirichlet prior", "tabular", "RandomMDP"),
    "grid-navigation": _compiled("a 5×5 grid with a hidden goal (VariBAD's)", "gridworld", "GridNavigation"),
    "dark-room": _compiled("a 9×9 room with a hidden goal", "darkroom", "DarkRoom"),
    "dark-key-to-door": _compiled("a 9×9 room with a hidden key, then a hidden door", "darkroom", "DarkKeyToDoor"),
    "point-navigation": _compiled(
        "a point in the plane, distance to a hidden goal as reward (MAML's)", "point", "PointNavigation"
    ),
    "sparse-point-navigation": _compiled(
        "the same with goals on a half circle and reward near them", "point", "SparsePointNavigation"
    ),
    "rotated-point-navigation": _compiled(
        "a point whose actuators are rotated by a hidden angle", "point", "RotatedPointNavigation"
    ),
    "cart-pole": _compiled("a pole to keep upright on a cart of hidden physics", "control.cart_pole", "CartPole"),
    "cart-pole-swing-up": _compiled(
        "a pole to swing up, on a cart of hidden physics", "control.cart_pole_swing_up", "CartPoleSwingUp"
    ),
    "pendulum": _compiled("a pendulum of hidden physics to swing up and hold", "control.pendulum", "Pendulum"),
    "mountain-car": _compiled(
        "a weak car of hidden physics that must rock itself out of a valley", "control.mountain_car", "MountainCar"
    ),
    "reacher": _compiled(
        "an arm of two links whose actuators may be swapped, reversed or crippled", "control.reacher", "Reacher"
    ),
    "half-cheetah-vel": _world("a half-cheetah that must run at a hidden speed", "mujoco:HalfCheetahVel", "mujoco"),
    "half-cheetah-dir": _world("a half-cheetah that must run in a hidden direction", "mujoco:HalfCheetahDir", "mujoco"),
    "ant-dir": _world("an ant that must run in a hidden direction", "mujoco:AntDir", "mujoco"),
    "meta-world-ml1": _world(
        "Meta-World's ML1: a robot arm with a hidden goal", "meta_world:MetaWorldML1", "metaworld"
    ),
    "highway": _world("driving in traffic and a car that differ", "driving:HighwayDriving", "highway"),
}


def method(name: str) -> MethodEntry:
    """The method called ``name``.

    Raises:
        InvalidArgument: there is none; suggests the nearest.
    """
    if name not in METHODS:
        raise unknown("method", name, METHODS)
    return METHODS[name]


def family(name: str) -> FamilyEntry:
    """The family called ``name``, or the one that lies at ``module:name``.

    Raises:
        InvalidArgument: there is none; suggests the nearest.
    """
    if is_outside(name):
        return FamilyEntry(f"from outside: {name}", lambda: load_outside(name))
    if name not in FAMILIES:
        raise unknown("family", name, FAMILIES)
    return FAMILIES[name]
