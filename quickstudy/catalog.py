"""Methods and families by name: one entry each, loaded when it is asked for.

This is where the command line finds things; code imports classes directly. A new method or family is one entry here.
Nothing of JAX is imported until an entry is loaded.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from quickstudy.errors import InvalidArgument, unknown
from quickstudy.outside import is_outside, load_outside

if TYPE_CHECKING:
    from quickstudy.family import AbstractFamily
    from quickstudy.meta import AbstractMetaAlgorithm


class MethodEntry(NamedTuple):
    """A method that the command line offers.

    Attributes:
        summary: one line.
        load: returns the function that makes its hyperparameters' defaults.
        build: the meta-algorithm from hyperparameters and a family.
        block_length: steps between two updates of the learner; None leaves the family's blocks as they are.
    """

    summary: str
    load: Callable[[], Callable[[], Any]]
    build: Callable[[Any, "AbstractFamily"], "AbstractMetaAlgorithm"]
    block_length: int | None = None


class FamilyEntry(NamedTuple):
    """A task family that the command line offers."""

    summary: str
    load: Callable[[], Callable[[], "AbstractFamily"]]


def _rl2() -> Callable[[], Any]:
    from quickstudy.algorithms.context.rl2 import RL2

    return RL2


def _multitask() -> Callable[[], Any]:
    from quickstudy.algorithms.baselines.multitask import MultiTaskPPO

    return MultiTaskPPO


def _no_options() -> Callable[[], Any]:
    from quickstudy.meta import NoOptions

    return NoOptions


def _itself(options: Any, family: "AbstractFamily") -> "AbstractMetaAlgorithm":
    """A meta-algorithm is its own hyperparameters and fits any family."""
    del family
    return options


def _build_random(options: Any, family: "AbstractFamily") -> "AbstractMetaAlgorithm":
    from quickstudy.algorithms.baselines.random import RandomLearner
    from quickstudy.meta import NoMeta

    del options
    return NoMeta(RandomLearner.for_spec(family.env.spec))


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
    "rl2": MethodEntry("RL²: a recurrent policy whose memory is the learning algorithm (Duan 2016)", _rl2, _itself),
    "multitask-ppo": MethodEntry(
        "one policy for all tasks, without memory: the control that cannot adapt", _multitask, _itself
    ),
    "thompson": MethodEntry("Thompson sampling with the right prior, on bandits", _no_options, _build_thompson, 1),
    "random": MethodEntry("uniformly random actions: the floor", _no_options, _build_random),
}


def _bernoulli_bandit() -> Callable[[], Any]:
    from quickstudy.envs.bandit import BernoulliBandit

    return BernoulliBandit


def _gaussian_bandit() -> Callable[[], Any]:
    from quickstudy.envs.bandit import GaussianBandit

    return GaussianBandit


def _random_mdp() -> Callable[[], Any]:
    from quickstudy.envs.tabular import RandomMDP

    return RandomMDP


def _grid_navigation() -> Callable[[], Any]:
    from quickstudy.envs.gridworld import GridNavigation

    return GridNavigation


def _dark_room() -> Callable[[], Any]:
    from quickstudy.envs.darkroom import DarkRoom

    return DarkRoom


def _dark_key_to_door() -> Callable[[], Any]:
    from quickstudy.envs.darkroom import DarkKeyToDoor

    return DarkKeyToDoor


def _point() -> Callable[[], Any]:
    from quickstudy.envs.point import PointNavigation

    return PointNavigation


def _sparse_point() -> Callable[[], Any]:
    from quickstudy.envs.point import SparsePointNavigation

    return SparsePointNavigation


def _rotated_point() -> Callable[[], Any]:
    from quickstudy.envs.point import RotatedPointNavigation

    return RotatedPointNavigation


FAMILIES = {
    "bernoulli-bandit": FamilyEntry("k arms that pay 0 or 1, with unknown probabilities", _bernoulli_bandit),
    "gaussian-bandit": FamilyEntry("k arms with unknown means and normal noise", _gaussian_bandit),
    "random-mdp": FamilyEntry("tabular Markov decision processes drawn from a Dirichlet prior", _random_mdp),
    "grid-navigation": FamilyEntry("a 5×5 grid with a hidden goal (VariBAD's)", _grid_navigation),
    "dark-room": FamilyEntry("a 9×9 room with a hidden goal", _dark_room),
    "dark-key-to-door": FamilyEntry("a 9×9 room with a hidden key, then a hidden door", _dark_key_to_door),
    "point-navigation": FamilyEntry("a point in the plane, distance to a hidden goal as reward (MAML's)", _point),
    "sparse-point-navigation": FamilyEntry("the same with goals on a half circle and reward near them", _sparse_point),
    "rotated-point-navigation": FamilyEntry("a point whose actuators are rotated by a hidden angle", _rotated_point),
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
