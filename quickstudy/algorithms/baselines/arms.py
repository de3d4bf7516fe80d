"""What the bandit baselines share: sufficient statistics of the arms, and conjugate beliefs about their means."""

import abc
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from quickstudy.learner import AbstractLearner, ParamsT
from quickstudy.planning.gittins import bernoulli_gittins_table, normal_gittins_offsets
from quickstudy.types import Info, Trajectory


class ArmStatistics(NamedTuple):
    """What pulling has shown of k arms: how often each was pulled, and the sum of its rewards."""

    pulls: Float[Array, " k"]
    total: Float[Array, " k"]


class AbstractArmLearner(AbstractLearner[ParamsT, ArmStatistics, tuple[()]]):
    """A bandit learner that acts by the statistics of the arms. Run it with blocks of one step."""

    prior: eqx.AbstractVar["AbstractArmPrior"]

    def init(self, params: ParamsT, *, key: Key[Array, ""]) -> ArmStatistics:
        """No pull yet."""
        del params, key
        return ArmStatistics(jnp.zeros(self.prior.num_arms), jnp.zeros(self.prior.num_arms))

    def init_carry(self, params: ParamsT) -> tuple[()]:
        """No memory beside the statistics."""
        del params
        return ()

    def update(
        self, params: ParamsT, state: ArmStatistics, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[ArmStatistics, Info]:
        """Count the pulls of a block and add up their rewards."""
        del params, key
        chosen = jax.nn.one_hot(trajectory.action, self.prior.num_arms)
        pulls = jnp.sum(chosen, axis=(0, 1))
        total = jnp.sum(chosen * trajectory.reward[..., None], axis=(0, 1))
        return ArmStatistics(state.pulls + pulls, state.total + total), {}


class AbstractArmPrior(eqx.Module):
    """A conjugate prior over independent arm means, and the posterior after what has been seen."""

    num_arms: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def strength(self) -> float:
        """How many pulls of an arm the prior is worth."""

    @abc.abstractmethod
    def posterior_mean(self, seen: ArmStatistics) -> Float[Array, " k"]:
        """Expected mean of each arm."""

    @abc.abstractmethod
    def posterior_sample(self, seen: ArmStatistics, *, key: Key[Array, ""]) -> Float[Array, " k"]:
        """One draw of the arm means."""

    @abc.abstractmethod
    def gittins_table(self, num_pulls: int) -> Float[Array, "..."]:
        """What `gittins_index` looks up, for trials of ``num_pulls``."""

    @abc.abstractmethod
    def gittins_index(
        self, table: Float[Array, "..."], seen: ArmStatistics, pulls_left: Int[Array, ""]
    ) -> Float[Array, " k"]:
        """Finite-horizon Gittins index of each arm (`quickstudy.planning.gittins`)."""


class UniformPrior(AbstractArmPrior):
    """Bernoulli arms with means uniform on [0, 1]: the posterior of an arm is Beta(1 + successes, 1 + failures)."""

    num_arms: int

    @property
    def strength(self) -> float:
        return 2.0

    def posterior_mean(self, seen: ArmStatistics) -> Float[Array, " k"]:
        return (seen.total + 1) / (seen.pulls + 2)

    def posterior_sample(self, seen: ArmStatistics, *, key: Key[Array, ""]) -> Float[Array, " k"]:
        return jax.random.beta(key, 1 + seen.total, 1 + seen.pulls - seen.total)

    def gittins_table(self, num_pulls: int) -> Float[Array, "m s f"]:
        return jnp.asarray(bernoulli_gittins_table(num_pulls), jnp.float32)

    def gittins_index(
        self, table: Float[Array, "m s f"], seen: ArmStatistics, pulls_left: Int[Array, ""]
    ) -> Float[Array, " k"]:
        successes, failures = seen.total.astype(jnp.int32), (seen.pulls - seen.total).astype(jnp.int32)
        return table[pulls_left, successes, failures]


class NormalPrior(AbstractArmPrior):
    """Gaussian arms whose means are N(mean, std²) and whose rewards scatter around them with ``noise_std``."""

    num_arms: int
    mean: float
    std: float
    noise_std: float

    @property
    def strength(self) -> float:
        return (self.noise_std / self.std) ** 2

    def posterior_mean(self, seen: ArmStatistics) -> Float[Array, " k"]:
        return (self.strength * self.mean + seen.total) / (self.strength + seen.pulls)

    def posterior_sample(self, seen: ArmStatistics, *, key: Key[Array, ""]) -> Float[Array, " k"]:
        std = self.noise_std / jnp.sqrt(self.strength + seen.pulls)
        return self.posterior_mean(seen) + std * jax.random.normal(key, (self.num_arms,))

    def gittins_table(self, num_pulls: int) -> Float[Array, "m c"]:
        return jnp.asarray(normal_gittins_offsets(num_pulls, self.std, self.noise_std), jnp.float32)

    def gittins_index(
        self, table: Float[Array, "m c"], seen: ArmStatistics, pulls_left: Int[Array, ""]
    ) -> Float[Array, " k"]:
        return self.posterior_mean(seen) + table[pulls_left, seen.pulls.astype(jnp.int32)]
