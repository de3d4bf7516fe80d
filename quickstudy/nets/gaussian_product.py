"""An encoder whose evidence multiplies: every transition is a Gaussian factor, and a task's code their product."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.nets.init import RELU, deviating_linear, drawn


class Evidence(NamedTuple):
    """A product of Gaussians, in the form in which products are sums.

    Attributes:
        precision: sum of the factors' precisions.
        weighted: sum of their means, each times its precision.
    """

    precision: Float[Array, "*axes C"]
    weighted: Float[Array, "*axes C"]

    @classmethod
    def none(cls, code_size: int) -> "Evidence":
        """No factors."""
        return cls(jnp.zeros(code_size), jnp.zeros(code_size))

    def plus(self, other: "Evidence") -> "Evidence":
        """The product of both."""
        return Evidence(self.precision + other.precision, self.weighted + other.weighted)

    def times(self, power: Float[Array, ""] | float) -> "Evidence":
        """To a power: below 1, evidence that fades."""
        return Evidence(power * self.precision, power * self.weighted)

    @property
    def posterior(self) -> tuple[Float[Array, "*axes C"], Float[Array, "*axes C"]]:
        """Mean and variance of the code, given the prior N(0, 1)."""
        variance = 1.0 / (1.0 + self.precision)
        return variance * self.weighted, variance


class GaussianProductEncoder(eqx.Module):
    """Turns one transition into a Gaussian factor over the code; factors are multiplied (PEARL, Rakelly et al. 2019).

    Order-free, and summed up as it comes: a task of any length costs the same memory.
    """

    layers: tuple[eqx.nn.Linear, ...]

    def __init__(self, num_inputs: int, *, width: int, code_size: int, key: Key[Array, ""]):
        layers = (
            deviating_linear(num_inputs, width, scale=RELU),
            deviating_linear(width, width, scale=RELU),
            deviating_linear(width, 2 * code_size, scale=0.1),
        )
        self.layers = drawn(layers, key=key)

    def factor(self, x: Float[Array, " F"]) -> Evidence:
        """The evidence of one transition, given as numbers of about unit scale."""
        for layer in self.layers[:-1]:
            x = jax.nn.silu(layer(x))
        mean, precision = jnp.split(self.layers[-1](x), 2)
        precision = jax.nn.softplus(precision)
        return Evidence(precision, precision * mean)
