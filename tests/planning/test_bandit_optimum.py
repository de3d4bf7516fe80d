"""The exact Bayes optimum of small Bernoulli bandits."""

import functools
import itertools

import numpy as np
import pytest

from quickstudy.errors import InvalidArgument
from quickstudy.planning.bandit_optimum import bayes_optimal_return, num_beliefs
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
