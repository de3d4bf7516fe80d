"""What a method claims, it does: in held-out tasks adaptation pays, and only where it is claimed.

On the two-armed bandit of ten pulls a policy that learns nothing gets 5, and the best possible one 6.02
(YARDSTICKS.md). A learner that adapts must beat both uniform play and itself when it is not allowed to learn; and in
a task other than the one it adapted to, the gain must vanish.
"""

import jax
import numpy as np
import pytest
from algorithms_table import BANDIT, GRID, METHODS, Method, ppo

from quickstudy.algorithms.context.rl2 import RL2
from quickstudy.collect.graph import GraphCollector
from quickstudy.evaluation import Evaluation, evaluate
from quickstudy.train import init_train_state, meta_train

NUM_TEST_TASKS = 2000
UNIFORM = 5.0
"""What uniform play of the bandit is worth: ten pulls of arms whose means are ½ on average."""
QUICK = ("rl2-gru", "thompson", "skeleton")


def _evaluation(method: Method, family, *, num_steps, num_tasks=256, num_seeds=2) -> Evaluation:
    algorithm, collector, budgets = method.build(family), GraphCollector(family.env), method.budgets(family)
    state = init_train_state(algorithm, collector, num_seeds=num_seeds, key=jax.random.key(0))
    if num_steps:
        state = meta_train(
            algorithm,
            collector,
            family.tasks("train"),
            budgets.train,
            num_steps=num_steps,
            num_tasks=num_tasks,
            key=jax.random.key(1),
            state=state,
        )
    return evaluate(
        algorithm.learner,
        state.meta.params,
        collector,
        family.tasks("test"),
        budgets.test,
        num_seeds=num_seeds,
        num_tasks=NUM_TEST_TASKS,
        num_episodes=family.num_episodes,
        key=jax.random.key(2),
    )


def _row(name):
    return next(method for method in METHODS if method.name == name)


def _margin(one, other=0.0):
    """Mean difference over tasks, seeds averaged first, in its own standard errors and in itself."""
    difference = (one - other).reshape(-1, NUM_TEST_TASKS).mean(axis=0)
    return difference.mean(), difference.mean() / (difference.std() / np.sqrt(NUM_TEST_TASKS))


ADAPTIVE = [
    pytest.param(method, marks=() if method.name in QUICK else pytest.mark.slow, id=method.name)
    for method in METHODS
    if method.adapts and not method.continuous
]


@pytest.mark.parametrize("method", ADAPTIVE)
def test_adaptation_beats_uniform_play_and_the_unadapted_self_and_shuffling_undoes_it(method):
    result = _evaluation(method, BANDIT, num_steps=method.num_steps)
    adapted, unadapted = result.adapted.sum(-1), result.unadapted.sum(-1)
    for reference in (UNIFORM, unadapted):
        gain, errors = _margin(adapted, reference)
        assert gain > 0.3
        assert errors > 4
    # The last pull of an agent that learned about other arms is worth a blind one.
    gain, errors = _margin(result.adapted[..., -1], result.shuffled[..., -1])
    assert gain > 0.04
    assert errors > 4
    blind, errors = _margin(result.shuffled[..., -1] - 0.5)
    assert abs(errors) < 4
    assert abs(blind) < 0.03


@pytest.mark.parametrize("method", [method for method in METHODS if not method.adapts], ids=lambda method: method.name)
def test_a_method_that_claims_no_adaptation_shows_none(method):
    result = _evaluation(method, GRID, num_steps=2, num_tasks=8)
    np.testing.assert_array_equal(result.adapted, result.unadapted)


@pytest.mark.slow
def test_rl2_comes_close_to_the_bayes_optimum():
    method = Method("rl2", lambda family: RL2(width=32, ppo=ppo(learning_rate=3e-3, anneal_steps=300)), (), True)
    result = _evaluation(method, BANDIT, num_steps=300, num_tasks=512)
    optimum = BANDIT.bayes_optimal_return()
    assert optimum == pytest.approx(6.02179, abs=1e-4)
    value, errors = _margin(result.adapted.sum(-1))
    assert value > 0.98 * optimum
    assert value < optimum + 4 * value / errors


@pytest.mark.slow
def test_rl2_remembers_the_goal_of_a_grid_and_multitask_ppo_cannot():
    rl2 = Method("rl2", lambda family: RL2(width=32, ppo=ppo(gamma=0.97, trace=0.9, anneal_steps=200)), (), True)
    uniform = _evaluation(_row("random"), GRID, num_steps=0).adapted
    remembers = _evaluation(rl2, GRID, num_steps=200)
    forgets = _evaluation(_row("multitask-ppo"), GRID, num_steps=200)
    gain, errors = _margin(remembers.adapted[..., -1], remembers.adapted[..., 0])
    assert gain > 0.5
    assert errors > 4
    for result in (remembers, forgets):
        gain, errors = _margin(result.adapted.sum(-1), uniform.sum(-1))
        assert gain > 0
        assert errors > 4
    gain, errors = _margin(remembers.adapted.sum(-1), forgets.adapted.sum(-1))
    assert gain > 0.5
    assert errors > 4
    gain, errors = _margin(remembers.adapted[..., -1], remembers.shuffled[..., -1])
    assert gain > 0.5
    assert errors > 4
