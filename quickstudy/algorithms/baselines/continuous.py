"""DDPG, TD3 and SAC from scratch in one task: an actor for continuous actions, and critics on replayed transitions.

Lillicrap et al. 2016, arXiv:1509.02971; Fujimoto et al. 2018, arXiv:1802.09477; Haarnoja et al. 2018,
arXiv:1812.05905. On rows drawn from the task's memory, with Q' and μ' slowly following targets::

    DDPG    y = r + γ Q'(s', μ'(s'))                                                    actor: max E Q(s, μ(s))
    TD3     y = r + γ min_i Q'_i(s', clip(μ'(s') + clipped noise))                      actor: every second step
    SAC     y = r + γ (min_i Q'_i(s', a') − τ log π(a'|s')),   a' ~ π                   actor: max E min_i Q_i − τ log π

SAC's temperature τ is learned, so that the entropy of the policy is minus the number of action dimensions.

Differs from the paper:

1. DDPG explores by independent normal noise, as TD3 does, instead of an Ornstein-Uhlenbeck process.
2. One Adam for actor, critics and temperature; no weight decay.
3. Where TD3's actor waits, its gradient is 0, and Adam's momentum still moves it.
"""

import abc
import math
from functools import partial
from typing import Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from quickstudy.algorithms.baselines.replay import AbstractReplayRule
from quickstudy.algorithms.memory import Memory, empty_memory, in_order, remember, sample_returns
from quickstudy.errors import InvalidArgument, require_counts, require_within
from quickstudy.family import AbstractFamily
from quickstudy.learner import AbstractLearner
from quickstudy.meta import MetaState, Untrained
from quickstudy.nets.features import flat_obs, num_obs_features
from quickstudy.nets.perceptron import Perceptron
from quickstudy.types import Action, Budgets, Info, Spec, TimeStep, Trajectory, Transitions

LOG_STD = (-5.0, 2.0)


class ActorCritics(eqx.Module):
    """What a task begins with.

    Attributes:
        actor: from an observation to an action before tanh (SAC: its mean and log standard deviation).
        critics: from an observation and an action to its value, each.
        log_temperature: logarithm of τ; without use but for SAC.
    """

    actor: Perceptron
    critics: tuple[Perceptron, ...]
    log_temperature: Float[Array, ""]

    def values(self, obs: Float[Array, " F"], action: Float[Array, " A"]) -> Float[Array, " critics"]:
        """What every critic says."""
        return jnp.concatenate([critic(jnp.concatenate([obs, action])) for critic in self.critics])


