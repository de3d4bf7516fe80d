"""The reference policies of bandits against the numbers that are known for them."""

import functools

import jax
import numpy as np
import pytest
from simulation import standard_error, totals, yardstick

from quickstudy.envs.bandit import BernoulliBandit, GaussianBandit

NUM_TASKS = {10: 20_000, 100: 4_000}


@functools.cache
def known_and_total(num_pulls, num_arms, name):
    """Totals of the best arm known, and of a policy in the same tasks."""
    family = BernoulliBandit(num_arms, num_pulls)
    tasks = family.tasks("test").batch(NUM_TASKS[num_pulls], key=jax.random.key(0))
    return totals(yardstick(family, "best arm known"), tasks), totals(yardstick(family, name), tasks)


def estimate(num_pulls, num_arms, name):
    """Mean total of a policy and its standard error.

    The mean of the best of k uniform arms is known, k / (k + 1), so the part of a policy's total that follows the best
    arm can be taken out (a control variate).
    """
    known, total = known_and_total(num_pulls, num_arms, name)
    slope = np.cov(known, total)[0, 1] / known.var()
    controlled = total - slope * (known - num_pulls * num_arms / (num_arms + 1))
    return controlled.mean(), standard_error(controlled)


CELLS = [(10, 5, 8.333), (10, 10, 9.091), (100, 5, 83.33), (100, 10, 90.91)]


@pytest.mark.parametrize(("num_pulls", "num_arms", "exact"), CELLS)
def test_best_arm_known(num_pulls, num_arms, exact):
    family = BernoulliBandit(num_arms, num_pulls)
    tasks = family.tasks("test").batch(40_000, key=jax.random.key(1))
    total = totals(yardstick(family, "best arm known"), tasks)
    assert abs(total.mean() - exact) < 3 * standard_error(total) + 0.005


@pytest.mark.parametrize(
    ("num_pulls", "num_arms", "exact", "error"),
    [(10, 5, 6.660, 0.0), (10, 10, 6.714, 0.0), (100, 5, 78.74, 0.05), (100, 10, 83.85, 0.04)],
)
def test_gittins(num_pulls, num_arms, exact, error):
    mean, own_error = estimate(num_pulls, num_arms, "Gittins")
    assert own_error < 0.0025 * exact
    assert abs(mean - exact) < 3 * np.hypot(own_error, error)


@pytest.mark.parametrize(
    ("name", "published"), [("random", 5.0), ("greedy", 6.6), ("ε-greedy", 6.6), ("Thompson", 5.7), ("UCB1", 6.7)]
)
def test_published_policies_of_ten_pulls(name, published):
    # The published cells average 1,000 tasks, so their standard error is about .08.
    mean, own_error = estimate(10, 5, name)
    assert abs(mean - published) < 3 * np.hypot(own_error, 0.08)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("num_arms", "name", "published"),
    [
        (5, "random", 49.9),
        (5, "greedy", 74.8),
        (5, "ε-greedy", 75.4),
        (5, "Thompson", 74.7),
        (5, "UCB1", 78.0),
        (10, "greedy", 77.1),
        (10, "ε-greedy", 77.4),
        (10, "Thompson", 76.7),
        (10, "UCB1", 82.4),
    ],
)
def test_published_policies_of_a_hundred_pulls(num_arms, name, published):
    mean, own_error = estimate(100, num_arms, name)
    assert abs(mean - published) < 3 * np.hypot(own_error, 0.5)


def test_no_policy_beats_the_bayes_optimum():
    best = BernoulliBandit(5, 10).bayes_optimal_return()
    for name in ("greedy", "ε-greedy", "Thompson", "UCB1", "Gittins"):
        mean, own_error = estimate(10, 5, name)
        assert mean < best + 3 * own_error


@pytest.mark.parametrize("name", ["UCB1", pytest.param("greedy", marks=pytest.mark.slow)])
def test_gaussian_index_beats_other_policies(name):
    family = GaussianBandit(num_arms=5, num_pulls=20)
    tasks = family.tasks("test").batch(10_000, key=jax.random.key(0))
    lead = totals(yardstick(family, "Gittins"), tasks) - totals(yardstick(family, name), tasks)
    assert lead.mean() > 3 * standard_error(lead)


def test_gaussian_index_is_all_but_optimal_for_two_arms():
    # The mean of the better of two standard normal arms is 1/√π.
    family, num_tasks = GaussianBandit(num_arms=2, num_pulls=10), 50_000
    tasks = family.tasks("test").batch(num_tasks, key=jax.random.key(0))
    known, total = totals(yardstick(family, "best arm known"), tasks), totals(yardstick(family, "Gittins"), tasks)
    slope = np.cov(known, total)[0, 1] / known.var()
    controlled = total - slope * (known - 10 / np.sqrt(np.pi))
    assert standard_error(controlled) < 0.02
    assert abs(controlled.mean() - family.bayes_optimal_return()) < 3 * standard_error(controlled)
