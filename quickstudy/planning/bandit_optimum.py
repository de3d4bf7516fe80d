"""The exact Bayes-optimal value of small bandits: the number that no policy can beat on average."""

import functools
import itertools
import math

import numpy as np

from quickstudy.errors import InvalidArgument, require_positive
from quickstudy.planning.piecewise_linear import expected_value

MAX_BELIEFS = 1_000_000
Belief = tuple[tuple[int, int], ...]


@functools.cache
def bayes_optimal_return(num_arms: int, num_pulls: int) -> float:
    """Expected total reward of the best possible policy, for arm means drawn from U[0, 1].

    Dynamic programming over beliefs. What is known of an arm are its counts of successes and failures, and arms with
    equal counts are interchangeable, so a belief is a sorted tuple of such pairs::

        V(b) = max_i  p_i (1 + V(b + success of i)) + (1 − p_i) V(b + failure of i),   p_i = (s_i + 1) / (s_i + f_i + 2)

    Raises:
        InvalidArgument: num_arms is below 2, num_pulls below 1, or there are more than `MAX_BELIEFS` beliefs.
    """
    require_positive(num_pulls=num_pulls)
    if num_arms < 2:
        raise InvalidArgument(f"num_arms must be at least 2, got {num_arms}")
    beliefs = itertools.accumulate(num_beliefs(num_arms, pulls) for pulls in range(num_pulls))
    if any(count > MAX_BELIEFS for count in beliefs):
        raise InvalidArgument(
            f"num_arms={num_arms}, num_pulls={num_pulls} has more than {MAX_BELIEFS:,} beliefs, too many for exact "
            "planning: take fewer arms or pulls, or the finite-horizon Gittins policy, which is near-optimal"
        )

    @functools.cache
    def value(belief: Belief, pulls_left: int) -> float:
        if pulls_left == 1:
            return max((s + 1) / (s + f + 2) for s, f in belief)
        best = 0.0
        for i, (s, f) in enumerate(belief):
            if i and belief[i] == belief[i - 1]:
                continue
            others = belief[:i] + belief[i + 1 :]
            p = (s + 1) / (s + f + 2)
            success = value(tuple(sorted((*others, (s + 1, f)))), pulls_left - 1)
            failure = value(tuple(sorted((*others, (s, f + 1)))), pulls_left - 1)
            best = max(best, p * (1 + success) + (1 - p) * failure)
        return best

    return value(((0, 0),) * num_arms, num_pulls)


def num_beliefs(num_arms: int, num_pulls: int) -> int:
    """How many beliefs about ``num_arms`` interchangeable Bernoulli arms there are after ``num_pulls`` pulls."""
    return _num_beliefs(num_arms, num_pulls, num_pulls)


@functools.cache
def _num_beliefs(num_arms: int, num_pulls: int, most: int) -> int:
    """Those in which no arm has more than ``most`` pulls.

    With ``most`` pulls an arm has one of most + 1 counts; for r such arms that makes C(most + r, r) multisets.
    """
    if most == 0:
        return int(num_pulls == 0)
    shares = range(min(num_arms, num_pulls // most) + 1)
    return sum(math.comb(most + r, r) * _num_beliefs(num_arms - r, num_pulls - r * most, most - 1) for r in shares)


@functools.cache
def two_gaussian_arms_optimal_return(num_pulls: int, prior_std: float, noise_std: float) -> float:
    """Expected total reward of the best possible policy for two Gaussian arms with means drawn from N(0, prior_std²).

    Dynamic programming over beliefs: pulls c_1 and c_2 of the arms, and the difference d of their posterior means. Paid
    for every pull as if it had been of arm 2, whose posterior mean stays what it is on average, a pull of arm 1 earns d
    more. Pulling moves d by a normal step Z whose variance is what the pulled arm's posterior loses::

        W(d; c_1, c_2) = max(d + E W(d + Z_1; c_1 + 1, c_2),  E W(d + Z_2; c_1, c_2 + 1))

    W is convex in d and kept as a piecewise linear function. Its error falls with the square of the distance between
    knots, and is extrapolated away from two resolutions: 1e-4 of the noise is left for twenty pulls. The time grows
    with the square of the number of pulls, to some ten seconds for fifty.

    Raises:
        InvalidArgument: num_pulls is below 1, or one of the standard deviations not positive.
    """
    require_positive(num_pulls=num_pulls)
    if not (prior_std > 0 and noise_std > 0):
        raise InvalidArgument(f"prior_std and noise_std must be positive, got {prior_std} and {noise_std}")
    variance = 1 / (1 / prior_std**2 + np.arange(num_pulls + 1) / noise_std**2)
    coarse, fine = (_two_gaussian_arms(variance, num_knots) for num_knots in (201, 401))
    return (4 * fine - coarse) / 3


def _two_gaussian_arms(variance: np.ndarray, num_knots: int) -> float:
    """W(0; 0, 0), where ``variance`` is that of an arm's mean after 0, 1, …, n pulls."""
    num_pulls = len(variance) - 1
    # Eight standard deviations to either side: beyond, W is linear (or 0) to double precision. The middle is d = 0.
    units = np.linspace(-8.0, 8.0, num_knots)
    knots = lambda c_1, c_2: units * np.sqrt(variance[c_1] + variance[c_2])

    def best(c_1: int, c_2: int, later: dict[tuple[int, int], np.ndarray]) -> np.ndarray:
        d = knots(c_1, c_2)
        std_1, std_2 = (float(np.sqrt(variance[c] - variance[c + 1])) for c in (c_1, c_2))
        first = d + expected_value(later[c_1 + 1, c_2], knots(c_1 + 1, c_2), d, std_1)
        second = expected_value(later[c_1, c_2 + 1], knots(c_1, c_2 + 1), d, std_2)
        return np.maximum(first, second)

    values = {(c, num_pulls - c): np.zeros(num_knots) for c in range(num_pulls + 1)}
    for pulls in range(num_pulls - 1, -1, -1):
        values = {(c, pulls - c): best(c, pulls - c, values) for c in range(pulls + 1)}
    return float(values[0, 0][num_knots // 2])