class AbstractActorCriticRule(AbstractReplayRule):
    """How an actor and critics learn from a batch."""

    @property
    @abc.abstractmethod
    def num_critics(self) -> int:
        """Critics that are trained side by side."""

    @property
    @abc.abstractmethod
    def outputs_per_action(self) -> int:
        """Numbers that the actor says of every dimension of an action."""

    @abc.abstractmethod
    def act(self, params: ActorCritics, obs: Float[Array, " F"], *, key: Key[Array, ""]) -> Float[Array, " A"]:
        """An exploring action in [-1, 1]."""

    @abc.abstractmethod
    def losses(
        self,
        params: ActorCritics,
        target: ActorCritics,
        batch: Transitions,
        step: Int[Array, ""],
        *,
        key: Key[Array, ""],
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """The loss of the critics, and that of the actor and the temperature: neither has a gradient of the other's."""

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Adam."""
        return optax.adam(self.learning_rate)

    def follows(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """How far the target networks move in step number ``step``."""
        del step
        return jnp.asarray(self.target_rate)


class DeterministicRule(AbstractActorCriticRule):
    """DDPG's rule, and with twin critics, smoothing and delay TD3's."""

    noise: float = 0.1
    """Standard deviation of what is added to actions, in the unit of actions (they lie in [-1, 1])."""
    twin: bool = False
    """Two critics, of which the lower one counts (TD3)."""
    smoothing: float = 0.0
    """Standard deviation of the noise in the targets' actions, cut at 2.5 of them (TD3: .2)."""
    policy_delay: int = 1
    """Steps of the critics for each of the actor and the targets (TD3: 2)."""

    def __check_init__(self):
        require_counts(self, "policy_delay", prefix="rule.")
        require_within("[0, inf)", self, "noise", "smoothing", prefix="rule.")

    @property
    def num_critics(self) -> int:
        """One, or two."""
        return 1 + self.twin

    @property
    def outputs_per_action(self) -> int:
        """The action itself."""
        return 1

    def act(self, params: ActorCritics, obs: Float[Array, " F"], *, key: Key[Array, ""]) -> Float[Array, " A"]:
        """The actor's action with noise."""
        action = jnp.tanh(params.actor(obs))
        return jnp.clip(action + self.noise * jax.random.normal(key, action.shape), -1.0, 1.0)

    def losses(
        self,
        params: ActorCritics,
        target: ActorCritics,
        batch: Transitions,
        step: Int[Array, ""],
        *,
        key: Key[Array, ""],
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Squared temporal differences; minus the first critic's value of the actor's actions."""
        following = jnp.tanh(jax.vmap(target.actor)(batch.next_obs))
        noise = jnp.clip(jax.random.normal(key, following.shape), -2.5, 2.5)
        following = jnp.clip(following + self.smoothing * noise, -1.0, 1.0)
        wanted = batch.reward + batch.discount * jax.vmap(target.values)(batch.next_obs, following).min(1)
        critics = critics_loss(params, batch, wanted)
        value = lambda obs: frozen(params).values(obs, jnp.tanh(params.actor(obs)))[0]
        return critics, -jax.vmap(value)(batch.obs).mean() * (step % self.policy_delay == 0)

    def follows(self, step: Int[Array, ""]) -> Float[Array, ""]:
        """Not at all between two steps of the actor."""
        return self.target_rate * (step % self.policy_delay == 0)


class EntropyRule(AbstractActorCriticRule):
    """SAC's rule."""

    initial_temperature: float = 0.2
    """τ, what a nat of entropy is worth, at the start of a task."""

    def __check_init__(self):
        require_within("(0, inf)", self, "initial_temperature", prefix="rule.")

    @property
    def num_critics(self) -> int:
        """Two, of which the lower one counts."""
        return 2

    @property
    def outputs_per_action(self) -> int:
        """Mean and log standard deviation."""
        return 2

    def act(self, params: ActorCritics, obs: Float[Array, " F"], *, key: Key[Array, ""]) -> Float[Array, " A"]:
        """A draw from the policy."""
        return squashed_normal(params.actor(obs), key=key)[0]

    def losses(
        self,
        params: ActorCritics,
        target: ActorCritics,
        batch: Transitions,
        step: Int[Array, ""],
        *,
        key: Key[Array, ""],
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Squared soft temporal differences; minus the soft value of the policy, and τ's distance from its entropy."""
        del step
        k_following, k_here = (jax.random.split(k, batch.reward.shape[0]) for k in jax.random.split(key))
        draw = lambda actor: jax.vmap(lambda obs, k: squashed_normal(actor(obs), key=k))
        temperature = jnp.exp(jax.lax.stop_gradient(params.log_temperature))
        following, log_prob = draw(frozen(params).actor)(batch.next_obs, k_following)
        soft = jax.vmap(target.values)(batch.next_obs, following).min(1) - temperature * log_prob
        critics = critics_loss(params, batch, batch.reward + batch.discount * soft)
        action, log_prob = draw(params.actor)(batch.obs, k_here)
        value = jax.vmap(frozen(params).values)(batch.obs, action).min(1)
        excess = jax.lax.stop_gradient(log_prob).mean() - action.shape[1]
        return critics, (temperature * log_prob - value).mean() - params.log_temperature * excess


def frozen(params: ActorCritics) -> ActorCritics:
    """The same without gradient."""
    return jax.lax.stop_gradient(params)


def critics_loss(params: ActorCritics, batch: Transitions, wanted: Float[Array, " n"]) -> Float[Array, ""]:
    """Squared distance of all critics from what is wanted, which gets no gradient."""
    said = jax.vmap(params.values)(batch.obs, batch.action)
    return jnp.square(said - jax.lax.stop_gradient(wanted)[:, None]).sum(1).mean()


def squashed_normal(
    outputs: Float[Array, " two_A"], *, key: Key[Array, ""]
) -> tuple[Float[Array, " A"], Float[Array, ""]]:
    """A draw of ``tanh(N(mean, std²))``, and the logarithm of its density."""
    mean, log_std = jnp.split(outputs, 2)
    log_std = jnp.clip(log_std, *LOG_STD)
    z = jax.random.normal(key, mean.shape)
    raw = mean + jnp.exp(log_std) * z
    # log(1 − tanh(x)²), in a form that does not lose its digits.
    slope = 2.0 * (math.log(2.0) - raw - jax.nn.softplus(-2.0 * raw))
    return jnp.tanh(raw), -jnp.sum(0.5 * jnp.square(z) + log_std + 0.5 * math.log(2 * math.pi) + slope)


class ActorCriticState(NamedTuple):
    """What a task has taught.

    Attributes:
        memory: its transitions.
        params: actor and critics.
        target: what their targets are computed by.
        opt_state: Adam's state.
        step: steps of Adam that were taken.
    """

    memory: Memory
    params: ActorCritics
    target: ActorCritics
    opt_state: PyTree
    step: Int[Array, ""]


class ReplayActorCriticLearner(AbstractLearner[ActorCritics, ActorCriticState, tuple[()]]):
    """An actor and critics that learn from the task's memory."""

    rule: AbstractActorCriticRule
    capacity: int
    random_steps: int

    def init(self, params: ActorCritics, *, key: Key[Array, ""]) -> ActorCriticState:
        """No transitions, and the given networks."""
        del key
        num_actions = params.actor.layers[-1].weight.shape[0] // self.rule.outputs_per_action
        action = jax.ShapeDtypeStruct((num_actions,), jnp.float32)
        memory = empty_memory(self.capacity, params.actor.num_inputs, action)
        opt_state = self.rule.optimizer.init(eqx.filter(params, eqx.is_inexact_array))
        return ActorCriticState(memory, params, params, opt_state, jnp.zeros((), jnp.int32))

    def init_carry(self, params: ActorCritics) -> tuple[()]:
        """No memory."""
        del params
        return ()

    def act(
        self,
        params: ActorCritics,
        state: ActorCriticState,
        carry: tuple[()],
        timestep: TimeStep,
        *,
        key: Key[Array, ""],
    ) -> tuple[Action, tuple[()], None]:
        """The rule's exploring action; any at all in the first ``random_steps``."""
        del params
        k_rule, k_random = jax.random.split(key)
        action = self.rule.act(state.params, flat_obs(timestep.obs), key=k_rule)
        random = jax.random.uniform(k_random, action.shape, minval=-1.0, maxval=1.0)
        chosen = jnp.where(state.memory.num_stored < self.random_steps, random, action)
        return chosen.reshape(timestep.prev_action.shape), carry, None

    def update(
        self, params: ActorCritics, state: ActorCriticState, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[ActorCriticState, Info]:
        """Remember the block and take the rule's steps on what is remembered."""
        del params
        rule = self.rule
        flat = trajectory._replace(action=trajectory.action.reshape(*trajectory.reward.shape, -1))
        memory, _, _ = remember(state.memory, flat)
        data = in_order(memory)

        def step(state: ActorCriticState, key: Key[Array, ""]) -> tuple[ActorCriticState, Float[Array, ""]]:
            k_batch, k_loss = jax.random.split(key)
            batch = sample_returns(data, rule.batch_size, num_steps=1, gamma=rule.gamma, num_streams=1, key=k_batch)

            def total(params: ActorCritics) -> tuple[Float[Array, ""], Float[Array, ""]]:
                critics, actor = rule.losses(params, state.target, batch, state.step, key=k_loss)
                return critics + actor, critics

            (_, loss), grads = eqx.filter_value_and_grad(total, has_aux=True)(state.params)
            updates, opt_state = rule.optimizer.update(grads, state.opt_state)
            params = eqx.apply_updates(state.params, updates)
            rate = rule.follows(state.step)
            target = jax.tree.map(lambda old, new: old + rate * (new - old), state.target, params)
            return ActorCriticState(state.memory, params, target, opt_state, state.step + 1), loss

        keys = jax.random.split(key, rule.num_gradient_steps)
        state, losses = jax.lax.scan(step, state._replace(memory=memory), keys)
        return state, {"loss": losses.mean()}


RuleT = TypeVar("RuleT", bound=AbstractActorCriticRule)


class AbstractReplayActorCritic(Untrained, Generic[RuleT]):
    """An actor and critics from scratch in every task; nothing is meta-learned."""

    rule: eqx.AbstractVar[RuleT]
    width: int = 64
    """Units in a hidden layer."""
    depth: int = 2
    """Hidden layers of actor and critics."""
    block_length: int = 1
    """Steps between two updates; 0 for one episode of the family."""
    capacity: int = 10_000
    """Transitions that are remembered; beyond it the oldest are dropped."""
    random_steps: int = 100
    """Steps at the start of a task whose actions are uniform."""

    def __check_init__(self):
        require_counts(self, "width", "depth", "capacity")
        require_within("[0, inf)", self, "random_steps", "block_length")

    @property
    def learner(self) -> ReplayActorCriticLearner:
        """The rule in one task."""
        return ReplayActorCriticLearner(self.rule, self.capacity, self.random_steps)

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """The networks that every task begins with.

        Raises:
            InvalidArgument: actions are discrete.
        """
        if spec.num_actions is not None:
            name = type(self).__name__
            raise InvalidArgument(f"{name} needs continuous actions, and this family's are discrete: try dqn")
        num_obs, num_actions = num_obs_features(spec), math.prod(spec.action.shape)
        k_actor, *k_critics = jax.random.split(key, 1 + self.rule.num_critics)
        network = partial(Perceptron, width=self.width, depth=self.depth)
        actor = network(num_obs, num_actions * self.rule.outputs_per_action, key=k_actor)
        critics = tuple(network(num_obs + num_actions, 1, key=k) for k in k_critics)
        temperature = getattr(self.rule, "initial_temperature", 1.0)
        params = ActorCritics(actor, critics, jnp.asarray(math.log(temperature), jnp.float32))
        return MetaState(params, None, jnp.zeros((), jnp.int32))

    def budgets(self, family: AbstractFamily) -> Budgets:
        """The family's trial in blocks of ``block_length``."""
        budget = family.trial_in_blocks(self.block_length)
        return Budgets(budget, budget)


class DDPG(AbstractReplayActorCritic[DeterministicRule]):
    """Deep deterministic policy gradient, or TD3."""

    rule: DeterministicRule = DeterministicRule()
    """How it learns."""


class SAC(AbstractReplayActorCritic[EntropyRule]):
    """Soft actor-critic."""

    rule: EntropyRule = EntropyRule()
    """How it learns."""


def td3() -> DDPG:
    """TD3: twin critics, smoothed targets, and an actor that waits for its critics."""
    return DDPG(rule=DeterministicRule(twin=True, smoothing=0.2, policy_delay=2))
