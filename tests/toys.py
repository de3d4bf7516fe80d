"""An environment and a learner whose every number can be worked out by hand."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from quickstudy.envs.base import AbstractEnv
from quickstudy.learner import AbstractLearner
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.tasks.base import AbstractTaskDistribution, TaskSplit
from quickstudy.tasks.finite import FiniteTasks
from quickstudy.types import EnvStep, Info, Spec, TimeStep, Trajectory, Trial


class Staircase(AbstractEnv[Float[Array, ""], tuple[Array, Array]]):
    """Action 1 climbs a step, action 0 stays; the reward is the height times the task.

    The episode terminates at height ``top`` and is truncated after ``horizon`` steps. Nothing is random.
    """

    top: int = 2
    horizon: int = 3

    @property
    def spec(self) -> Spec:
        return Spec(jax.ShapeDtypeStruct((1,), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32), 2)

    def reset(self, task, *, key):
        return (jnp.zeros((), jnp.int32), jnp.zeros((), jnp.int32)), jnp.zeros(1)

    def step(self, task, state, action, *, key):
        height, time = state[0] + action, state[1] + 1
        terminated = height >= self.top
        obs = height.astype(jnp.float32)[None]
        return (height, time), EnvStep(obs, height * task, terminated, (time >= self.horizon) & ~terminated)


class Scripted(AbstractLearner[Int[Array, " A"], Int[Array, ""], Int[Array, ""]]):
    """Plays ``params`` over and over. State: the blocks it has learned from. Carry: the steps its stream has taken."""

    def init(self, params, *, key):
        return jnp.zeros((), jnp.int32)

    def init_carry(self, params):
        return jnp.zeros((), jnp.int32)

    def act(self, params, state, carry, timestep: TimeStep, *, key):
        return params[carry % params.shape[0]], carry + 1, (state, carry)

    def update(self, params, state, trajectory: Trajectory, *, key):
        return state + 1, {"reward": trajectory.reward.sum()}


class CoinFlipper(AbstractLearner[Any, None, tuple[()]]):
    """Plays action 1 half of the time, whatever ``params`` are."""

    def init(self, params, *, key):
        return None

    def init_carry(self, params):
        return ()

    def act(self, params, state, carry, timestep, *, key):
        return jax.random.bernoulli(key).astype(jnp.int32), carry, None

    def update(self, params, state, trajectory, *, key):
        return None, {}


class SelfSeeded(AbstractLearner):
    """``learner`` with its randomness in its own carry and state, so that a snapshot holds all that comes next."""

    learner: AbstractLearner
    seed: int = 0

    def init(self, params, *, key):
        key = jax.random.key(self.seed)
        return self.learner.init(params, key=key), key

    def init_carry(self, params):
        return self.learner.init_carry(params), jax.random.key(self.seed + 1)

    def act(self, params, state, carry, timestep, *, key):
        k_act, k_next = jax.random.split(carry[1])
        action, inner, aux = self.learner.act(params, state[0], carry[0], timestep, key=k_act)
        return action, (inner, k_next), aux

    def update(self, params, state, trajectory, *, key):
        k_update, k_next = jax.random.split(state[1])
        inner, info = self.learner.update(params, state[0], trajectory, key=k_update)
        return (inner, k_next), info


class Heights(AbstractTaskDistribution[Float[Array, ""]]):
    """Rewards a step, uniform on [1, 2]."""

    def sample(self, *, key: Key[Array, ""]) -> Float[Array, ""]:
        return jax.random.uniform(key, minval=1.0, maxval=2.0)


def staircases(split: str = "train", *members: float) -> TaskSplit:
    """A split of staircases: random ones, or uniform over ``members``."""
    return TaskSplit(FiniteTasks(jnp.asarray(members)) if members else Heights(), split)


def arrays_of(tree) -> list[Array]:
    """The arrays of a pytree; keys as their numbers, so that NumPy can compare them."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return [jax.random.key_data(x) if is_key(x) else x for x in jax.tree.leaves(eqx.filter(tree, eqx.is_array))]


class Tally(AbstractMetaAlgorithm):
    """Adds the mean reward of every batch to its only parameter; reports NaN where it is told to.

    ``params`` is the pair of that sum and a label of the seed, so that one seed alone can be poisoned.
    """

    poisoned_step: int = -1
    poisoned_label: float = 0.0

    @property
    def learner(self):
        return CoinFlipper()

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        return MetaState((jnp.zeros(()), jax.random.uniform(key)), None, jnp.zeros((), jnp.int32))

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        total, label = state.params
        poisoned = (state.step == self.poisoned_step) & (label == self.poisoned_label)
        loss = jnp.where(poisoned, jnp.nan, label)
        reward = trials.trajectory.reward.mean() + jax.random.uniform(key)
        return MetaState((total + reward, label), None, state.step + 1), {"loss": loss}


def numbered_block(first: int, num_steps: int, num_streams: int = 1) -> Trajectory:
    """Steps numbered from ``first``; the number is in the reward, and every fourth step terminates."""
    number = first + jnp.arange(num_steps * num_streams).reshape(num_steps, num_streams)
    obs = jax.nn.one_hot(number % 6, 6)
    flags = jnp.zeros(number.shape, bool)
    action, reward = (number % 5).astype(jnp.int32), number.astype(jnp.float32)
    terminated = number % 4 == 3
    return Trajectory(TimeStep(obs, action, reward, flags), action, reward, obs[::-1], terminated, flags, None)
