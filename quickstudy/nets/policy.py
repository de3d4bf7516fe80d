"""Policy heads: from features to a distribution over actions.

The two distributions are written here rather than taken from a library because they stand in the innermost loop: a
categorical draw there is one comparison with the cumulative probabilities, with no validity checks around it.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from quickstudy.nets.init import orthogonal_linear
from quickstudy.types import Spec


class Categorical(eqx.Module):
    """A distribution over ``{0, …, A-1}`` by unnormalised log-probabilities ``[A]``."""

    logits: Float[Array, " A"]

    def sample(self, *, key: Key[Array, ""]) -> Int[Array, ""]:
        """One action, by inverting the cumulative distribution (one uniform number a draw)."""
        cumulative = jnp.cumsum(jax.nn.softmax(self.logits))
        return jnp.sum(cumulative[:-1] < jax.random.uniform(key)).astype(jnp.int32)

    def mode(self) -> Int[Array, ""]:
        """The most probable action."""
        return jnp.argmax(self.logits).astype(jnp.int32)

    def log_prob(self, action: Int[Array, ""]) -> Float[Array, ""]:
        """Log-probability of ``action``."""
        chosen = jax.nn.one_hot(action, self.logits.shape[-1], dtype=self.logits.dtype)
        return jnp.sum(chosen * jax.nn.log_softmax(self.logits))

    def entropy(self) -> Float[Array, ""]:
        """Entropy in nats."""
        log_probs = jax.nn.log_softmax(self.logits)
        return -jnp.sum(jnp.exp(log_probs) * log_probs)

    def kl_to(self, other: "Categorical") -> Float[Array, ""]:
        """``KL(self ‖ other)`` in nats."""
        log_probs, others = jax.nn.log_softmax(self.logits), jax.nn.log_softmax(other.logits)
        return jnp.sum(jnp.exp(log_probs) * (log_probs - others))


class DiagonalGaussian(eqx.Module):
    """Independent normals over a continuous action; environments clip what leaves [-1, 1]."""

    mean: Float[Array, " A"]
    log_std: Float[Array, " A"]

    def sample(self, *, key: Key[Array, ""]) -> Float[Array, " A"]:
        """One unclipped action."""
        return self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape)

    def mode(self) -> Float[Array, " A"]:
        """The mean."""
        return self.mean

    def log_prob(self, action: Float[Array, " A"]) -> Float[Array, ""]:
        """Log-density of ``action``."""
        z = (action - self.mean) * jnp.exp(-self.log_std)
        return -jnp.sum(0.5 * jnp.square(z) + self.log_std + 0.5 * jnp.log(2 * jnp.pi))

    def entropy(self) -> Float[Array, ""]:
        """Differential entropy in nats."""
        return jnp.sum(self.log_std + 0.5 * jnp.log(2 * jnp.pi * jnp.e))

    def kl_to(self, other: "DiagonalGaussian") -> Float[Array, ""]:
        """``KL(self ‖ other)`` in nats."""
        variance = jnp.exp(2 * (self.log_std - other.log_std))
        distance = jnp.square((self.mean - other.mean) * jnp.exp(-other.log_std))
        return jnp.sum(other.log_std - self.log_std + 0.5 * (variance + distance - 1.0))


MIN_LOG_STD = -3.0
"""Least log-deviation of an action (5 % of the range's half): below, probability ratios explode and learning ends."""


class PolicyHead(eqx.Module):
    """A linear map from features to a `Categorical` or a `DiagonalGaussian`, as the family's actions require.

    The log-deviation does not depend on the features; ``MIN_LOG_STD`` bounds it softly, so that a gradient remains.
    """

    linear: eqx.nn.Linear
    log_std: Float[Array, " A"] | None

    def __init__(self, num_features: int, spec: Spec, *, key: Key[Array, ""]):
        if spec.num_actions is None:
            (size,) = spec.action.shape
            self.log_std = jnp.full(size, -0.5, jnp.float32)
        else:
            size, self.log_std = spec.num_actions, None
        # A near-uniform start: Andrychowicz et al. 2021 (arXiv:2006.05990) find .01 on the last layer best.
        self.linear = orthogonal_linear(num_features, size, scale=0.01, key=key)

    def __call__(self, features: Float[Array, " F"]) -> Categorical | DiagonalGaussian:
        out = self.linear(features)
        if self.log_std is None:
            return Categorical(out)
        return DiagonalGaussian(out, MIN_LOG_STD + jax.nn.softplus(self.log_std - MIN_LOG_STD))
