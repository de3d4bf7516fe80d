"""DQN: one step by hand, its variants, the exact optimum of a small chain, and every bad input."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.algorithms.baselines.dqn import DQN, DQNLearner, FineTunedDQN, QLearningRule, begin_learning, learn_from
from quickstudy.collect.graph import GraphCollector
from quickstudy.envs.gridworld import GridNavigation
from quickstudy.envs.point import PointNavigation
from quickstudy.errors import InvalidArgument
from quickstudy.nets.q_network import QNetwork
from quickstudy.tasks.base import TaskSplit
from quickstudy.tasks.finite import FiniteTasks
from quickstudy.train import meta_train
from quickstudy.trial import run_trial
from quickstudy.types import Budget, Transitions

GRID = GridNavigation(size=3, horizon=6, num_episodes=2)


def _table(values) -> QNetwork:
    """A network without hidden layers on one-hot states: a table."""
    values = jnp.asarray(values)
    network = QNetwork(values.shape[0], values.shape[1], width=1, depth=0, dueling=False, key=jax.random.key(0))
    (layer,) = network.perceptron.layers
    table = eqx.tree_at(lambda layer: (layer.weight, layer.bias), layer, (values.T, jnp.zeros(values.shape[1])))
    return eqx.tree_at(lambda network: network.perceptron.layers, network, (table,))


def _batch(discount=0.5) -> Transitions:
    one = jnp.ones(1)
    return Transitions(
        jax.nn.one_hot(jnp.asarray([0]), 2), jnp.asarray([1]), one, jax.nn.one_hot(jnp.asarray([1]), 2),
        discount * one, 0 * one, one,
    )  # fmt: skip


@pytest.mark.parametrize(("double", "following"), [(True, 3.0), (False, 7.0)])
def test_the_loss_by_hand(double, following):
    online = _table([[0.0, 2.0], [5.0, 4.0]])  # would take action 0 in state 1
    target = _table([[0.0, 0.0], [3.0, 7.0]])
    loss = QLearningRule(double=double).loss(online, target, _batch())
    error = abs(2.0 - (1.0 + 0.5 * following))
    assert float(loss) == pytest.approx(0.5 * error**2 if error <= 1 else error - 0.5)


def test_the_target_network_follows_slowly_and_a_terminated_task_has_no_future():
    rule = QLearningRule(learning_rate=0.1, target_rate=0.25)
    start = _table([[0.0, 0.0], [9.0, 9.0]])
    networks, _ = learn_from(rule, begin_learning(rule, start), _batch(discount=0.0))
    moved = networks.online.perceptron.layers[-1].weight - start.perceptron.layers[-1].weight
    np.testing.assert_allclose(moved, [[0, 0], [0.1, 0]], atol=1e-5)
    np.testing.assert_allclose(
        networks.target.perceptron.layers[-1].weight - start.perceptron.layers[-1].weight, moved / 4, atol=1e-6
    )


def test_dueling_advantages_have_mean_zero():
    network = QNetwork(3, 4, width=8, depth=1, dueling=True, key=jax.random.key(0))
    obs = jnp.asarray([1.0, -1.0, 0.5])
    assert float(network(obs).mean()) == pytest.approx(float(network.perceptron(obs)[0]), abs=1e-6)


def test_epsilon_falls_with_the_steps_of_the_task():
    learner = DQNLearner(QLearningRule(), 10, epsilon=1.0, final_epsilon=0.2, epsilon_steps=4)
    values = [float(learner.epsilon_after(jnp.asarray(n))) for n in (0, 1, 4, 9)]
    np.testing.assert_allclose(values, [1.0, 0.8, 0.2, 0.2], rtol=1e-6)


@pytest.mark.parametrize(
    "variant", [{}, {"dueling": True}, {"num_return_steps": 3}], ids=["plain", "dueling", "n-step"]
)
def test_it_learns_the_way_to_one_goal(variant):
    rule = QLearningRule(num_gradient_steps=2, gamma=0.8, num_return_steps=variant.pop("num_return_steps", 1))
    method = DQN(width=32, depth=1, rule=rule, epsilon_steps=300, final_epsilon=0.0, capacity=600, **variant)
    params = method.init(GRID.env.spec, key=jax.random.key(0)).params
    goal = jnp.asarray(8)
    trial = jax.jit(lambda key: run_trial(method.learner, params, GRID.env, goal, Budget(600, 1), key=key))(
        jax.random.key(1)
    )
    episodes = trial.trajectory.reward.reshape(-1, 6).sum(-1)
    assert float(episodes[-1]) == pytest.approx(float(GRID.env.goal_known_return(goal)), abs=1e-5)


def test_the_network_of_all_tasks_is_where_learning_in_a_task_begins():
    task = DQN(width=32, depth=1, capacity=12, epsilon=0.5)
    method = FineTunedDQN(task, QLearningRule(learning_rate=3e-3, gamma=0.8, num_gradient_steps=40, target_rate=0.05))
    goal = jnp.asarray(8)
    state = meta_train(
        method,
        GraphCollector(GRID.env),
        TaskSplit(FiniteTasks(goal[None]), "train"),
        method.budgets(GRID).train,
        num_steps=25,
        num_tasks=16,
        key=jax.random.key(0),
    )
    trained = jax.tree.map(lambda x: x[0], state.meta.params)
    greedy = FineTunedDQN(replace(task, epsilon=0.0, final_epsilon=0.0)).learner
    trial = run_trial(greedy, trained, GRID.env, goal, Budget(6, 1), key=jax.random.key(1))
    assert float(trial.trajectory.reward.sum()) == pytest.approx(float(GRID.env.goal_known_return(goal)), abs=1e-5)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: QLearningRule(learning_rate=0.0), "rule.learning_rate must be positive, got 0.0"),
        (lambda: QLearningRule(gamma=1.5), r"rule.gamma must lie in \[0, 1\], got 1.5"),
        (lambda: QLearningRule(target_rate=0.0), r"rule.target_rate must lie in \(0, 1\], got 0.0"),
        (lambda: QLearningRule(num_return_steps=0), "rule.num_return_steps must be a whole number of at least 1"),
        (lambda: DQN(capacity=0), "capacity must be a whole number of at least 1, got 0"),
        (lambda: DQN(epsilon=2.0), r"epsilon must lie in \[0, 1\], got 2.0"),
        (lambda: FineTunedDQN(num_trials=0), "num_trials must be a whole number of at least 1, got 0"),
        (lambda: DQN(block_length=5).budgets(GRID), "block_length=5 must divide the 12 steps"),
        (
            lambda: DQN().init(PointNavigation().env.spec, key=jax.random.key(0)),
            "DQN needs discrete actions, and this family's are continuous",
        ),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(InvalidArgument, match=message):
        build()
