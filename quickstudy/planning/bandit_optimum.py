"""The exact Bayes-optimal value of small Bernoulli bandits: the number that no policy can beat on average."""

import functools
import itertools
import math

from quickstudy.errors import InvalidArgument, require_positive

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
