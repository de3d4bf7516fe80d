"""Expectations of piecewise linear functions under a normal."""

import numpy as np
from scipy.stats import norm

from quickstudy.planning.piecewise_linear import expected_value


def test_one_kink_has_the_known_closed_form():
    # f(x) = 2 max(0, x): E f = 2 (μ Φ(μ/σ) + σ φ(μ/σ)).
    means = np.array([-1.0, 0.0, 2.0])
    got = expected_value(np.array([0.0, 0.0, 2.0]), np.array([-1.0, 0.0, 1.0]), means, 0.5)
    np.testing.assert_allclose(got, 2 * (means * norm.cdf(means / 0.5) + 0.5 * norm.pdf(means / 0.5)), rtol=1e-12)


def test_agrees_with_quadrature():
    rng = np.random.default_rng(0)
    knots = np.sort(rng.normal(size=8))
    values = np.concatenate([np.zeros((3, 1)), rng.normal(size=(3, 7))], axis=1)
    x = np.linspace(-12, 12, 200_001)
    slope = (values[:, -1] - values[:, -2]) / (knots[-1] - knots[-2])
    for row, last, got in zip(values, slope, expected_value(values, knots, np.array([0.3, -2.0]), 0.7), strict=True):
        f = np.interp(x, knots, row) + last * np.maximum(x - knots[-1], 0)
        for mean, expectation in zip((0.3, -2.0), got, strict=True):
            assert abs(np.trapezoid(f * norm.pdf(x, mean, 0.7), x) - expectation) < 1e-6
