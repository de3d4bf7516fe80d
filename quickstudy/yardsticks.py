"""The kinds of yardstick: a policy that is run, and a value that is known; compiled, and on the host."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from quickstudy.envs.base import AbstractEnv
from quickstudy.family import AbstractReference, AbstractYardstick
from quickstudy.learner import AbstractLearner
from quickstudy.ops.returns import episode_returns
from quickstudy.trial import run_trial
from quickstudy.types import Budget


class PolicyYardstick(AbstractYardstick):
    """A reference learner, measured by running it: one trial of ``budget`` in the task.

    ``budget`` may differ from the family's in how its steps are cut into blocks: a learner that must learn at every
    step runs with blocks of one.
    """

    name: str
    learner: AbstractLearner
    env: AbstractEnv
    budget: Budget
    num_episodes: int
    params: PyTree = None

    def returns(self, task: PyTree, *, key: Key[Array, ""]) -> Float[Array, " E"]:
        """Returns of one trial's episodes, averaged over its streams; NaN for an episode that was not completed."""
        trajectory = run_trial(self.learner, self.params, self.env, task, self.budget, key=key).trajectory
        last = trajectory.terminated | trajectory.truncated
        reward, last = (x.reshape(-1, self.budget.num_streams) for x in (trajectory.reward, last))
        streams = jax.vmap(lambda r, d: episode_returns(r, d, self.num_episodes), in_axes=1)(reward, last)
        return jnp.mean(streams, axis=0)


class ExactYardstick(AbstractYardstick):
    """A policy whose expected returns are a known function of the task.

    ``value(task)`` gives one return for each of ``num_episodes`` episodes, or one number that holds for all of them.
    """

    name: str
    value: Callable[[Any], Float[Array, "*E"]]
    num_episodes: int

    def returns(self, task: PyTree, *, key: Key[Array, ""]) -> Float[Array, " E"]:
        """The expected return of each episode; nothing is drawn."""
        del key
        return jnp.broadcast_to(self.value(task), (self.num_episodes,))


class CollectedYardstick(AbstractReference):
    """A reference learner that is run by the collector that runs the method: any kind of environment will do."""

    name: str
    learner: AbstractLearner
    params: PyTree = None


class HostYardstick(AbstractReference):
    """Expected returns as a Python function of the task, which gets plain numbers and NumPy arrays.

    ``value(task)`` gives one return for each of ``num_episodes`` episodes, or one number that holds for all of them.
    """

    name: str
    value: Callable[[Any], Any]
    num_episodes: int

    def returns(self, task: Any) -> Float[np.ndarray, " E"]:
        """The expected return of each episode."""
        return np.broadcast_to(np.asarray(self.value(task), np.float32), (self.num_episodes,))
