"""Estimates in which the training seed is the replicate."""

import numpy as np
import pytest
import scipy.stats

from quickstudy.statistics import both, iqm_estimate, mean_estimate


def test_the_interval_of_the_mean_is_students_over_seed_means():
    # Seed means 2, 4 and 9: mean 5, standard deviation √13, t(.975; 2) = 4.302653.
    estimate = mean_estimate(np.array([[1.0, 3.0], [4.0, 4.0], [8.0, 10.0]]), 0.95)
    reach = 4.302653 * np.sqrt(13) / np.sqrt(3)
    assert estimate["value"] == 5.0
    assert estimate["low"] == pytest.approx(5 - reach, rel=1e-6)
    assert estimate["high"] == pytest.approx(5 + reach, rel=1e-6)


def test_more_tasks_of_the_same_seeds_do_not_narrow_the_interval():
    scores = np.array([[1.0, 3.0], [4.0, 4.0], [8.0, 10.0]])
    repeated = np.tile(scores, (1, 50))
    assert mean_estimate(repeated, 0.95) == pytest.approx(mean_estimate(scores, 0.95))


@pytest.mark.parametrize("estimate", [mean_estimate, iqm_estimate])
def test_one_seed_has_no_interval(estimate):
    assert estimate(np.array([[1.0, 2.0, 3.0, 4.0]]), 0.95) == {"value": 2.5, "low": None, "high": None}


@pytest.mark.parametrize("estimate", [mean_estimate, iqm_estimate])
def test_scores_that_are_missing_are_left_out(estimate):
    with_gap = np.array([[1.0, np.nan, 3.0], [2.0, 4.0, np.nan]])
    without = np.array([[1.0, 3.0], [2.0, 4.0]])
    assert estimate(with_gap, 0.9) == estimate(without, 0.9)


def test_the_interquartile_mean_drops_a_quarter_at_either_end():
    # Of 0 … 7 the middle half is 2, 3, 4, 5; an outlier in the top quarter changes nothing.
    row = np.arange(8.0)
    wild = row.copy()
    wild[7] = 1e6
    assert iqm_estimate(np.stack([row, row]), 0.95)["value"] == 3.5
    assert iqm_estimate(np.stack([wild, wild]), 0.95)["value"] == 3.5
    assert mean_estimate(np.stack([wild, wild]), 0.95)["value"] > 1e5


def test_the_bootstrap_agrees_with_scipys_over_seeds():
    seeds = np.random.default_rng(1).normal(size=8)
    ours = iqm_estimate(np.repeat(seeds[:, None], 4, axis=1), 0.95)
    theirs = scipy.stats.bootstrap(
        (seeds,), np.mean, confidence_level=0.95, n_resamples=10_000, method="percentile", rng=np.random.default_rng(2)
    ).confidence_interval
    assert ours["value"] == pytest.approx(seeds.mean())
    assert ours["low"] == pytest.approx(theirs.low, abs=0.03)
    assert ours["high"] == pytest.approx(theirs.high, abs=0.03)


def test_equal_seeds_give_an_interval_of_no_width():
    estimate = both(np.tile(np.arange(4.0), (3, 1)), 0.95)
    assert estimate["mean"] == {"value": 1.5, "low": 1.5, "high": 1.5}
    assert estimate["iqm"] == {"value": 1.5, "low": 1.5, "high": 1.5}


def test_a_higher_confidence_is_a_wider_interval():
    scores = np.random.default_rng(0).normal(size=(6, 10))
    for estimate in (mean_estimate, iqm_estimate):
        narrow, wide = estimate(scores, 0.5), estimate(scores, 0.99)
        assert wide["low"] < narrow["low"] < narrow["value"] < narrow["high"] < wide["high"]
