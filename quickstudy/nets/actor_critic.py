"""Actor-critics: a policy and a value from what a stream shows, with memory or without."""

import abc
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from quickstudy.nets.features import num_obs_features, num_transition_features, obs_features, transition_features
from quickstudy.nets.init import orthogonal_linear
from quickstudy.nets.policy import Categorical, DiagonalGaussian, PolicyHead
from quickstudy.nets.recurrent import AbstractCell, CellName, make_cell, unroll
from quickstudy.types import Spec, TimeStep

Policy = Categorical | DiagonalGaussian


class AbstractActorCritic(eqx.Module):
    """A policy and a value. `step` serves acting, `unroll` learning; they compute the same numbers."""

    @abc.abstractmethod
    def initial_carry(self) -> PyTree[Array]:
        """The memory of a stream at the start of a trial."""

    @abc.abstractmethod
    def step(self, carry: PyTree[Array], timestep: TimeStep) -> tuple[PyTree[Array], Policy, Float[Array, ""]]:
        """Memory, policy and value after one more time step."""

    @abc.abstractmethod
    def unroll(self, timesteps: TimeStep, *, remat: bool) -> tuple[Any, Float[Array, " T"]]:
        """Policies and values of a whole stream ``[T, ...]`` from the start of its trial."""


class Memory(NamedTuple):
    """What a recurrent stream remembers: the layer's hidden state, and the observation before this one."""

    hidden: PyTree[Array]
    obs: Float[Array, " F"]


class RecurrentActorCritic(AbstractActorCritic):
    """The last transition into a recurrent layer, a policy head and a value head on its output.

    The layer reads the observation that the previous action was taken in beside what came of it: without it, it would
    have to remember where a reward was earned before it could learn from it. With a ``readout``, a hidden layer that
    sees the observation once more stands between memory and heads, so that what to do *here* can be looked up in what
    is known of everywhere.
    """

    cell: AbstractCell
    readout: eqx.nn.Linear | None
    policy: PolicyHead
    value: eqx.nn.Linear
    num_actions: int | None
    num_obs: int
    pairs: bool

    def __init__(self, spec: Spec, *, cell: CellName, width: int, readout: int, pairs: bool, key: Key[Array, ""]):
        k_cell, k_readout, k_policy, k_value = jax.random.split(key, 4)
        self.num_obs = num_obs_features(spec)
        self.pairs = pairs
        self.cell = make_cell(cell, num_transition_features(spec, pairs=pairs), width, key=k_cell)
        self.readout = None
        if readout:
            self.readout = orthogonal_linear(width + self.num_obs, readout, scale=math.sqrt(2), key=k_readout)
        self.policy = PolicyHead(readout or width, spec, key=k_policy)
        self.value = orthogonal_linear(readout or width, 1, scale=1.0, key=k_value)
        self.num_actions = spec.num_actions

    def initial_carry(self) -> Memory:
        return Memory(self.cell.initial(), jnp.zeros(self.num_obs))

    def step(self, carry: Memory, timestep: TimeStep) -> tuple[Memory, Policy, Float[Array, ""]]:
        obs = obs_features(timestep)
        hidden = self.cell.advance(carry.hidden, self._inputs(carry.obs, timestep))
        features = self._features(self.cell.output(hidden), obs)
        return Memory(hidden, obs), self.policy(features), self.value(features)[0]

    def unroll(self, timesteps: TimeStep, *, remat: bool) -> tuple[Any, Float[Array, " T"]]:
        obs = jax.vmap(obs_features)(timesteps)
        before = jnp.concatenate([jnp.zeros_like(obs[:1]), obs[:-1]])
        xs = jax.vmap(self._inputs)(before, timesteps)
        outputs = unroll(self.cell, self.cell.initial(), xs, remat=remat)
        features = jax.vmap(self._features)(outputs, obs)
        return jax.vmap(self.policy)(features), jax.vmap(self.value)(features)[:, 0]

    def _inputs(self, prev_obs: Float[Array, " F"], timestep: TimeStep) -> Float[Array, " I"]:
        return transition_features(prev_obs, timestep, self.num_actions, pairs=self.pairs)

    def _features(self, output: Float[Array, " H"], obs: Float[Array, " F"]) -> Float[Array, " D"]:
        if self.readout is None:
            return output
        return jax.nn.relu(self.readout(jnp.concatenate([output, obs])))


class MemorylessActorCritic(AbstractActorCritic):
    """Two separate multi-layer perceptrons on the observation alone: it cannot tell one task from another."""

    actor: eqx.nn.MLP
    critic: eqx.nn.MLP
    policy: PolicyHead

    def __init__(self, spec: Spec, *, width: int, depth: int, key: Key[Array, ""]):
        k_actor, k_critic, k_policy = jax.random.split(key, 3)
        size = num_obs_features(spec)
        self.actor = eqx.nn.MLP(size, width, width, depth - 1, jax.nn.tanh, jax.nn.tanh, key=k_actor)
        self.critic = eqx.nn.MLP(size, "scalar", width, depth, jax.nn.tanh, key=k_critic)
        self.policy = PolicyHead(width, spec, key=k_policy)

    def initial_carry(self) -> PyTree[Array]:
        return ()

    def step(self, carry: PyTree[Array], timestep: TimeStep) -> tuple[PyTree[Array], Policy, Float[Array, ""]]:
        x = obs_features(timestep)
        return carry, self.policy(self.actor(x)), self.critic(x)

    def unroll(self, timesteps: TimeStep, *, remat: bool) -> tuple[Any, Float[Array, " T"]]:
        del remat
        _, policies, values = jax.vmap(lambda timestep: self.step((), timestep))(timesteps)
        return policies, values
