"""The Bayes-optimal search of a grid for a goal that stays where it is from episode to episode.

Moves are deterministic and only the goal's cell pays, so until the goal is found an agent learns nothing but which
cells are empty, and its best policy is a fixed path. From then on the best is known: stay for the rest of the episode,
and go straight to the goal in every later one. Finding cell c, at distance d from the start, with step t of episode e
(from 0) therefore loses, against knowing it from the beginning and in units of goal reward minus step reward::

    loss(c, e, t) = e · (H + 1 − d)  +  (t − d)          (e = E, t = d if it is never found)

with H steps an episode and E episodes. The path of least total loss over all candidates is the exact optimum under a
uniform prior. `optimal_sweep` finds it by iterative deepening on the loss, a depth-first search over (episode, step,
cell, cells not yet visited) that remembers failed states. Its lower bound for what is still to come: relative to
being found without detour in the next episode, finding any cell at step t of this one gains H + 1 − t; a step finds
at most one cell and none sooner than it can be reached, so filling every step with any cell reachable by then bounds
the gain; and of the cells left over, one for each distance from the start can be found without detour.
"""

import functools
import sys
from typing import NamedTuple

import numpy as np

from quickstudy.envs.grid_geometry import MOVES

MAX_STATES = 100_000
"""States after which `optimal_sweep` gives up: seconds."""
MAX_CANDIDATES = 64
"""Candidates beyond which it does not begin: the search recurses once a step."""


class Sweep(NamedTuple):
    """An optimal search path.

    Attributes:
        actions: one a step, over all episodes; once every cell is visited, stay.
        loss: total over all candidates, in units of goal reward minus step reward.
    """

    actions: tuple[int, ...]
    loss: int


@functools.lru_cache(maxsize=32)
def optimal_sweep(size: int, start: int, candidates: tuple[int, ...], horizon: int, num_episodes: int) -> Sweep | None:
    """The Bayes-optimal search path for a goal uniform over ``candidates``.

    Args:
        size: cells along one side of the grid; a cell is numbered ``x + size · y``.
        start: where every episode begins.
        candidates: cells that may hold the goal; one out of reach in an episode plays no part.
        horizon: steps in an episode.
        num_episodes: episodes in which to search, and to profit from what was found.

    Returns:
        The path, proven optimal, or None if the proof takes more than `MAX_STATES` states.
    """
    if len(candidates) > MAX_CANDIDATES:
        return None
    search = _Search(size, start, candidates, horizon, num_episodes)
    while not search.visit(0, 0, start, search.everywhere, 0):
        if search.num_states > MAX_STATES:
            return None
        search.deepen()
    actions = search.actions + [0] * (horizon * num_episodes - len(search.actions))
    return Sweep(tuple(actions), search.limit)


class _Search:
    """Depth-first search for a path whose loss is at most ``limit``. Sets of cells are the bits of an integer."""

    def __init__(self, size: int, start: int, candidates: tuple[int, ...], horizon: int, num_episodes: int):
        x, y = np.arange(size * size) % size, np.arange(size * size) // size
        away = np.abs(x[:, None] - x) + np.abs(y[:, None] - y)
        away = np.maximum(away, 1)  # a cell is judged after a move, so that standing on it takes a step too
        self.horizon, self.num_episodes, self.start = horizon, num_episodes, start
        self.from_start = away[start].tolist()
        self.successors = [_successors(cell, size) for cell in range(size * size)]
        self.rings = [[_bits(np.flatnonzero(row == k)) for k in range(1, horizon + 1)] for row in away]
        self.everywhere = _bits(np.asarray([c for c in candidates if self.from_start[c] <= horizon]))
        self.refused = self.bound(0, 0, start, self.everywhere)
        self.num_states = 0
        self.actions: list[int] = []
        self.deepen()

    def deepen(self) -> None:
        """Raise the limit to the least loss that had to be refused under the last one."""
        self.limit, self.refused = self.refused, sys.maxsize
        self.failed: dict[tuple[int, int, int, int], int] = {}

    def bound(self, episode: int, time: int, cell: int, left: int) -> int:
        """A lower bound for the loss on the cells ``left``."""
        next_episode, distances = 0, 0
        for k, ring in enumerate(self.rings[self.start], 1):
            num = (left & ring).bit_count()
            next_episode += num * (self.horizon + 1 - k)
            distances += num > 0
        reachable = gain = found = 0
        for k, ring in enumerate(self.rings[cell][: self.horizon - time], 1):
            reachable += (left & ring).bit_count()
            if reachable > found:
                gain += self.horizon + 1 - time - k
                found += 1
        detours = max(0, left.bit_count() - found - distances) if episode + 1 < self.num_episodes else 0
        return (episode + 1) * next_episode - gain + detours

    def visit(self, episode: int, time: int, cell: int, left: int, loss: int) -> bool:
        """Whether a path from here keeps the total loss within the limit; if so, its actions are appended."""
        if not left:
            return True
        if time == self.horizon and episode + 1 < self.num_episodes:
            return self.visit(episode + 1, 0, self.start, left, loss)
        total = loss + self.bound(episode, time, cell, left)
        if total > self.limit:
            self.refused = min(self.refused, total)
            return False
        if time == self.horizon:
            return True
        state = (episode, time, cell, left)
        if self.failed.get(state, loss + 1) <= loss or self.num_states > MAX_STATES:
            return False
        self.num_states += 1
        for action, successor in sorted(self.successors[cell], key=lambda move: not left >> move[1] & 1):
            now = left & ~(1 << successor)
            d = self.from_start[successor]
            found = episode * (self.horizon + 1 - d) + time + 1 - d if now != left else 0
            self.actions.append(action)
            if self.visit(episode, time + 1, successor, now, loss + found):
                return True
            self.actions.pop()
        self.failed[state] = loss
        return False


def _successors(cell: int, size: int) -> list[tuple[int, int]]:
    moved = [(cell % size + dx, cell // size + dy) for dx, dy in MOVES]
    return [(a, x + size * y) for a, (x, y) in enumerate(moved) if 0 <= x < size and 0 <= y < size]


def _bits(cells: np.ndarray) -> int:
    return sum(1 << int(cell) for cell in cells)
