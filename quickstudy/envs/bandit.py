"""Multi-armed bandits: the family in which exploration can be compared with the exact optimum."""

from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from quickstudy.envs.base import AbstractEnv
from quickstudy.tasks.base import AbstractTaskDistribution
from quickstudy.types import EnvStep, Spec

Arms = Float[Array, " k"]


class BanditEnv(AbstractEnv[Arms, tuple[()]]):
    """k arms whose means are the task. A pull is an episode of one step, and the observation is constant.

    Source: RL², Duan et al. 2016, section 3.1.
    """

    num_arms: int
    noise: Literal["bernoulli", "gaussian"]
    noise_std: float = 1.0

    @property
    def spec(self) -> Spec:
        obs = jax.ShapeDtypeStruct((1,), jnp.float32)
        return Spec(obs, jax.ShapeDtypeStruct((), jnp.int32), self.num_arms)

    def reset(self, task: Arms, *, key: Key[Array, ""]) -> tuple[tuple[()], Float[Array, " 1"]]:
        del task, key
        return (), jnp.ones(1)

    def step(
        self, task: Arms, state: tuple[()], action: Int[Array, ""], *, key: Key[Array, ""]
    ) -> tuple[tuple[()], EnvStep]:
        mean = task[action]
        if self.noise == "bernoulli":
            reward = (jax.random.uniform(key) < mean).astype(jnp.float32)
        else:
            reward = mean + self.noise_std * jax.random.normal(key)
        return state, EnvStep(jnp.ones(1), reward, jnp.ones((), bool), jnp.zeros((), bool))


class UniformArms(AbstractTaskDistribution[Arms]):
    """Independent arm means, uniform on [low, high]."""

    num_arms: int
    low: float = 0.0
    high: float = 1.0

    def sample(self, *, key: Key[Array, ""]) -> Arms:
        return jax.random.uniform(key, (self.num_arms,), minval=self.low, maxval=self.high)


class NormalArms(AbstractTaskDistribution[Arms]):
    """Independent arm means, normal with ``mean`` and ``std``."""

    num_arms: int
    mean: float = 0.0
    std: float = 1.0

    def sample(self, *, key: Key[Array, ""]) -> Arms:
        return self.mean + self.std * jax.random.normal(key, (self.num_arms,))
