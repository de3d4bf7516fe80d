"""What value transfer is made of: its parameters across tasks, and the posterior of a task's head."""

from typing import Literal, NamedTuple, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from quickstudy.errors import InvalidArgument, require_counts, require_within, unknown
from quickstudy.family import AbstractFamily
from quickstudy.nets.knowledge import Knowledge, MetaKnowledge
from quickstudy.ops.gaussian import from_natural, inverse_factor
from quickstudy.types import Budget, Transitions

Form = Literal["bayes", "gradient"]
FORMS = get_args(Form)
Regression = Literal["residual", "fixed-point"]
REGRESSIONS = get_args(Regression)


class InnerNetwork(eqx.Module):
    """Hyperparameters of what happens in a task."""

    block_length: int = 1
    """Steps between two updates; 0 for one episode of the family."""
    gamma: float = 0.7
    """Discount within and across the clock's ends of episodes; a short horizon is what makes draws search."""
    num_sweeps: int = 3
    """J, regressions after each block, each with the greedy actions of the one before."""
    damping: float = 0.0
    """How much of the head before it each regression (form `bayes`) keeps in a*, whose actions flip back and forth."""
    capacity: int = 120
    """Transitions that are remembered of a task; beyond it the oldest are dropped."""
    noise: float = 0.1
    """σ, by how much temporal differences may miss what the head says: what a draw cannot explain."""
    spread: float = 1.0
    """How many standard deviations of the posterior a draw is away: below 1 for less search, 0 for the mean."""
    optimism: float = 0.0
    """Standard deviations by which an action's value counts as higher than it is expected to be (discrete actions)."""
    guidance: float = 1.0
    """Weight of the prior in the regression; the ablation "no guidance" makes it small."""
    form: Form = "bayes"
    """`bayes`: the posterior in closed form; `gradient`: TD steps with meta-learned step sizes."""
    regression: Regression = "residual"
    """How form `bayes` finds the head: `residual`, by the least squared Bellman residual, where outcomes are certain;
    `fixed-point`, by least-squares temporal differences, where they are random."""
    num_steps: int = 10
    """M, gradient steps after each block (form `gradient`)."""
    head: bool = True
    """False for the ablation "knowledge only": the agent follows q_K and never adapts."""

    def __check_init__(self):
        require_counts(self, "num_sweeps", "num_steps", "capacity", prefix="inner.")
        if self.form not in FORMS:
            raise unknown("inner.form", self.form, FORMS)
        if self.regression not in REGRESSIONS:
            raise unknown("inner.regression", self.regression, REGRESSIONS)
        if self.block_length < 0:
            raise InvalidArgument(f"inner.block_length must be at least 0 (one episode), got {self.block_length}")
        require_within("[0, 1)", self, "gamma", "damping", prefix="inner.")
        require_within("(0, inf)", self, "noise", prefix="inner.")
        require_within("[0, inf)", self, "spread", "optimism", prefix="inner.")
        if not self.guidance > 0:
            raise InvalidArgument(f"inner.guidance must be positive, or the prior is improper; got {self.guidance}")

    def budget(self, family: AbstractFamily) -> Budget:
        """The family's trial, cut into blocks of ``block_length`` steps."""
        return family.trial_in_blocks(self.block_length, option="inner.block_length")


class TransferParams(eqx.Module):
    """Meta-parameters.

    Attributes:
        knowledge: from an observation to q_K and ψ.
        prior_mean: w_0.
        log_precision: logarithms of the diagonal of Λ.
        step_logit: of α, where the inner network learns by gradient (`quickstudy.algorithms.transfer.gradient_steps`).
    """

    knowledge: MetaKnowledge
    prior_mean: Float[Array, " D"]
    log_precision: Float[Array, " D"]
    step_logit: Float[Array, " D"] | None = None


class Head(NamedTuple):
    """The posterior of the inner network: mean, and a square root of the covariance, ``root @ root.T``."""

    mean: Float[Array, " D"]
    root: Float[Array, "D D"]

    def variance(self, features: Float[Array, "*axes D"]) -> Float[Array, "*axes"]:
        """Of the value of actions with these features."""
        return jnp.sum(jnp.square(features @ self.root), axis=-1)


class Known(NamedTuple):
    """What the knowledge says of every remembered transition: of (s, a), and of all actions in s'."""

    value: Float[Array, " C"]
    features: Float[Array, "C D"]
    following: Knowledge


def known_of(knowledge: MetaKnowledge, data: Transitions) -> Known:
    """The knowledge applied to both ends of transitions ``[C]``."""
    here, following = jax.vmap(knowledge)(data.obs), jax.vmap(knowledge)(data.next_obs)
    return Known(*here.at(jax.vmap(knowledge.actions.terms)(data.action)), following)


def prior_head(params: TransferParams, inner: InnerNetwork) -> Head:
    """N(w_0, Λ⁻¹); nothing at all without an inner network."""
    root = jnp.diag(jnp.exp(-params.log_precision / 2) / jnp.sqrt(inner.guidance))
    return Head(params.prior_mean * inner.head, root * inner.head)


def regress(
    params: TransferParams,
    inner: InnerNetwork,
    features: Float[Array, "C D"],
    difference: Float[Array, "C D"],
    surprise: Float[Array, " C"],
    weight: Float[Array, " C"],
) -> Head:
    """The head of ``surprise = difference @ φ + noise``, from transitions ``[C]`` of which those of weight 1 count.

    By the fixed point ``features`` are instruments Ψ for the differences Δ: with A = Λ + Ψᵀ Δ / σ², S = Λ + Ψᵀ Ψ / σ²
    and b = Λ w_0 + Ψᵀ surprise / σ², the head is N(A⁻¹ b, A⁻¹ S A⁻ᵀ), whose precision Aᵀ S⁻¹ A is symmetric (two-stage
    least squares). With Δ for Ψ it is the Gaussian posterior.
    """
    precision = inner.guidance * jnp.exp(params.log_precision)
    weighted = (difference if inner.regression == "residual" else features) * (weight / inner.noise**2)[:, None]
    matrix = jnp.diag(precision) + weighted.T @ difference
    right = precision * params.prior_mean + weighted.T @ surprise
    if inner.regression == "residual":
        return Head(*from_natural(matrix, right))
    whitened = inverse_factor(jnp.diag(precision) + weighted.T @ features)
    matrix, right = whitened @ matrix, whitened @ right
    return Head(*from_natural(matrix.T @ matrix, matrix.T @ right))


def moments(
    mean: Float[Array, " D"], log_precision: Float[Array, " D"], heads: Head, *, rate: float
) -> tuple[Float[Array, " D"], Float[Array, " D"]]:
    """A prior, moved by ``rate`` towards the Gaussian that fits the heads of many tasks best (a step of EM)."""
    mean = mean + rate * (heads.mean.mean(0) - mean)
    spread = jnp.square(heads.mean - mean[None]) + jnp.sum(jnp.square(heads.root), axis=-1)
    variance = jnp.exp(-log_precision)
    variance += rate * (spread.mean(0) - variance)
    return mean, -jnp.log(variance)
