"""Gittins indices against published tables, closed forms and an independent computation."""

import functools

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm

from quickstudy.errors import InvalidArgument
from quickstudy.planning.gittins import bernoulli_gittins_table, discounted_gittins_index, normal_gittins_offsets


@pytest.mark.parametrize(("gamma", "published"), [(0.9, 0.7029), (0.95, 0.7614), (0.99, 0.8699)])
def test_discounted_index_of_a_fresh_arm(gamma, published):
    assert abs(discounted_gittins_index(1.0, 1.0, gamma) - published) < 5.1e-5


@pytest.mark.parametrize(("left", "published"), [(10, 0.698), (20, 0.757), (50, 0.826), (100, 0.868)])
def test_finite_horizon_index_of_a_fresh_arm(left, published):
    assert abs(bernoulli_gittins_table(100)[left, 0, 0] - published) < 6e-4


def test_a_known_arm_is_worth_its_mean():
    assert discounted_gittins_index(7e5, 3e5, 0.9) == pytest.approx(0.7, abs=1e-4)


def test_the_last_pull_is_worth_the_posterior_mean():
    table = bernoulli_gittins_table(20)
    successes, failures = np.meshgrid(np.arange(20), np.arange(20), indexing="ij")
    np.testing.assert_allclose(table[1], (successes + 1) / (successes + failures + 2), atol=1e-12)


def test_two_pulls_by_hand():
    # 1/2 − λ + 1/2 (2/3 − λ) = 0 for a fresh arm, 2/3 − λ + 2/3 (3/4 − λ) = 0 after a success, and so on.
    for s, f in ((0, 0), (1, 0), (0, 1), (3, 2)):
        p, again = (s + 1) / (s + f + 2), (s + 2) / (s + f + 3)
        assert bernoulli_gittins_table(20)[2, s, f] == pytest.approx(p * (1 + again) / (1 + p), abs=1e-9)


def test_every_pull_left_adds_to_the_value_of_finding_out():
    table = bernoulli_gittins_table(40)
    for s, f in ((0, 0), (2, 1), (0, 7), (5, 5)):
        assert np.all(np.diff(table[1 : 41 - s - f, s, f]) > 0)


def test_table_agrees_with_exact_root_finding():
    def advantage(rate, successes, failures, left):
        @functools.cache
        def value(s, f, m):
            if m == 0:
                return 0.0
            p = (s + 1) / (s + f + 2)
            return max(0.0, p - rate + p * value(s + 1, f, m - 1) + (1 - p) * value(s, f + 1, m - 1))

        p = (successes + 1) / (successes + failures + 2)
        success, failure = value(successes + 1, failures, left - 1), value(successes, failures + 1, left - 1)
        return p - rate + p * success + (1 - p) * failure

    table = bernoulli_gittins_table(30)
    for s, f, m in ((0, 0, 30), (1, 3, 20), (6, 0, 24), (4, 9, 5), (0, 20, 10)):
        assert table[m, s, f] == pytest.approx(brentq(advantage, 0, 1, args=(s, f, m)), abs=1e-3)


def test_what_a_trial_cannot_meet_holds_the_posterior_mean():
    table = bernoulli_gittins_table(5)
    assert table.shape == (6, 5, 5)
    assert table[0, 0, 0] == 0.5
    assert table[4, 2, 1] == pytest.approx(3 / 5)


def test_normal_offset_of_two_pulls_has_a_closed_form():
    prior_std, noise_std = 1.5, 0.7
    offsets = normal_gittins_offsets(5, prior_std, noise_std)
    for pulls in range(3):
        variance = [1 / (1 / prior_std**2 + c / noise_std**2) for c in (pulls, pulls + 1)]
        spread = np.sqrt(variance[0] - variance[1])
        advantage = lambda x, s=spread: x + s * (x / s * norm.cdf(x / s) + norm.pdf(x / s))
        assert offsets[2, pulls] == pytest.approx(-brentq(advantage, -5, 0), abs=2e-3 * prior_std)


def test_normal_offsets_grow_with_pulls_left_and_fall_with_pulls_made():
    offsets = normal_gittins_offsets(30, 1.0, 1.0)
    np.testing.assert_allclose(offsets[1], 0, atol=1e-12)
    assert np.all(np.diff(offsets[1:, 0]) > 0)
    assert np.all(np.diff(offsets[10, :20]) < 0)
    assert not offsets[20, 11:].any()


def test_normal_offsets_scale_with_the_unit_of_reward():
    np.testing.assert_allclose(
        normal_gittins_offsets(10, 3.0, 6.0), 3.0 * normal_gittins_offsets(10, 1.0, 2.0), rtol=1e-9, atol=1e-12
    )


def test_normal_offsets_have_converged_in_their_resolution():
    coarse, fine = normal_gittins_offsets(20, 1.0, 1.0), normal_gittins_offsets(20, 1.0, 1.0, num_knots=801)
    assert np.abs(coarse - fine).max() < 2e-3


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: discounted_gittins_index(0.0, 1.0, 0.9), "alpha and beta must be positive, got 0.0 and 1.0"),
        (lambda: discounted_gittins_index(1.0, 1.0, 1.0), "gamma must lie strictly between 0 and 1, got 1.0"),
        (lambda: bernoulli_gittins_table(0), "num_pulls must be a whole number of at least 1, got 0"),
        (lambda: normal_gittins_offsets(5, -1.0, 1.0), "prior_std and noise_std must be positive"),
    ],
)
def test_bad_values_are_refused(call, message):
    with pytest.raises(InvalidArgument, match=message):
        call()
