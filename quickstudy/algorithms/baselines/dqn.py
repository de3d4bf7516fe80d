"""DQN: deep Q-learning in one task, from scratch or from a network that all tasks have trained.

Mnih et al. 2015 (Nature 518); double (van Hasselt et al. 2016, arXiv:1509.06461), dueling (Wang et al. 2016,
arXiv:1511.06581) and with n-step returns (Hessel et al. 2018, arXiv:1710.02298). On rows drawn from the task's memory::

    loss = mean huber(Q(s, a) − Σ_{j<n} γ^j r_j − γ^n Q'(s_n, a*)),     a* = argmax_a Q(s_n, a),     Q' the target

`DQN` begins every task with the same random network. `FineTunedDQN` trains one network on the replayed trials of all
tasks by the same rule, and goes on learning from there in each task.

Differs from the paper:

1. The target network follows the other one by an exponential average, as in DDPG, instead of a copy now and then.
2. Adam instead of RMSProp; rewards are not clipped.
3. Learning starts with the first transition instead of after a random phase; ε falls from there.
"""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from quickstudy.algorithms.baselines.replay import AbstractReplayRule
from quickstudy.algorithms.memory import (
    Memory,
    draw_trials,
    empty_memory,
    empty_store,
    in_order,
    remember,
    sample_returns,
    store_trials,
)
from quickstudy.errors import InvalidArgument, require_counts, require_within
from quickstudy.family import AbstractFamily
from quickstudy.learner import AbstractLearner
from quickstudy.meta import AbstractMetaAlgorithm, MetaState, Untrained
from quickstudy.nets.features import flat_obs, num_obs_features
from quickstudy.nets.q_network import QNetwork
from quickstudy.types import Action, Budgets, Info, Spec, TimeStep, Trajectory, Transitions, Trial


class QLearningRule(AbstractReplayRule):
    """Hyperparameters of deep Q-learning, in a task and across tasks."""

    num_return_steps: int = 1
    """n, rewards that are summed before the target network is asked."""
    double: bool = True
    """Let the network that learns choose the action that the target network values."""

    def __check_init__(self):
        require_counts(self, "num_return_steps", prefix="rule.")

    @property
    def optimizer(self) -> optax.GradientTransformation:
        """Adam, with gradients cut to length 10."""
        return optax.chain(optax.clip_by_global_norm(10.0), optax.adam(self.learning_rate))

    def loss(self, network: QNetwork, target: QNetwork, batch: Transitions) -> Float[Array, ""]:
        """Mean Huber loss of the temporal differences of ``batch``, whose rewards and discounts are n-step ones."""
        following = jax.vmap(target)(batch.next_obs)
        best = jnp.argmax(jax.vmap(network)(batch.next_obs) if self.double else following, axis=-1)
        rows = jnp.arange(best.shape[0])
        wanted = batch.reward + batch.discount * following[rows, best]
        value = jax.vmap(network)(batch.obs)[rows, batch.action]
        return optax.losses.huber_loss(value, jax.lax.stop_gradient(wanted)).mean()


class Networks(NamedTuple):
    """The network that learns, the one that gives its targets, and Adam's state."""

    online: QNetwork
    target: QNetwork
    opt_state: PyTree


def begin_learning(rule: QLearningRule, network: QNetwork) -> Networks:
    """Both networks the same, and a fresh optimiser."""
    return Networks(network, network, rule.optimizer.init(eqx.filter(network, eqx.is_inexact_array)))


def learn_from(rule: QLearningRule, networks: Networks, batch: Transitions) -> tuple[Networks, Float[Array, ""]]:
    """One step of Adam on a batch, then a step of the target network."""
    loss, grads = eqx.filter_value_and_grad(rule.loss)(networks.online, networks.target, batch)
    updates, opt_state = rule.optimizer.update(grads, networks.opt_state)
    online = eqx.apply_updates(networks.online, updates)
    follow = lambda old, new: old + rule.target_rate * (new - old)
    return Networks(online, jax.tree.map(follow, networks.target, online), opt_state), loss


class DQNState(NamedTuple):
    """The task's transitions and what was learned from them."""

    memory: Memory
    networks: Networks


