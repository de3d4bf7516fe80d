"""How an action value depends on the action: a number for each discrete one, a parabola in each continuous one.

A network of action values says T coefficients of an observation, and ``Q(s, a) = coefficients(s) · terms(a)``. The
greedy action of either form is known in closed form, so that no actor has to be learned beside the values.
"""

import abc
import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.types import Action, Spec


class AbstractActionTerms(eqx.Module):
    """The terms of an action value."""

    @property
    @abc.abstractmethod
    def num_terms(self) -> int:
        """T."""

    @property
    @abc.abstractmethod
    def action(self) -> jax.ShapeDtypeStruct:
        """Shape and dtype of an action."""

    @abc.abstractmethod
    def terms(self, action: Action) -> Float[Array, " T"]:
        """What the coefficients are multiplied by for ``action``."""

    @abc.abstractmethod
    def greedy(self, coefficients: Float[Array, " T"]) -> Action:
        """The action with the highest value."""

    @abc.abstractmethod
    def random(self, *, key: Key[Array, ""]) -> Action:
        """Any action, uniformly."""

    def best_terms(self, coefficients: Float[Array, " T"]) -> Float[Array, " T"]:
        """The terms of the greedy action."""
        return self.terms(self.greedy(coefficients))


class DiscreteTerms(AbstractActionTerms):
    """A coefficient for each of ``num_actions`` actions: its value."""

    num_actions: int = eqx.field(static=True)

    @property
    def num_terms(self) -> int:
        """One an action."""
        return self.num_actions

    @property
    def action(self) -> jax.ShapeDtypeStruct:
        """A whole number."""
        return jax.ShapeDtypeStruct((), jnp.int32)

    def terms(self, action: Action) -> Float[Array, " T"]:
        """One-hot."""
        return jax.nn.one_hot(action, self.num_actions)

    def greedy(self, coefficients: Float[Array, " T"]) -> Action:
        """Where the largest coefficient is."""
        return jnp.argmax(coefficients).astype(jnp.int32)

    def random(self, *, key: Key[Array, ""]) -> Action:
        """One of them."""
        return jax.random.randint(key, (), 0, self.num_actions)


class ParabolaTerms(AbstractActionTerms):
    """``1``, ``a_i`` and ``a_i²`` for the numbers of a continuous action in [-1, 1]: a parabola along each.

    Source of quadratic action values: Gu et al. 2016, arXiv:1603.00748; theirs are concave by construction, which a sum
    of features cannot be: where a parabola opens upwards, its best action lies at an end.
    """

    shape: tuple[int, ...] = eqx.field(static=True)

    @property
    def num_terms(self) -> int:
        """One, and two for each number of an action."""
        return 1 + 2 * math.prod(self.shape)

    @property
    def action(self) -> jax.ShapeDtypeStruct:
        """Numbers in [-1, 1]."""
        return jax.ShapeDtypeStruct(self.shape, jnp.float32)

    def terms(self, action: Action) -> Float[Array, " T"]:
        """The constant, the numbers and their squares."""
        flat = jnp.ravel(action)
        return jnp.concatenate([jnp.ones(1), flat, jnp.square(flat)])

    def greedy(self, coefficients: Float[Array, " T"]) -> Action:
        """The vertex of each parabola, cut to [-1, 1]; the better end where it opens upwards."""
        slope, bend = jnp.split(coefficients[1:], 2)
        concave = bend < 0
        vertex = jnp.clip(-slope / jnp.where(concave, 2.0 * bend, 1.0), -1.0, 1.0)
        return jnp.where(concave, vertex, jnp.sign(slope)).reshape(self.shape)

    def random(self, *, key: Key[Array, ""]) -> Action:
        """Uniform over the box."""
        return jax.random.uniform(key, self.shape, minval=-1.0, maxval=1.0)


def action_terms(spec: Spec) -> AbstractActionTerms:
    """The terms for the actions of a family."""
    return ParabolaTerms(spec.action.shape) if spec.num_actions is None else DiscreteTerms(spec.num_actions)
