"""Actor-critics: a policy and a value from what a stream shows, with memory or without."""

import abc
import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from quickstudy.nets.associative import empty_store, read, read_all, write
from quickstudy.nets.features import (
    features_by_action,
    num_obs_features,
    num_timestep_features,
    num_transition_features,
    obs_features,
    timestep_features,
    transition_features,
)
from quickstudy.nets.init import orthogonal_linear
from quickstudy.nets.policy import Categorical, DiagonalGaussian, PolicyHead
from quickstudy.nets.recurrent import AbstractCell, CellName, make_cell, unroll
from quickstudy.nets.standardizer import Standardizer
from quickstudy.types import Spec, TimeStep

Policy = Categorical | DiagonalGaussian


class AbstractActorCritic(eqx.Module):
    """A policy and a value. `step` serves acting, `unroll` learning; they compute the same numbers."""

    standardizer: eqx.AbstractVar[Standardizer | None]
    """What the inputs go through first; None to read them as they are."""

    @abc.abstractmethod
    def initial_carry(self) -> PyTree[Array]:
        """The memory of a stream at the start of a trial."""

    @abc.abstractmethod
    def step(self, carry: PyTree[Array], timestep: TimeStep) -> tuple[PyTree[Array], Policy, Float[Array, ""]]:
        """Memory, policy and value after one more time step."""

    @abc.abstractmethod
    def unroll(self, timesteps: TimeStep, *, remat: bool) -> tuple[Any, Float[Array, " T"]]:
        """Policies and values of a whole stream ``[T, ...]`` from the start of its trial."""

    def after(self, timesteps: TimeStep) -> "AbstractActorCritic":
        """The same network once it has been trained on ``timesteps``, ``[K, N, L, ...]``."""
        if self.standardizer is None:
            return self
        return eqx.tree_at(lambda network: network.standardizer, self, self.standardizer.after(timesteps))

    def _seen(self, timestep: TimeStep) -> TimeStep:
        """A time step as the layers read it."""
        return timestep if self.standardizer is None else self.standardizer(timestep)


class Memory(NamedTuple):
    """What a recurrent stream remembers.

    Attributes:
        hidden: the hidden state of the recurrent layer.
        obs: features of the observation before this one; zeros at the start of a trial.
        store: the associative memory ``[V, F]``, or None.
    """

    hidden: PyTree[Array]
    obs: Float[Array, "*axes F"]
    store: Float[Array, "*axes V F"] | None


class ActionScore(eqx.Module):
    """A score for every discrete action, by one small network that all of them share.

    It sees what the associative memory holds of the action, and the same context for all. That actions are alike until
    experience tells them apart is then built in, and an index of how good an action is, and how uncertain, is learned
    from the experience with all of them at once. Such a symmetry is what Kirsch et al. 2022 (arXiv:2109.10781) give to
    a black box; here it is added to the logits of a head that can still treat every action in its own way.
    """

    of_action: eqx.nn.Linear
    of_context: eqx.nn.Linear
    out: Float[Array, " H"]

    def __init__(self, num_context: int, width: int, *, key: Key[Array, ""]):
        k_action, k_context, k_out = jax.random.split(key, 3)
        self.of_action = orthogonal_linear(2, width, scale=math.sqrt(2), key=k_action)
        self.of_context = orthogonal_linear(num_context, width, scale=math.sqrt(2), key=k_context)
        # No bias: it would be the same for all actions, and change no policy.
        self.out = orthogonal_linear(width, 1, scale=0.01, key=k_out).weight[0]

    def __call__(self, context: Float[Array, " D"], of_each: Float[Array, "A 2"]) -> Float[Array, " A"]:
        hidden = jax.nn.relu(jax.vmap(self.of_action)(of_each) + self.of_context(context)[None])
        return hidden @ self.out


