"""Multi-armed bandits: the family in which exploration can be compared with the exact optimum."""

from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from quickstudy.algorithms.baselines.arms import AbstractArmPrior, NormalPrior, UniformPrior
from quickstudy.algorithms.baselines.epsilon_greedy import EpsilonGreedy
from quickstudy.algorithms.baselines.gittins import GittinsPolicy
from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.algorithms.baselines.thompson import ThompsonSampling
from quickstudy.algorithms.baselines.ucb import UCB1
from quickstudy.envs.base import AbstractEnv
from quickstudy.errors import InvalidArgument, require_positive, require_within, unknown
from quickstudy.family import AbstractFamily, AbstractYardstick
from quickstudy.learner import AbstractLearner
from quickstudy.planning.bandit_optimum import bayes_optimal_return, two_gaussian_arms_optimal_return
from quickstudy.tasks.base import SPLITS, AbstractTaskDistribution, SplitName
from quickstudy.types import Budget, EnvStep, Spec, Trajectory
from quickstudy.yardsticks import ExactYardstick, PolicyYardstick

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


class BernoulliBandit(AbstractFamily):
    """Bernoulli bandits whose arm means are uniform on [0, 1]; out of distribution, uniform on [0, .5].

    A trial is ``num_pulls`` pulls, each an episode of one step. Out of distribution every arm pays less than in
    training: an agent that has learned what a good arm pays goes on searching for one. Source: RL², Duan et al. 2016.
    """

    num_arms: int = 5
    """Arms to choose from."""
    num_pulls: int = 10
    """Pulls in a trial."""

    def __check_init__(self):
        _check_counts(self.num_arms, self.num_pulls)

    @property
    def env(self) -> BanditEnv:
        """Arms that pay 1 or 0."""
        return BanditEnv(self.num_arms, "bernoulli")

    @property
    def budget(self) -> Budget:
        """One block of ``num_pulls`` steps."""
        return Budget(num_blocks=1, block_length=self.num_pulls, num_streams=1)

    @property
    def num_episodes(self) -> int:
        """Every pull is an episode."""
        return self.num_pulls

    def distribution(self, split: SplitName) -> UniformArms:
        """Uniform arm means."""
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        return UniformArms(self.num_arms, high=0.5 if split == "ood" else 1.0)

    def yardsticks(self) -> tuple[AbstractYardstick, ...]:
        """Random, greedy, ε-greedy, Thompson, UCB1, the best arm known, and the Gittins policy as the ceiling."""
        return _bandit_yardsticks(self.env, self.num_pulls, self.prior, reward_std=0.5)

    @property
    def prior(self) -> UniformPrior:
        """What a Bayesian agent that knows the family believes before the first pull."""
        return UniformPrior(self.num_arms)

    def task_features(self, task: Arms) -> Float[Array, " k"]:
        """The arms' means."""
        return task

    def replay(self, task: Arms, trajectory: Trajectory) -> dict[str, Any]:
        """The arms' means, and what was pulled and paid."""
        return _bandit_replay(task, trajectory)

    def bayes_optimal_return(self) -> float:
        """The exact expected total reward of the best possible policy on tasks of the training distribution.

        Raises:
            InvalidArgument: there are too many beliefs to plan over.
        """
        return bayes_optimal_return(self.num_arms, self.num_pulls)


