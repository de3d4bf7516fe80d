"""Random tabular Markov decision processes: the family in which the optimum of every task is known."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from quickstudy.algorithms.baselines.beb import BayesianExplorationBonus
from quickstudy.algorithms.baselines.psrl import PSRL
from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.algorithms.baselines.tabular import MDPPrior
from quickstudy.envs.base import AbstractEnv
from quickstudy.envs.replay import plain
from quickstudy.errors import InvalidArgument, require_positive, unknown
from quickstudy.family import AbstractFamily, AbstractYardstick
from quickstudy.learner import AbstractLearner
from quickstudy.planning.dynamic_programming import TabularMDP, value_iteration
from quickstudy.tasks.base import SPLITS, AbstractTaskDistribution, SplitName
from quickstudy.types import Budget, EnvStep, Spec, Trajectory
from quickstudy.yardsticks import ExactYardstick, PolicyYardstick


class TabularState(NamedTuple):
    """The current state, and how many steps the episode has run."""

    state: Int[Array, ""]
    time: Int[Array, ""]


class TabularEnv(AbstractEnv[TabularMDP, TabularState]):
    """A finite MDP, which is the task. Episodes begin in state 0 and are cut after ``horizon`` steps.

    The observation is the one-hot state; rewards scatter around their mean with standard deviation 1.
    Source: RL², Duan et al. 2016, section 3.2.
    """

    num_states: int
    num_actions: int
    horizon: int

    @property
    def spec(self) -> Spec:
        obs = jax.ShapeDtypeStruct((self.num_states,), jnp.float32)
        return Spec(obs, jax.ShapeDtypeStruct((), jnp.int32), self.num_actions)

    def reset(self, task: TabularMDP, *, key: Key[Array, ""]) -> tuple[TabularState, Float[Array, " S"]]:
        del task, key
        state = TabularState(jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32))
        return state, jax.nn.one_hot(state.state, self.num_states)

    def step(
        self, task: TabularMDP, state: TabularState, action: Int[Array, ""], *, key: Key[Array, ""]
    ) -> tuple[TabularState, EnvStep]:
        k_state, k_reward = jax.random.split(key)
        # The next state by inverting the cumulative distribution: one uniform number a step.
        cumulative = jnp.cumsum(task.transition[state.state, action])[:-1]
        successor = jnp.sum(cumulative <= jax.random.uniform(k_state)).astype(jnp.int32)
        reward = task.reward[state.state, action] + jax.random.normal(k_reward)
        time = state.time + 1
        obs = jax.nn.one_hot(successor, self.num_states)
        return TabularState(successor, time), EnvStep(obs, reward, jnp.zeros((), bool), time >= self.horizon)


class DirichletMDPs(AbstractTaskDistribution[TabularMDP]):
    """MDPs with transition probabilities from a symmetric Dirichlet and mean rewards from N(1, 1), all independent."""

    num_states: int
    num_actions: int
    concentration: float = 1.0

    def sample(self, *, key: Key[Array, ""]) -> TabularMDP:
        k_transition, k_reward = jax.random.split(key)
        shape = (self.num_states, self.num_actions, self.num_states)
        if self.concentration == 1.0:  # a Dirichlet of ones is normalised exponentials: far cheaper than gammas
            weights = jax.random.exponential(k_transition, shape)
            transition = weights / jnp.sum(weights, axis=-1, keepdims=True)
        else:
            transition = jax.random.dirichlet(k_transition, jnp.full(shape[-1], self.concentration), shape[:-1])
        return TabularMDP(transition, 1.0 + jax.random.normal(k_reward, shape[:-1]))


class RandomMDP(AbstractFamily):
    """Random finite MDPs, new in every trial: transitions from Dirichlet(1, …, 1), mean rewards from N(1, 1).

    Out of distribution, transitions come from Dirichlet(.2, …, .2): an action leads to few states, so planning pays
    more, and probabilities are further from what training showed. Source: RL², Duan et al. 2016, section 3.2.
    """

    num_states: int = 10
    """States of the MDP."""
    num_actions: int = 5
    """Actions in every state."""
    horizon: int = 10
    """Steps in an episode."""
    num_episodes: int = 10  # pyright: ignore[reportIncompatibleMethodOverride]  (a field implements the property)
    """Episodes in a trial."""

    def __check_init__(self):
        require_positive(horizon=self.horizon, num_episodes=self.num_episodes)
        for name in ("num_states", "num_actions"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 2:
                raise InvalidArgument(f"{name} must be a whole number of at least 2, got {value!r}")

    @property
    def env(self) -> TabularEnv:
        """The walk through the MDP."""
        return TabularEnv(self.num_states, self.num_actions, self.horizon)

    @property
    def budget(self) -> Budget:
        """One stream, one episode a block."""
        return Budget(num_blocks=self.num_episodes, block_length=self.horizon, num_streams=1)

    def distribution(self, split: SplitName) -> DirichletMDPs:
        """MDPs of ``split``."""
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        return DirichletMDPs(self.num_states, self.num_actions, 0.2 if split == "ood" else 1.0)

    def yardsticks(self) -> tuple[AbstractYardstick, ...]:
        """Random, greedy, PSRL, BEB, and the optimum of the known MDP.

        PSRL has the prior of the published one, rewards of mean 0; with the right prior it explores more, and earns
        less (133.6 instead of 138.4 in ten episodes).
        """
        right = MDPPrior(self.num_states, self.num_actions)
        published = MDPPrior(self.num_states, self.num_actions, reward_mean=0.0)
        stepwise = Budget(num_blocks=self.num_episodes * self.horizon, block_length=1)
        # What was never tried is worth more to know the longer the trial: tuned at 10 and at 25 episodes.
        bonus = 0.5 if self.num_episodes < 18 else 1.0

        def policy(name: str, learner: AbstractLearner, budget: Budget) -> PolicyYardstick:
            return PolicyYardstick(name, learner, self.env, budget, self.num_episodes)

        return (
            policy("random", RandomLearner(self.num_actions), self.budget),
            policy("greedy", BayesianExplorationBonus(right, self.horizon, bonus=0.0), stepwise),
            policy("PSRL", PSRL(published, self.horizon), self.budget),
            policy("BEB", BayesianExplorationBonus(right, self.horizon, bonus=bonus), stepwise),
            ExactYardstick("MDP known", self.optimal_return, self.num_episodes),
        )

    def optimal_return(self, task: TabularMDP) -> Float[Array, ""]:
        """Expected return of an episode under the optimal policy of ``task``."""
        return jnp.max(value_iteration(task, self.horizon)[0, 0])

    def task_features(self, task: TabularMDP) -> Float[Array, " F"]:
        """Every transition probability and every mean reward."""
        return jnp.concatenate([jnp.ravel(table) for table in task])

    def replay(self, task: TabularMDP, trajectory: Trajectory) -> dict[str, Any]:
        """The states, actions and rewards of every episode of one stream; the last one may be unfinished."""
        del task
        last = np.asarray(trajectory.terminated) | np.asarray(trajectory.truncated)
        borders = np.flatnonzero(last)[: -1 if last[-1] else None] + 1
        states = np.asarray(trajectory.timestep.obs).argmax(-1)
        columns = [np.split(np.asarray(x), borders) for x in (states, trajectory.action, trajectory.reward)]
        episodes = [
            {"states": s.tolist(), "actions": a.tolist(), "rewards": plain(r)} for s, a, r in zip(*columns, strict=True)
        ]
        return {"kind": "states", "num_states": self.num_states, "episodes": episodes}
