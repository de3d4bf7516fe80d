"""What the code of a task says of the task: how much of it a linear function of the code explains."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from quickstudy.statistics import mean_estimate

RIDGE = 1e-3
"""Of the regression, on codes of standard deviation 1."""
NUM_FOLDS = 5
MIN_TASKS = 3
"""Tasks for every number of the code, at least: with fewer the fit is to chance."""
VARIES = 1e-6
"""A number of less standard deviation is the same in all tasks."""


def probe(
    codes: Float[np.ndarray, "S K C"],
    features: Float[np.ndarray, "K F"],
    names: Sequence[str] = (),
    *,
    confidence: float = 0.95,
) -> dict[str, Any] | None:
    """Cross-validated R² of a linear probe: what is said of each task is said by a fit to others.

    Args:
        codes: what the agent of each of S seeds knows of K tasks, as C numbers.
        features: the F numbers that there are to know.
        names: of the features; without them they are called by their place, from 1.
        confidence: of the intervals over seeds.

    Returns:
        ``r_squared``, the mean over the V features that differ between tasks; ``by_feature``, each of them, with its
        ``name``; and ``num_folds``. None where no feature differs, where there is no code or it is not finite, or where
        there are fewer than `MIN_TASKS` tasks for each of its numbers.
    """
    num_tasks, num_numbers = codes.shape[1:]
    varies, enough = features.std(0) > VARIES, num_tasks >= max(MIN_TASKS * num_numbers, 2 * NUM_FOLDS)
    if not (num_numbers and enough and varies.any() and np.isfinite(codes).all()):
        return None
    fold = np.arange(num_tasks) % NUM_FOLDS
    said = np.empty((len(codes), num_tasks, int(varies.sum())))
    for seed, of_seed in enumerate(codes):
        for held in range(NUM_FOLDS):
            out = fold == held
            said[seed, out] = linear_probe(of_seed[~out], features[~out][:, varies], of_seed[out])
    by_feature = np.stack([r_squared(one, features[:, varies]) for one in said])
    known = [names[i] if names else str(i + 1) for i in np.flatnonzero(varies).tolist()]
    estimates = [mean_estimate(column[:, None], confidence) for column in by_feature.T]
    return {
        "num_folds": NUM_FOLDS,
        "r_squared": mean_estimate(by_feature.mean(1)[:, None], confidence),
        "by_feature": [{"name": name, **estimate} for name, estimate in zip(known, estimates, strict=True)],
    }


def linear_probe(
    fitted_codes: Float[np.ndarray, "K C"], fitted_features: Float[np.ndarray, "K F"], codes: Float[np.ndarray, "J C"]
) -> Float[np.ndarray, "J F"]:
    """What J codes say of F numbers, by a ridge regression on K others."""
    centre, scale = fitted_codes.mean(0), fitted_codes.std(0)
    scale = np.where(scale > VARIES, scale, 1.0)
    x, middle = (fitted_codes - centre) / scale, fitted_features.mean(0)
    weights = np.linalg.solve(x.T @ x + RIDGE * len(x) * np.eye(x.shape[1]), x.T @ (fitted_features - middle))
    return (codes - centre) / scale @ weights + middle


def r_squared(said: Float[np.ndarray, "K F"], true: Float[np.ndarray, "K F"]) -> Float[np.ndarray, " F"]:
    """1 where ``said`` is ``true`` in all K tasks, 0 where it is as far from it as the mean of the K tasks is."""
    return 1.0 - np.square(true - said).sum(0) / np.square(true - true.mean(0)).sum(0)
