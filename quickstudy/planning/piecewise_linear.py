"""Convex value functions of a posterior mean, kept as piecewise linear functions."""

import numpy as np
from scipy.special import ndtr


def expected_value(values: np.ndarray, knots: np.ndarray, means: np.ndarray, std: float) -> np.ndarray:
    """Expectations ``E[f(X)]`` of piecewise linear functions for normal X, in closed form.

    f is 0 left of the knots, linear between them, and goes on with its last slope to their right, so that
    ``f(x) = Σ_j c_j max(0, x − knot_j)`` with c_j the change of slope at knot j, and
    ``E[max(0, X − knot)] = std · (z Φ(z) + φ(z))`` with ``z = (mean − knot) / std``.

    Args:
        values: of one function a row at the knots, ``[..., G]``.
        knots: increasing, ``[G]``.
        means: of X, ``[M]``.
        std: of X.

    Returns:
        ``[..., M]``.
    """
    slopes = np.diff(values, axis=-1) / np.diff(knots)
    changes = np.diff(slopes, axis=-1, prepend=0.0)
    z = (means[None, :] - knots[:-1, None]) / std
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return changes @ (std * (z * ndtr(z) + density))
