"""Where tasks come from: distributions, and the splits that keep training and test apart."""

import abc
from typing import Generic, Literal, TypeVar, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from quickstudy.errors import require_positive, unknown

TaskT = TypeVar("TaskT")
SplitName = Literal["train", "validation", "test", "ood"]
SPLITS: tuple[SplitName, ...] = get_args(SplitName)


class AbstractTaskDistribution(eqx.Module, Generic[TaskT]):
    """Draws tasks of a family. A task is any pytree of arrays."""

    @abc.abstractmethod
    def sample(self, *, key: Key[Array, ""]) -> TaskT:
        """One task; callers vmap."""


class AbstractHostTaskDistribution(AbstractTaskDistribution[TaskT]):
    """A distribution whose `sample` runs Python code, one task at a time: it can be neither mapped nor compiled."""


class TaskSplit(eqx.Module, Generic[TaskT]):
    """A distribution that knows which split of its family it is.

    Each split draws from a key stream of its own, so that equal keys give different tasks in different splits, and
    `meta_train` refuses every split but ``train`` (and `tune`-like choices use ``validation``).
    """

    distribution: AbstractTaskDistribution[TaskT]
    name: SplitName

    def __check_init__(self):
        if self.name not in SPLITS:
            raise unknown("split", self.name, SPLITS)

    def sample(self, *, key: Key[Array, ""]) -> TaskT:
        """One task of this split."""
        return self.distribution.sample(key=jax.random.fold_in(key, SPLITS.index(self.name)))

    def batch(self, num_tasks: int, *, key: Key[Array, ""]) -> PyTree:
        """``num_tasks`` independent tasks, ``[K, ...]``."""
        require_positive(num_tasks=num_tasks)
        keys = jax.random.split(key, num_tasks)
        if isinstance(self.distribution, AbstractHostTaskDistribution):
            return jax.tree.map(lambda *xs: jnp.stack(xs), *(self.sample(key=k) for k in keys))
        return jax.vmap(lambda k: self.sample(key=k))(keys)
