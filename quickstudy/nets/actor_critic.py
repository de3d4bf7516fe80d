"""Actor-critics: a policy and a value from what a stream shows, with memory or without."""

import abc
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key, PyTree

from quickstudy.nets.features import num_obs_features, num_timestep_features, obs_features, timestep_features
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


class RecurrentActorCritic(AbstractActorCritic):
    """Features of the time step into a recurrent layer, a policy head and a value head on its output."""

    cell: AbstractCell
    policy: PolicyHead
    value: eqx.nn.Linear
    num_actions: int | None

    def __init__(self, spec: Spec, *, cell: CellName, width: int, key: Key[Array, ""]):
        k_cell, k_policy, k_value = jax.random.split(key, 3)
        self.cell = make_cell(cell, num_timestep_features(spec), width, key=k_cell)
        self.policy = PolicyHead(width, spec, key=k_policy)
        self.value = orthogonal_linear(width, 1, scale=1.0, key=k_value)
        self.num_actions = spec.num_actions

    def initial_carry(self) -> PyTree[Array]:
        return self.cell.initial()

    def step(self, carry: PyTree[Array], timestep: TimeStep) -> tuple[PyTree[Array], Policy, Float[Array, ""]]:
        carry = self.cell.advance(carry, timestep_features(timestep, self.num_actions))
        features = self.cell.output(carry)
        return carry, self.policy(features), self.value(features)[0]

    def unroll(self, timesteps: TimeStep, *, remat: bool) -> tuple[Any, Float[Array, " T"]]:
        xs = jax.vmap(lambda timestep: timestep_features(timestep, self.num_actions))(timesteps)
        features = unroll(self.cell, self.cell.initial(), xs, remat=remat)
        return jax.vmap(self.policy)(features), jax.vmap(self.value)(features)[:, 0]


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
