"""Point estimates and intervals in which the training seed is the replicate.

Episodes and tasks of one training run share its luck, so they are averaged first: what is resampled is whole seeds.
"""

from typing import TypedDict

import numpy as np
import scipy.stats
from jaxtyping import Float


class Estimate(TypedDict):
    """A value with the ends of its confidence interval; None where one seed gives no interval."""

    value: float
    low: float | None
    high: float | None


def mean_estimate(scores: Float[np.ndarray, "S K"], confidence: float) -> Estimate:
    """Mean over seeds and tasks, with Student's t interval over the S seed means. NaN scores are left out."""
    seeds = np.nanmean(scores, axis=1)
    value, num_seeds = float(seeds.mean()), len(seeds)
    if num_seeds < 2:
        return Estimate(value=value, low=None, high=None)
    reach = scipy.stats.t.ppf(0.5 + confidence / 2, num_seeds - 1) * seeds.std(ddof=1) / np.sqrt(num_seeds)
    return Estimate(value=value, low=float(value - reach), high=float(value + reach))


def iqm_estimate(scores: Float[np.ndarray, "S K"], confidence: float) -> Estimate:
    """Interquartile mean (Agarwal et al. 2021), with a bootstrap interval stratified by task.

    All seeds see the same tasks, so a resample takes whole seeds, the same ones in every task's stratum: the mean of
    the middle half of each seed's tasks, averaged over the resampled seeds (percentile interval, 10,000 resamples).
    """
    seeds = np.array([scipy.stats.trim_mean(row[~np.isnan(row)], 0.25) for row in scores])
    value, num_seeds = float(seeds.mean()), len(seeds)
    if num_seeds < 2:
        return Estimate(value=value, low=None, high=None)
    picks = np.random.default_rng(0).integers(num_seeds, size=(10_000, num_seeds))
    low, high = np.quantile(seeds[picks].mean(axis=1), [0.5 - confidence / 2, 0.5 + confidence / 2])
    return Estimate(value=value, low=float(low), high=float(high))


def both(scores: Float[np.ndarray, "S K"], confidence: float) -> dict[str, Estimate]:
    """`mean_estimate` (what published tables print) beside `iqm_estimate`."""
    return {"mean": mean_estimate(scores, confidence), "iqm": iqm_estimate(scores, confidence)}
