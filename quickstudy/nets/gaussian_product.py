"""An encoder whose evidence adds up: every transition is a few linear equations in the code of its task."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.nets.init import RELU, deviating_linear, drawn
from quickstudy.ops.gaussian import from_natural


class Evidence(eqx.Module):
    """A product of Gaussian factors, in the form in which products are sums. The prior N(0, I) is not among them.

    Attributes:
        precision: sum of the factors' precision matrices.
        weighted: sum of their means, each times its precision.
    """

    precision: Float[Array, "C C"]
    weighted: Float[Array, " C"]

    @classmethod
    def none(cls, code_size: int) -> "Evidence":
        """No factors."""
        return cls(jnp.zeros((code_size, code_size)), jnp.zeros(code_size))

    @classmethod
    def of(cls, left: Float[Array, "Q C"], right: Float[Array, " Q"], precision: Float[Array, " Q"]) -> "Evidence":
        """Of the linear equations ``left @ c = right``, each with noise of its own precision."""
        counted = precision[:, None] * left
        return cls(counted.T @ left, counted.T @ right)

    def plus(self, other: "Evidence") -> "Evidence":
        """The product of both."""
        return jax.tree.map(jnp.add, self, other)

    def times(self, power: Float[Array, ""] | float) -> "Evidence":
        """To a power: below 1, evidence that fades."""
        return jax.tree.map(lambda x: power * x, self)

    @property
    def posterior(self) -> tuple[Float[Array, " C"], Float[Array, " C"]]:
        """Mean and variance of each number of the code."""
        mean, root = self._gaussian()
        return mean, jnp.sum(jnp.square(root), axis=1)

    def drawn(self, draws: Float[Array, "E C"]) -> Float[Array, "E C"]:
        """Codes from the posterior, by standard normal ``draws``."""
        mean, root = self._gaussian()
        return mean[None] + draws @ root.T

    def moved(self, code: Float[Array, " C"], precision: float) -> Float[Array, " C"]:
        """What ``code``, believed with that ``precision`` instead of the prior, becomes by this evidence."""
        return from_natural(precision * jnp.eye(code.size) + self.precision, precision * code + self.weighted)[0]

    def _gaussian(self) -> tuple[Float[Array, " C"], Float[Array, "C C"]]:
        return from_natural(jnp.eye(self.weighted.size) + self.precision, self.weighted)


class GaussianProductEncoder(eqx.Module):
    """Turns one transition into k linear equations ``U c = y`` in the code c, each with noise of its own.

    Order-free, and summed up as it comes: a task of any length costs the same memory. The posterior is a Bayesian
    linear regression on learned features (ALPaCA, Harrison et al. 2018, arXiv:1807.08912): what only many transitions
    together tell apart, each of them may say a part of. PEARL's factors (Rakelly et al. 2019) are diagonal: each says
    what every number of the code is, on its own.

    How noisy an equation is, is learned on a scale of its own. Weights alone would have to grow a thousandfold before
    physics that are all but free of noise are believed, and all equations alike, the sure ones and the vague.
    """

    layers: tuple[eqx.nn.Linear, ...]
    rank: int = eqx.field(static=True)
    log_deviations: Float[Array, " k"]

    def __init__(self, num_inputs: int, *, width: int, code_size: int, rank: int, key: Key[Array, ""]):
        self.rank = rank
        layers = (
            deviating_linear(num_inputs, width, scale=RELU),
            deviating_linear(width, width, scale=RELU),
            deviating_linear(width, rank * (code_size + 1), scale=0.3),
        )
        self.layers = drawn(layers, key=key)
        self.log_deviations = jnp.zeros(rank)

    def equations(self, x: Float[Array, " F"]) -> tuple[Float[Array, "k C"], Float[Array, " k"]]:
        """U and y of one transition, given as numbers of about unit scale; both in units of the noise's deviation."""
        for layer in self.layers[:-1]:
            x = jax.nn.silu(layer(x))
        said = self.layers[-1](x)
        left, right = said[: -self.rank].reshape(self.rank, -1), said[-self.rank :]
        surety = jnp.exp(-self.log_deviations)
        return surety[:, None] * left, surety * right

    def product(self, rows: Float[Array, "R F"], weight: Float[Array, " R"]) -> Evidence:
        """The evidence of R transitions, each to the power of its weight.

        All equations are one matrix: to sum up a matrix of each transition takes several times the time and memory.
        """
        left, right = jax.vmap(self.equations)(rows)
        return Evidence.of(left.reshape(-1, left.shape[-1]), right.ravel(), jnp.repeat(weight, self.rank))
