"""An encoder whose evidence multiplies: every transition is a Gaussian factor, and a task's code their product."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.nets.init import RELU, deviating_linear, drawn
from quickstudy.ops.gaussian import from_natural


class AbstractEvidence(eqx.Module):
    """A product of Gaussian factors, in the form in which products are sums. The prior N(0, I) is not among them.

    Attributes:
        precision: sum of the factors' precisions.
        weighted: sum of their means, each times its precision.
    """

    precision: eqx.AbstractVar[Float[Array, "*matrix C"]]
    weighted: eqx.AbstractVar[Float[Array, " C"]]

    def plus(self, other: "AbstractEvidence") -> "AbstractEvidence":
        """The product of both."""
        return jax.tree.map(jnp.add, self, other)

    def times(self, power: Float[Array, ""] | float) -> "AbstractEvidence":
        """To a power: below 1, evidence that fades."""
        return jax.tree.map(lambda x: power * x, self)

    @property
    @abc.abstractmethod
    def posterior(self) -> tuple[Float[Array, " C"], Float[Array, " C"]]:
        """Mean and variance of each number of the code."""

    @abc.abstractmethod
    def drawn(self, draws: Float[Array, "E C"]) -> Float[Array, "E C"]:
        """Codes from the posterior, by standard normal ``draws``."""


class IndependentEvidence(AbstractEvidence):
    """Of factors whose precisions are diagonal: what they say of one number of the code has no bearing on another."""

    precision: Float[Array, " C"]
    weighted: Float[Array, " C"]

    @property
    def posterior(self) -> tuple[Float[Array, " C"], Float[Array, " C"]]:
        """Mean and variance of each number of the code."""
        variance = 1.0 / (1.0 + self.precision)
        return variance * self.weighted, variance

    def drawn(self, draws: Float[Array, "E C"]) -> Float[Array, "E C"]:
        """Codes from the posterior, by standard normal ``draws``."""
        mean, variance = self.posterior
        return mean[None] + jnp.sqrt(variance)[None] * draws


class JointEvidence(AbstractEvidence):
    """Of factors that speak of combinations of the numbers of the code, as linear equations do."""

    precision: Float[Array, "C C"]
    weighted: Float[Array, " C"]

    @property
    def posterior(self) -> tuple[Float[Array, " C"], Float[Array, " C"]]:
        """Mean and variance of each number of the code."""
        mean, root = self._gaussian()
        return mean, jnp.sum(jnp.square(root), axis=1)

    def drawn(self, draws: Float[Array, "E C"]) -> Float[Array, "E C"]:
        """Codes from the posterior, by standard normal ``draws``."""
        mean, root = self._gaussian()
        return mean[None] + draws @ root.T

    def _gaussian(self) -> tuple[Float[Array, " C"], Float[Array, "C C"]]:
        return from_natural(jnp.eye(self.weighted.size) + self.precision, self.weighted)


class GaussianProductEncoder(eqx.Module):
    """Turns one transition into a Gaussian factor over the code; factors are multiplied (PEARL, Rakelly et al. 2019).

    Order-free, and summed up as it comes: a task of any length costs the same memory.

    With ``rank`` 0 factors are diagonal, as PEARL's are. With a rank k a factor is k linear equations ``U c = y`` with
    noise N(0, I), and the posterior a Bayesian linear regression on learned features (ALPaCA, Harrison et al. 2018,
    arXiv:1807.08912): what only many transitions together tell apart, each of them may say a part of.
    """

    layers: tuple[eqx.nn.Linear, ...]
    code_size: int = eqx.field(static=True)
    rank: int = eqx.field(static=True)

    def __init__(self, num_inputs: int, *, width: int, code_size: int, rank: int = 0, key: Key[Array, ""]):
        self.code_size, self.rank = code_size, rank
        num_out, scale = (rank * (code_size + 1), 0.3) if rank else (2 * code_size, 0.1)
        layers = (
            deviating_linear(num_inputs, width, scale=RELU),
            deviating_linear(width, width, scale=RELU),
            deviating_linear(width, num_out, scale=scale),
        )
        self.layers = drawn(layers, key=key)

    def nothing(self) -> AbstractEvidence:
        """No factors."""
        weighted = jnp.zeros(self.code_size)
        if self.rank:
            return JointEvidence(jnp.zeros((self.code_size, self.code_size)), weighted)
        return IndependentEvidence(weighted, weighted)

    def factor(self, x: Float[Array, " F"]) -> AbstractEvidence:
        """The evidence of one transition, given as numbers of about unit scale."""
        for layer in self.layers[:-1]:
            x = jax.nn.silu(layer(x))
        said = self.layers[-1](x)
        if self.rank:
            left, right = said[: -self.rank].reshape(self.rank, self.code_size), said[-self.rank :]
            return JointEvidence(left.T @ left, left.T @ right)
        mean, precision = jnp.split(said, 2)
        precision = jax.nn.softplus(precision)
        return IndependentEvidence(precision, precision * mean)
