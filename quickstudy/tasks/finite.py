"""Finite sets of tasks, which can be split and filtered."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from quickstudy.errors import InvalidArgument
from quickstudy.tasks.base import AbstractTaskDistribution


class FiniteTasks(AbstractTaskDistribution[PyTree]):
    """The uniform distribution over M given tasks, a pytree of arrays ``[M, ...]``."""

    members: PyTree[Array]

    def __check_init__(self):
        if len(self) == 0:
            raise InvalidArgument("members is empty: a finite set needs at least one task")

    def __len__(self) -> int:
        return int(jax.tree.leaves(self.members)[0].shape[0])

    def sample(self, *, key: Key[Array, ""]) -> PyTree[Array]:
        index = jax.random.randint(key, (), 0, len(self))
        return jax.tree.map(lambda x: x[index], self.members)

    def filter(self, keep: Callable[[Any], bool]) -> "FiniteTasks":
        """The members for which ``keep`` holds."""
        mask = [bool(keep(jax.tree.map(lambda x, i=i: x[i], self.members))) for i in range(len(self))]
        return self._take(np.flatnonzero(mask))

    def split(self, *fractions: float, key: Key[Array, ""]) -> tuple["FiniteTasks", ...]:
        """Disjoint random subsets with these shares of the members; the last one takes what rounding leaves."""
        if not fractions or min(fractions) <= 0 or abs(sum(fractions) - 1) > 1e-6:
            raise InvalidArgument(f"fractions must be positive and sum to 1, got {fractions}")
        order = np.asarray(jax.random.permutation(key, len(self)))
        borders = np.round(np.cumsum(fractions)[:-1] * len(self)).astype(int)
        return tuple(self._take(part) for part in np.split(order, borders))

    def _take(self, index: np.ndarray) -> "FiniteTasks":
        return FiniteTasks(jax.tree.map(lambda x: jnp.asarray(x)[index], self.members))