class GaussianBandit(AbstractFamily):
    """Gaussian bandits whose arm means are N(0, prior_std²); out of distribution, N(−prior_std, prior_std²).

    A trial is ``num_pulls`` pulls, each an episode of one step. Out of distribution every arm pays less than in
    training: an agent that has learned what a good arm pays goes on searching for one.
    """

    num_arms: int = 5
    """Arms to choose from."""
    num_pulls: int = 10
    """Pulls in a trial."""
    prior_std: float = 1.0
    """How far the arms' means differ (standard deviation)."""
    noise_std: float = 1.0
    """How far rewards scatter around their arm's mean (standard deviation)."""

    def __check_init__(self):
        _check_counts(self.num_arms, self.num_pulls)
        require_within("(0, inf)", self, "prior_std", "noise_std")

    @property
    def env(self) -> BanditEnv:
        """Arms that pay their mean and noise."""
        return BanditEnv(self.num_arms, "gaussian", self.noise_std)

    @property
    def budget(self) -> Budget:
        """One block of ``num_pulls`` steps."""
        return Budget(num_blocks=1, block_length=self.num_pulls, num_streams=1)

    @property
    def num_episodes(self) -> int:
        """Every pull is an episode."""
        return self.num_pulls

    def distribution(self, split: SplitName) -> NormalArms:
        """Normal arm means."""
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        return NormalArms(self.num_arms, mean=-self.prior_std if split == "ood" else 0.0, std=self.prior_std)

    def yardsticks(self) -> tuple[AbstractYardstick, ...]:
        """Random, greedy, ε-greedy, Thompson, UCB1, the best arm known, and the Gittins policy as the ceiling."""
        return _bandit_yardsticks(self.env, self.num_pulls, self.prior, reward_std=self.noise_std)

    @property
    def prior(self) -> NormalPrior:
        """What a Bayesian agent that knows the family believes before the first pull."""
        return NormalPrior(self.num_arms, mean=0.0, std=self.prior_std, noise_std=self.noise_std)

    def task_features(self, task: Arms) -> Float[Array, " k"]:
        """The arms' means."""
        return task

    def replay(self, task: Arms, trajectory: Trajectory) -> dict[str, Any]:
        """The arms' means, and what was pulled and paid."""
        return _bandit_replay(task, trajectory)

    def bayes_optimal_return(self) -> float:
        """The expected total reward of the best possible policy for two arms, on tasks of the training distribution.

        Raises:
            InvalidArgument: there are more than two arms.
        """
        if self.num_arms != 2:
            raise InvalidArgument(
                f"exact planning for Gaussian arms needs num_arms=2, got {self.num_arms}: take the Gittins policy"
            )
        return two_gaussian_arms_optimal_return(self.num_pulls, self.prior_std, self.noise_std)


def _check_counts(num_arms: int, num_pulls: int) -> None:
    require_positive(num_arms=num_arms, num_pulls=num_pulls)
    if num_arms < 2:
        raise InvalidArgument(f"num_arms must be at least 2, got {num_arms}: with one arm there is nothing to learn")


def _bandit_yardsticks(
    env: BanditEnv, num_pulls: int, prior: AbstractArmPrior, *, reward_std: float
) -> tuple[AbstractYardstick, ...]:
    stepwise = Budget(num_blocks=num_pulls, block_length=1)

    def policy(name: str, learner: AbstractLearner, params: PyTree = None) -> PolicyYardstick:
        return PolicyYardstick(name, learner, env, stepwise, num_pulls, params)

    return (
        policy("random", RandomLearner(env.num_arms)),
        policy("greedy", EpsilonGreedy(prior, 0.0)),
        policy("ε-greedy", EpsilonGreedy(prior, 0.05)),
        policy("Thompson", ThompsonSampling(prior)),
        # Of the multiples of .1 this is the best over 10 and 100 pulls of 5 and 10 arms.
        policy("UCB1", UCB1(prior, bonus=0.4 * reward_std)),
        ExactYardstick("best arm known", jnp.max, num_pulls),
        policy("Gittins", GittinsPolicy(prior, num_pulls), prior.gittins_table(num_pulls)),
    )


def _bandit_replay(task: Arms, trajectory: Trajectory) -> dict[str, Any]:
    return {
        "kind": "arms",
        "means": np.asarray(task, float).tolist(),
        "actions": np.asarray(trajectory.action).tolist(),
        "rewards": np.asarray(trajectory.reward, float).tolist(),
    }
