"""Tabular Q-learning from scratch. Watkins and Dayan 1992; Sutton and Barto 2018, section 6.5.

For every transition, in the order of time, with n the visits of (s, a)::

    Q(s, a) ← Q(s, a) + α (r + γ max_a' Q(s', a') − Q(s, a)),      α = max(1 / n, step_size)

and the agent is ε-greedy. Observations are one-hot states. Run it with blocks of one step to learn at every step.

Differs from the paper:

1. The step size falls as one over the number of visits, down to `step_size`.
2. The N streams of a task share the table; at equal times their transitions are taken one after the other.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.algorithms.baselines.tabular import table_shape
from quickstudy.errors import require_counts, require_within
from quickstudy.family import AbstractFamily
from quickstudy.learner import AbstractLearner
from quickstudy.types import Action, Info, TimeStep, Trajectory


class QTable(NamedTuple):
    """The learner's state: the value of every state and action, and how often it was updated."""

    values: Float[Array, "S A"]
    visits: Float[Array, "S A"]


class QLearning(AbstractLearner[None, QTable, tuple[()]]):
    """A table of action values, learned one transition at a time."""

    num_states: int
    """S."""
    num_actions: int
    """A."""
    gamma: float = 0.9
    """Discount; an episode that the clock ends is worth what its last state is worth."""
    step_size: float = 0.1
    """The least α; 0 for one over the number of visits throughout."""
    epsilon: float = 0.1
    """Probability of a random action."""
    initial_value: float = 0.0
    """Q before the first visit: a high one makes the agent try everything."""

    def __check_init__(self):
        require_counts(self, "num_states", "num_actions")
        require_within("[0, 1]", self, "gamma", "step_size", "epsilon")

    def init(self, params: None, *, key: Key[Array, ""]) -> QTable:
        """The same value everywhere."""
        del params, key
        zeros = jnp.zeros((self.num_states, self.num_actions))
        return QTable(zeros + self.initial_value, zeros)

    def init_carry(self, params: None) -> tuple[()]:
        """No memory."""
        del params
        return ()

    def act(
        self, params: None, state: QTable, carry: tuple[()], timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Action, tuple[()], None]:
        """The best action, ties broken at random, or with probability ε any."""
        del params
        k_explore, k_random, k_tie = jax.random.split(key, 3)
        values = state.values[jnp.argmax(timestep.obs)]
        best = jax.random.categorical(k_tie, jnp.where(values == values.max(), 0.0, -jnp.inf))
        random = jax.random.randint(k_random, (), 0, self.num_actions)
        explore = jax.random.bernoulli(k_explore, self.epsilon)
        return jnp.where(explore, random, best).astype(jnp.int32), carry, None

    def update(
        self, params: None, state: QTable, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[QTable, Info]:
        """One step of Q-learning for every transition of the block."""
        del params, key

        def step(table: QTable, x: tuple[Array, Array, Array, Array, Array]) -> tuple[QTable, None]:
            s, a, reward, successor, terminated = x
            visits = table.visits.at[s, a].add(1.0)
            alpha = jnp.maximum(1.0 / visits[s, a], self.step_size)
            target = reward + self.gamma * (1.0 - terminated) * jnp.max(table.values[successor])
            values = table.values.at[s, a].add(alpha * (target - table.values[s, a]))
            return QTable(values, visits), None

        s, successor = jnp.argmax(trajectory.timestep.obs, -1), jnp.argmax(trajectory.next_obs, -1)
        steps = (s, trajectory.action, trajectory.reward, successor, trajectory.terminated)
        table, _ = jax.lax.scan(step, state, jax.tree.map(jnp.ravel, steps))
        return table, {}


class QLearningOptions(eqx.Module):
    """What the command line may say of `QLearning`."""

    gamma: float = 0.9
    """Discount."""
    step_size: float = 0.1
    """The least α."""
    epsilon: float = 0.1
    """Probability of a random action."""
    initial_value: float = 0.0
    """Q before the first visit."""

    def build(self, family: AbstractFamily) -> QLearning:
        """The learner for a family of finite MDPs."""
        return QLearning(*table_shape(family), self.gamma, self.step_size, self.epsilon, self.initial_value)
