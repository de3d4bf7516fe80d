"""The exact Bayes optimum of small Bernoulli bandits."""

import functools
import itertools

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from quickstudy.errors import InvalidArgument
from quickstudy.planning.bandit_optimum import bayes_optimal_return, num_beliefs, two_gaussian_arms_optimal_return
from quickstudy.planning.gittins import bernoulli_gittins_table


@pytest.mark.parametrize(
    ("num_arms", "num_pulls", "known", "digits"),
    [
        (5, 10, 6.660, 3),
        (10, 10, 6.714, 3),
        (2, 10, 6.02179, 5),
        (2, 20, 12.43126, 5),
        (2, 50, 31.99671, 5),
        (3, 20, 13.46583, 5),
        pytest.param(5, 20, 14.28734, 5, marks=pytest.mark.slow),
    ],
)
def test_known_values(num_arms, num_pulls, known, digits):
    assert round(bayes_optimal_return(num_arms, num_pulls), digits) == known


def test_two_pulls_by_hand():
    # A success (1/2) makes the arm worth 2/3; after a failure the other arm is worth 1/2.
    assert bayes_optimal_return(2, 1) == 0.5
    assert bayes_optimal_return(2, 2) == pytest.approx(1 / 2 + 1 / 2 * 2 / 3 + 1 / 2 * 1 / 2)
    assert bayes_optimal_return(7, 2) == bayes_optimal_return(2, 2)


def test_number_of_beliefs_agrees_with_enumeration():
    for num_arms, num_pulls in ((2, 3), (3, 4), (4, 2), (2, 5)):
        counts = itertools.product(range(num_pulls + 1), repeat=2 * num_arms)
        pairs = (tuple(sorted(zip(c[::2], c[1::2], strict=True))) for c in counts if sum(c) == num_pulls)
        assert num_beliefs(num_arms, num_pulls) == len(set(pairs))


def test_the_index_policy_is_within_three_thousandths_of_the_optimum():
    num_pulls = 20
    table = bernoulli_gittins_table(num_pulls)

    @functools.cache
    def value(arms, left):
        if left == 0:
            return 0.0
        chosen = int(np.argmax([table[left, s, f] for s, f in arms]))
        s, f = arms[chosen]
        p = (s + 1) / (s + f + 2)
        after = lambda arm: tuple(sorted((*arms[:chosen], arm, *arms[chosen + 1 :])))
        return p * (1 + value(after((s + 1, f)), left - 1)) + (1 - p) * value(after((s, f + 1)), left - 1)

    shortfall = bayes_optimal_return(2, num_pulls) - value(((0, 0),) * 2, num_pulls)
    assert 0 <= shortfall < 0.003


def test_two_gaussian_arms_by_hand():
    # The first pull is worth 0, the second the better of 0 and the first arm's posterior mean, N(0, s²).
    prior_std, noise_std = 1.5, 0.8
    spread = prior_std**2 / np.sqrt(prior_std**2 + noise_std**2)
    assert two_gaussian_arms_optimal_return(1, prior_std, noise_std) == pytest.approx(0, abs=1e-12)
    value = two_gaussian_arms_optimal_return(2, prior_std, noise_std)
    assert value == pytest.approx(spread / np.sqrt(2 * np.pi), abs=1e-9)


def test_two_gaussian_arms_scale_with_the_unit_of_reward():
    value = two_gaussian_arms_optimal_return(5, 1.0, 2.0)
    assert two_gaussian_arms_optimal_return(5, 3.0, 6.0) == pytest.approx(3 * value, rel=1e-9)


def test_two_gaussian_arms_without_noise_are_known_after_one_pull_each():
    # Of the first pull nothing is known; if it is bad the second arm is tried, and the better one is kept.
    num_pulls, value = 12, two_gaussian_arms_optimal_return(12, 1.0, 1e-3)
    threshold = brentq(lambda x: (num_pulls - 1) * x - (num_pulls - 2) * (norm.pdf(x) + x * norm.cdf(x)), -5, 5)
    draws = np.linspace(-9, 9, 20_001)
    kept = (num_pulls - 1) * draws
    tried = (num_pulls - 2) * (norm.pdf(draws) + draws * norm.cdf(draws))
    expected = np.trapezoid(np.where(draws > threshold, kept, tried) * norm.pdf(draws), draws)
    assert value == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(
    ("num_arms", "num_pulls", "message"),
    [
        (1, 5, "num_arms must be at least 2, got 1"),
        (2, 0, "num_pulls must be a whole number of at least 1, got 0"),
        (5, 100, "num_arms=5, num_pulls=100 has more than 1,000,000 beliefs"),
        (2, 100_000, "too many for exact planning"),
    ],
)
def test_what_cannot_be_planned_is_refused(num_arms, num_pulls, message):
    with pytest.raises(InvalidArgument, match=message):
        bayes_optimal_return(num_arms, num_pulls)
