"""The reference policies of random tabular MDPs against the numbers that are known for them."""

import functools

import jax
import numpy as np
import pytest
from simulation import standard_error, totals, yardstick

from quickstudy.algorithms.baselines.psrl import PSRL
from quickstudy.algorithms.baselines.tabular import MDPPrior
from quickstudy.envs.tabular import RandomMDP
from quickstudy.yardsticks import PolicyYardstick


def tasks_of(num_tasks):
    return RandomMDP().tasks("test").batch(num_tasks, key=jax.random.key(0))


@functools.cache
def optimal_values(num_tasks):
    """Of one episode in each task."""
    return totals(yardstick(RandomMDP(num_episodes=1), "MDP known"), tasks_of(num_tasks))


def optimum(num_episodes):
    """Mean of V* · n over very many tasks, and its standard error."""
    values = num_episodes * optimal_values(20_000)
    return values.mean(), standard_error(values)


def estimate(reference, num_tasks):
    """Mean total of a policy and its standard error.

    The part of the total that follows the optimal value of the task is taken out, with its mean over very many tasks
    in its place (a control variate).
    """
    optimal, total = reference.num_episodes * optimal_values(num_tasks), totals(reference, tasks_of(num_tasks))
    mean, error = optimum(reference.num_episodes)
    slope = np.cov(optimal, total)[0, 1] / optimal.var()
    controlled = total - slope * (optimal - mean)
    return controlled.mean(), np.hypot(standard_error(controlled), slope * error)


@pytest.mark.parametrize(("num_episodes", "known", "error"), [(10, 218.6, 0.3), (25, 545.6, 0.6)])
def test_known_mdp(num_episodes, known, error):
    # The value is quoted without an error; it was measured beside BEB, whose error stands in for it.
    mean, own_error = optimum(num_episodes)
    assert own_error < error
    assert abs(mean - known) < 3 * np.hypot(own_error, error)


@pytest.mark.parametrize(
    ("num_episodes", "num_tasks", "known", "error"), [(10, 2_500, 162.8, 0.3), (25, 1_200, 459.6, 0.6)]
)
def test_beb(num_episodes, num_tasks, known, error):
    mean, own_error = estimate(yardstick(RandomMDP(num_episodes=num_episodes), "BEB"), num_tasks)
    assert own_error < 0.003 * known
    assert abs(mean - known) < 3 * np.hypot(own_error, error)


def test_published_psrl_has_a_prior_of_mean_zero():
    mean, own_error = estimate(yardstick(RandomMDP(), "PSRL"), 2_000)
    assert own_error < 0.004 * 138.4
    assert abs(mean - 138.4) < 3 * np.hypot(own_error, 0.2)


@pytest.mark.slow
def test_psrl_with_the_right_prior_is_another_policy():
    family = RandomMDP()
    right = PSRL(MDPPrior(family.num_states, family.num_actions), family.horizon)
    reference = PolicyYardstick("PSRL, right prior", right, family.env, family.budget, family.num_episodes)
    mean, own_error = estimate(reference, 2_000)
    assert mean < 138.4 - 3 * np.hypot(own_error, 0.2)


def test_random():
    # Every step is worth 1 on average, whatever the state.
    total = totals(yardstick(RandomMDP(), "random"), tasks_of(4_000))
    assert abs(total.mean() - 100.0) < 3 * standard_error(total)


@pytest.mark.slow
def test_order_of_the_references():
    total = [totals(reference, tasks_of(1_000)) for reference in RandomMDP().yardsticks()]
    by_name = dict(zip((reference.name for reference in RandomMDP().yardsticks()), total, strict=True))
    for worse, better in (("random", "PSRL"), ("PSRL", "greedy"), ("greedy", "BEB"), ("BEB", "MDP known")):
        lead = by_name[better] - by_name[worse]
        assert lead.mean() > 3 * standard_error(lead)