class RecurrentActorCritic(AbstractActorCritic):
    """The last transition into a recurrent layer, a policy head and a value head on its output.

    The layer reads the observation that the previous action was taken in beside what came of it: without it, it would
    have to remember where a reward was earned before it could learn from it. With a ``readout``, a hidden layer that
    sees the observation once more stands between memory and heads, so that what to do *here* can be looked up in what
    is known of everywhere.

    With ``associative``, a fast-weight memory (`quickstudy.nets.associative`) keeps what came of every action under
    the observation that it was taken in, and what it holds for the present one is read by the recurrent layer and by
    what follows it. Discrete actions are then scored by an `ActionScore` too.
    """

    standardizer: Standardizer | None
    cell: AbstractCell
    readout: eqx.nn.Linear | None
    policy: PolicyHead
    score: ActionScore | None
    value: eqx.nn.Linear
    num_actions: int | None
    num_obs: int
    num_read: int

    def __init__(
        self,
        spec: Spec,
        *,
        cell: CellName,
        width: int,
        readout: int,
        associative: bool,
        standardize: bool,
        key: Key[Array, ""],
    ):
        self.standardizer = Standardizer(spec) if standardize else None
        k_cell, k_readout, k_policy, k_score, k_value = jax.random.split(key, 5)
        self.num_obs = num_obs_features(spec)
        self.num_read = num_timestep_features(spec) if associative else 0
        self.cell = make_cell(cell, num_transition_features(spec) + self.num_read, width, key=k_cell)
        self.readout, num_features = None, width + self.num_read
        if readout:
            num_in, num_features = num_features + self.num_obs, readout
            self.readout = orthogonal_linear(num_in, readout, scale=math.sqrt(2), key=k_readout)
        self.policy = PolicyHead(num_features, spec, key=k_policy)
        self.score = None
        if associative and spec.num_actions is not None:
            self.score = ActionScore(num_features, width, key=k_score)
        self.value = orthogonal_linear(num_features, 1, scale=1.0, key=k_value)
        self.num_actions = spec.num_actions

    def initial_carry(self) -> Memory:
        store = empty_store(self.num_read, self.num_obs) if self.num_read else None
        return Memory(self.cell.initial(), jnp.zeros(self.num_obs), store)

    def step(self, carry: Memory, timestep: TimeStep) -> tuple[Memory, Policy, Float[Array, ""]]:
        timestep = self._seen(timestep)
        obs, store, recalled = obs_features(timestep), None, jnp.zeros(0)
        if carry.store is not None:
            store = write(carry.store, carry.obs, self._came_of_it(timestep))
            recalled = read(store, obs)
        x = self._inputs(carry.obs, timestep, recalled)
        hidden = self.cell.advance(carry.hidden, x)
        features = self._features(self.cell.output(hidden), recalled, obs)
        return Memory(hidden, obs, store), self._policy(features, recalled), self.value(features)[0]

    def unroll(self, timesteps: TimeStep, *, remat: bool) -> tuple[Any, Float[Array, " T"]]:
        timesteps = jax.vmap(self._seen)(timesteps)
        obs = jax.vmap(obs_features)(timesteps)
        before = jnp.concatenate([jnp.zeros_like(obs[:1]), obs[:-1]])
        recalled = jnp.zeros((len(obs), 0))
        if self.num_read:
            recalled = read_all(before, jax.vmap(self._came_of_it)(timesteps), obs)
        xs = jax.vmap(self._inputs)(before, timesteps, recalled)
        outputs = unroll(self.cell, self.cell.initial(), xs, remat=remat)
        features = jax.vmap(self._features)(outputs, recalled, obs)
        return jax.vmap(self._policy)(features, recalled), jax.vmap(self.value)(features)[:, 0]

    def _came_of_it(self, timestep: TimeStep) -> Float[Array, " V"]:
        """The previous action and what followed: what the associative memory keeps."""
        return timestep_features(timestep, self.num_actions)

    def _inputs(
        self, prev_obs: Float[Array, " F"], timestep: TimeStep, recalled: Float[Array, " V"]
    ) -> Float[Array, " I"]:
        return jnp.concatenate([transition_features(prev_obs, timestep, self.num_actions), recalled])

    def _features(
        self, output: Float[Array, " H"], recalled: Float[Array, " V"], obs: Float[Array, " F"]
    ) -> Float[Array, " D"]:
        known = jnp.concatenate([output, recalled])
        if self.readout is None:
            return known
        return jax.nn.relu(self.readout(jnp.concatenate([known, obs])))

    def _policy(self, features: Float[Array, " D"], recalled: Float[Array, " V"]) -> Policy:
        policy = self.policy(features)
        if self.score is None or self.num_actions is None or isinstance(policy, DiagonalGaussian):
            return policy
        of_each = features_by_action(recalled, self.num_obs, self.num_actions)
        return Categorical(policy.logits + self.score(features, of_each))


class MemorylessActorCritic(AbstractActorCritic):
    """Two separate multi-layer perceptrons on the observation alone: it cannot tell one task from another."""

    standardizer: Standardizer | None
    actor: eqx.nn.MLP
    critic: eqx.nn.MLP
    policy: PolicyHead

    def __init__(self, spec: Spec, *, width: int, depth: int, standardize: bool, key: Key[Array, ""]):
        self.standardizer = Standardizer(spec) if standardize else None
        k_actor, k_critic, k_policy = jax.random.split(key, 3)
        size = num_obs_features(spec)
        self.actor = eqx.nn.MLP(size, width, width, depth - 1, jax.nn.tanh, jax.nn.tanh, key=k_actor)
        self.critic = eqx.nn.MLP(size, "scalar", width, depth, jax.nn.tanh, key=k_critic)
        self.policy = PolicyHead(width, spec, key=k_policy)

    def initial_carry(self) -> PyTree[Array]:
        return ()

    def step(self, carry: PyTree[Array], timestep: TimeStep) -> tuple[PyTree[Array], Policy, Float[Array, ""]]:
        x = obs_features(self._seen(timestep))
        return carry, self.policy(self.actor(x)), self.critic(x)

    def unroll(self, timesteps: TimeStep, *, remat: bool) -> tuple[Any, Float[Array, " T"]]:
        del remat
        _, policies, values = jax.vmap(lambda timestep: self.step((), timestep))(timesteps)
        return policies, values
