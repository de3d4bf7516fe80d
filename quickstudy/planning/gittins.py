"""Gittins indices of Bernoulli and Gaussian arms.

The index of an arm is the rate λ at which an agent would be indifferent between pulling the arm (and stopping when it
likes) and not pulling it at all::

    D(b; λ) = μ(b) − λ + γ E[V(b'; λ)],    V(b; λ) = max(0, D(b; λ)),    index(b) = the λ with D(b; λ) = 0

where b is what is known of the arm, μ its posterior mean and b' what will be known after one more pull. With γ < 1 and
an endless horizon, pulling the arm of highest index is Bayes-optimal (Gittins 1979). With m pulls left and γ = 1 the
index policy is not exactly optimal, but within a few thousandths of it.

Computed once on the host, in double precision; the tables are what `quickstudy.algorithms.baselines.gittins` acts by.
"""

import functools

import numpy as np

from quickstudy.errors import InvalidArgument, require_positive
from quickstudy.planning.piecewise_linear import expected_value


def discounted_gittins_index(alpha: float, beta: float, gamma: float, *, tolerance: float = 1e-6) -> float:
    """The infinite-horizon index of an arm with posterior Beta(alpha, beta) and discount ``gamma``.

    Bisection on λ; each value function is a dynamic program as deep as it takes for what lies beyond to be worth less
    than ``tolerance``, where the arm is taken as known. Published values for Beta(1, 1): .7029 (γ = .9),
    .7614 (.95), .8699 (.99).

    Raises:
        InvalidArgument: alpha or beta is not positive, or gamma not in (0, 1).
    """
    if not (alpha > 0 and beta > 0):
        raise InvalidArgument(f"alpha and beta must be positive, got {alpha} and {beta}")
    if not 0 < gamma < 1:
        raise InvalidArgument(f"gamma must lie strictly between 0 and 1, got {gamma}")
    depth = int(np.ceil(np.log(tolerance * (1 - gamma)) / np.log(gamma)))
    low, high = alpha / (alpha + beta), 1.0
    while high - low > tolerance:
        rate = (low + high) / 2
        if _advantage_of_pulling(alpha, beta, gamma, rate, depth) > 0:
            low = rate
        else:
            high = rate
    return (low + high) / 2


def _advantage_of_pulling(alpha: float, beta: float, gamma: float, rate: float, depth: int) -> float:
    """D(b; λ) at the root of a tree of ``depth`` pulls, layer by layer from its leaves."""
    successes = np.arange(depth + 1)
    mean = (alpha + successes) / (alpha + beta + depth)
    advantage = (mean - rate) / (1 - gamma)
    for pulls in range(depth - 1, -1, -1):
        value = np.maximum(advantage, 0)
        mean = (alpha + successes[: pulls + 1]) / (alpha + beta + pulls)
        advantage = mean - rate + gamma * (mean * value[1:] + (1 - mean) * value[:-1])
    return float(advantage[0])


@functools.cache
def bernoulli_gittins_table(num_pulls: int, *, num_rates: int = 257) -> np.ndarray:
    """Undiscounted finite-horizon indices of every Bernoulli arm that a trial of ``num_pulls`` can meet.

    The prior of the arm's mean is uniform. One dynamic program serves all arms, for ``num_rates`` values of λ at a
    time; D is piecewise linear in λ, and its root is interpolated between two of them.

    Returns:
        ``[m, successes, failures]``, float64 ``[num_pulls + 1, num_pulls, num_pulls]``: the index with m pulls left.
        Where ``m + successes + failures > num_pulls``, or m is 0, it holds the posterior mean.

    Raises:
        InvalidArgument: num_pulls is not positive.
    """
    require_positive(num_pulls=num_pulls)
    rates = np.linspace(0.0, 1.0, num_rates)
    successes, failures = np.meshgrid(np.arange(num_pulls), np.arange(num_pulls), indexing="ij")
    mean = (successes + 1) / (successes + failures + 2)
    table = np.repeat(mean[None], num_pulls + 1, axis=0)
    value = np.zeros((num_pulls + 1, num_pulls + 1, num_rates))
    for left in range(1, num_pulls + 1):
        size = num_pulls - left + 1
        p = mean[:size, :size, None]
        advantage = p - rates + p * value[1:, :-1] + (1 - p) * value[:-1, 1:]
        reachable = successes[:size, :size] + failures[:size, :size] < size
        table[left, :size, :size][reachable] = _root(rates, advantage[reachable])
        value = np.maximum(advantage, 0)
    table.setflags(write=False)
    return table


@functools.cache
def normal_gittins_offsets(num_pulls: int, prior_std: float, noise_std: float, *, num_knots: int = 201) -> np.ndarray:
    """How far the undiscounted finite-horizon index of a Gaussian arm lies above its posterior mean.

    A shift of all rewards shifts the index, so it is the posterior mean plus a bonus that depends on the number of
    pulls seen and left alone. V as a function of the posterior mean is convex, and kept as a piecewise linear function
    on ``num_knots`` knots, whose expectation over the next posterior mean has a closed form.

    Args:
        num_pulls: pulls in a trial.
        prior_std: standard deviation of the arm's mean under the prior.
        noise_std: standard deviation of a reward around the arm's mean.
        num_knots: resolution.

    Returns:
        ``[m, c]``, float64 ``[num_pulls + 1, num_pulls]``: the bonus with m pulls left after c pulls of the arm, in
        units of reward; 0 where ``m + c > num_pulls``, or m is 0.

    Raises:
        InvalidArgument: num_pulls is not positive, or one of the standard deviations is not.
    """
    require_positive(num_pulls=num_pulls)
    if not (prior_std > 0 and noise_std > 0):
        raise InvalidArgument(f"prior_std and noise_std must be positive, got {prior_std} and {noise_std}")
    variance = 1 / (1 / prior_std**2 + np.arange(num_pulls + 1) / noise_std**2)
    # Six posterior standard deviations to either side: beyond, V is linear (or 0) to double precision.
    units = np.linspace(-6.0, 6.0, num_knots)
    offsets = np.zeros((num_pulls + 1, num_pulls))
    value = np.zeros((1, num_knots))
    for pulls in range(num_pulls - 1, -1, -1):
        mean, next_mean = units * np.sqrt(variance[pulls]), units * np.sqrt(variance[pulls + 1])
        spread = float(np.sqrt(variance[pulls] - variance[pulls + 1]))
        advantage = mean + expected_value(value, next_mean, mean, spread)
        offsets[1 : len(advantage) + 1, pulls] = _root(-mean[::-1], advantage[:, ::-1])
        value = np.concatenate([np.zeros((1, num_knots)), np.maximum(advantage, 0)])
    offsets.setflags(write=False)
    return offsets


def _root(x: np.ndarray, falling: np.ndarray) -> np.ndarray:
    """Where functions of increasing ``x``, falling through 0 along the last axis, are 0; by linear interpolation."""
    left = np.clip(np.sum(falling > 0, axis=-1) - 1, 0, len(x) - 2)
    y_left, y_right = (np.take_along_axis(falling, i[..., None], axis=-1)[..., 0] for i in (left, left + 1))
    return x[left] + (x[left + 1] - x[left]) * y_left / (y_left - y_right)