class DQNLearner(AbstractLearner[QNetwork, DQNState, tuple[()]]):
    """Deep Q-learning in one task, from the network that it is given."""

    rule: QLearningRule
    capacity: int
    epsilon: float
    final_epsilon: float
    epsilon_steps: int

    def init(self, params: QNetwork, *, key: Key[Array, ""]) -> DQNState:
        """No transitions, and the given network."""
        del key
        return DQNState(empty_memory(self.capacity, params.perceptron.num_inputs), begin_learning(self.rule, params))

    def init_carry(self, params: QNetwork) -> tuple[()]:
        """No memory."""
        del params
        return ()

    def act(
        self, params: QNetwork, state: DQNState, carry: tuple[()], timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Action, tuple[()], None]:
        """The best action, or with probability ε any."""
        del params
        k_explore, k_random = jax.random.split(key)
        values = state.networks.online(flat_obs(timestep.obs))
        random = jax.random.randint(k_random, (), 0, values.shape[0])
        explore = jax.random.bernoulli(k_explore, self.epsilon_after(state.memory.num_stored))
        return jnp.where(explore, random, jnp.argmax(values)).astype(jnp.int32), carry, None

    def epsilon_after(self, num_steps: Int[Array, ""]) -> Float[Array, ""]:
        """ε when the task has shown ``num_steps`` transitions."""
        left = jnp.maximum(1.0 - num_steps / self.epsilon_steps, 0.0)
        return self.final_epsilon + (self.epsilon - self.final_epsilon) * left

    def update(
        self, params: QNetwork, state: DQNState, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[DQNState, Info]:
        """Remember the block and take the rule's steps on what is remembered."""
        del params
        memory, _, _ = remember(state.memory, trajectory)
        data, rule = in_order(memory), self.rule
        arrays, static = eqx.partition(state.networks, eqx.is_array)

        def step(arrays: PyTree, key: Key[Array, ""]) -> tuple[PyTree, Float[Array, ""]]:
            batch = sample_returns(
                data,
                rule.batch_size,
                num_steps=rule.num_return_steps,
                gamma=rule.gamma,
                num_streams=trajectory.reward.shape[1],
                key=key,
            )
            networks, loss = learn_from(rule, eqx.combine(arrays, static), batch)
            return eqx.filter(networks, eqx.is_array), loss

        arrays, losses = jax.lax.scan(step, arrays, jax.random.split(key, rule.num_gradient_steps))
        return DQNState(memory, eqx.combine(arrays, static)), {"loss": losses.mean()}


class DQN(Untrained):
    """Deep Q-learning from scratch in every task; nothing is meta-learned."""

    width: int = 64
    """Units in a hidden layer."""
    depth: int = 2
    """Hidden layers."""
    dueling: bool = False
    """A value and advantages instead of action values alone."""
    rule: QLearningRule = QLearningRule()
    """How it learns."""
    block_length: int = 1
    """Steps between two updates; 0 for one episode of the family."""
    capacity: int = 10_000
    """Transitions that are remembered; beyond it the oldest are dropped."""
    epsilon: float = 1.0
    """ε, the share of random actions, at the start of a task."""
    final_epsilon: float = 0.05
    """ε from ``epsilon_steps`` on."""
    epsilon_steps: int = 1000
    """Steps in the task within which ε falls."""

    def __check_init__(self):
        require_counts(self, "width", "depth", "capacity", "epsilon_steps")
        require_within("[0, 1]", self, "epsilon", "final_epsilon")
        require_within("[0, inf)", self, "block_length")

    @property
    def learner(self) -> DQNLearner:
        """The rule in one task."""
        return DQNLearner(self.rule, self.capacity, self.epsilon, self.final_epsilon, self.epsilon_steps)

    def network(self, spec: Spec, *, key: Key[Array, ""]) -> QNetwork:
        """A freshly initialised network.

        Raises:
            InvalidArgument: actions are continuous.
        """
        if spec.num_actions is None:
            raise InvalidArgument("DQN needs discrete actions, and this family's are continuous")
        size = num_obs_features(spec)
        return QNetwork(size, spec.num_actions, width=self.width, depth=self.depth, dueling=self.dueling, key=key)

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """The network that every task begins with."""
        return MetaState(self.network(spec, key=key), None, jnp.zeros((), jnp.int32))

    def budgets(self, family: AbstractFamily) -> Budgets:
        """The family's trial in blocks of ``block_length``."""
        budget = family.trial_in_blocks(self.block_length)
        return Budgets(budget, budget)


class FineTunedDQN(AbstractMetaAlgorithm):
    """One network trained on the trials of all tasks, then fine-tuned by deep Q-learning in each."""

    task: DQN = DQN(epsilon=0.3, epsilon_steps=100, capacity=1000)
    """The network, and deep Q-learning within a task."""
    rule: QLearningRule = QLearningRule(num_gradient_steps=100, batch_size=256)
    """How the network learns across tasks."""
    num_trials: int = 512
    """Trials that are kept over meta-updates."""

    def __check_init__(self):
        require_counts(self, "num_trials")

    @property
    def learner(self) -> DQNLearner:
        """Deep Q-learning in the task."""
        return self.task.learner

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A fresh network and optimiser, and no trials."""
        network = self.task.network(spec, key=key)
        store = empty_store(self.num_trials, empty_memory(self.task.capacity, num_obs_features(spec)))
        networks = begin_learning(self.rule, network)
        return MetaState(network, networks[1:], jnp.zeros((), jnp.int32), store)

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """Store K trials, and take the rule's steps on transitions of stored ones."""
        store, rule = store_trials(state.extra, trials.final.state.memory), self.rule
        num_streams = trials.trajectory.reward.shape[-1]
        arrays, static = eqx.partition(Networks(state.params, *state.opt_state), eqx.is_array)

        def step(arrays: PyTree, key: Key[Array, ""]) -> tuple[PyTree, Float[Array, ""]]:
            k_trials, k_rows = jax.random.split(key)
            chosen = draw_trials(store, rule.batch_size, key=k_trials)
            one = lambda data, key: sample_returns(
                data, 1, num_steps=rule.num_return_steps, gamma=rule.gamma, num_streams=num_streams, key=key
            )
            batch = jax.vmap(one)(chosen, jax.random.split(k_rows, rule.batch_size))
            batch = jax.tree.map(lambda x: x[:, 0], batch)
            networks, loss = learn_from(rule, eqx.combine(arrays, static), batch)
            return eqx.filter(networks, eqx.is_array), loss

        arrays, losses = jax.lax.scan(step, arrays, jax.random.split(key, rule.num_gradient_steps))
        network, *opt_state = eqx.combine(arrays, static)
        return MetaState(network, tuple(opt_state), state.step + 1, store), {"loss": losses.mean()}

    def budgets(self, family: AbstractFamily) -> Budgets:
        """The family's trial in blocks of ``task.block_length``."""
        return self.task.budgets(family)
