"""Tasks that are physics: how every parameter is drawn, and how an oracle reads it."""

import abc
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.tasks.base import AbstractTaskDistribution

TaskT = TypeVar("TaskT")

BEYOND = 1.5
"""How far out of distribution goes, where 1 is the edge of the training range."""


class AbstractParameter(eqx.Module):
    """One physical parameter: its default, how tasks draw it, and how an oracle reads it."""

    @property
    @abc.abstractmethod
    def nominal(self) -> Float[Array, "*shape"]:
        """The default."""

    @abc.abstractmethod
    def draw(self, *, ood: bool, key: Key[Array, ""]) -> Float[Array, "*shape"]:
        """A value from the training range, or beyond it."""

    @abc.abstractmethod
    def features(self, value: Float[Array, "*shape"]) -> Float[Array, " F"]:
        """``value`` as numbers that lie in [-1, 1] over the training range."""

    def feature_names(self, field: str) -> tuple[str, ...]:
        """What `features` of the task's ``field`` are called: as it is, with a place from 1 where there are several."""
        num = jax.eval_shape(self.features, self.nominal).shape[0]
        return (field,) if num == 1 else tuple(f"{field} {i + 1}" for i in range(num))


class Scale(AbstractParameter):
    """A number that is larger or smaller than its default: ``default · spread^e`` with e uniform on [-1, 1].

    Out of distribution e is uniform over the rest of [-1.5, 1.5]. If it ``flips``, its sign is either one, each half
    of the time. Features: e, and the sign if it flips.
    """

    default: float
    spread: float
    flips: bool = False

    @property
    def nominal(self) -> Float[Array, ""]:
        return jnp.asarray(self.default, jnp.float32)

    def draw(self, *, ood: bool, key: Key[Array, ""]) -> Float[Array, ""]:
        k_size, k_side, k_sign = jax.random.split(key, 3)
        size = jax.random.uniform(k_size, minval=1.0 if ood else 0.0, maxval=BEYOND if ood else 1.0)
        exponent = size * jax.random.rademacher(k_side, (), jnp.float32)
        sign = jax.random.rademacher(k_sign, (), jnp.float32) if self.flips else 1.0
        return sign * self.default * jnp.float32(self.spread) ** exponent

    def features(self, value: Float[Array, ""]) -> Float[Array, " F"]:
        exponent = jnp.log(jnp.abs(value) / self.default) / jnp.log(self.spread)
        return jnp.stack([exponent, jnp.sign(value)] if self.flips else [exponent])

    def feature_names(self, field: str) -> tuple[str, ...]:
        return (f"size of {field}", f"sign of {field}") if self.flips else (field,)


class Friction(AbstractParameter):
    """A coefficient that is 0 by default and uniform up to ``high``; out of distribution from there to twice as much.

    Feature: −1 at 0, 1 at ``high``.
    """

    high: float

    @property
    def nominal(self) -> Float[Array, ""]:
        return jnp.zeros(())

    def draw(self, *, ood: bool, key: Key[Array, ""]) -> Float[Array, ""]:
        return self.high * (jax.random.uniform(key) + ood)

    def features(self, value: Float[Array, ""]) -> Float[Array, " F"]:
        return jnp.stack([2 * value / self.high - 1])


class PhysicalTasks(AbstractTaskDistribution[TaskT], Generic[TaskT]):
    """Tasks whose parameters are drawn independently; out of distribution every one of them lies beyond its range.

    ``task`` is the named tuple that a task is, ``parameters`` has one entry for each of its fields.
    """

    task: Any
    parameters: Mapping[str, AbstractParameter]
    ood: bool = False

    def sample(self, *, key: Key[Array, ""]) -> TaskT:
        keys = jax.random.split(key, len(self.parameters))
        draws = [p.draw(ood=self.ood, key=k) for p, k in zip(self._ordered, keys, strict=True)]
        return self.task(*draws)

    @property
    def default(self) -> TaskT:
        """The task with every parameter at its default."""
        return self.task(*(parameter.nominal for parameter in self._ordered))

    def features(self, task: Any) -> Float[Array, " F"]:
        """The features of all parameters, in the order of the task's fields."""
        return jnp.concatenate([p.features(value) for p, value in zip(self._ordered, task, strict=True)])

    @property
    def feature_names(self) -> tuple[str, ...]:
        """What `features` are called."""
        pairs = zip(self.task._fields, self._ordered, strict=True)
        return tuple(name for field, parameter in pairs for name in parameter.feature_names(field))

    @property
    def _ordered(self) -> list[AbstractParameter]:
        return [self.parameters[name] for name in self.task._fields]
