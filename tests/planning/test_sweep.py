import functools

import pytest

from quickstudy.envs.grid_geometry import MOVES
from quickstudy.planning import sweep
from quickstudy.planning.sweep import optimal_sweep


def best_return(size, start, candidates, horizon, num_episodes, goal_reward, step_reward):
    """The Bayes-optimal return by dynamic programming over every belief, without bounds or the loss formula."""

    def distance(cell):
        return max(abs(cell % size - start % size) + abs(cell // size - start // size), 1)

    def known(cell):
        on_goal = max(horizon + 1 - distance(cell), 0)
        return goal_reward * on_goal + step_reward * (horizon - on_goal)

    def successors(cell):
        for dx, dy in MOVES:
            x, y = min(max(cell % size + dx, 0), size - 1), min(max(cell // size + dy, 0), size - 1)
            yield x + size * y

    @functools.cache
    def value(episode, time, cell, left):
        if time == horizon:
            episode, time, cell = episode + 1, 0, start
        if episode == num_episodes:
            return 0.0
        options = []
        for successor in successors(cell):
            rest = left - {successor}
            here = step_reward * len(rest) + value(episode, time + 1, successor, rest)
            if rest != left:
                here += goal_reward * (horizon - time) + (num_episodes - 1 - episode) * known(successor)
            options.append(here)
        return max(options)

    return value(0, 0, start, frozenset(candidates)) / len(candidates)


def sweep_return(size, start, candidates, horizon, num_episodes, goal_reward, step_reward):
    loss = optimal_sweep(size, start, candidates, horizon, num_episodes).loss
    away = [max(abs(c % size - start % size) + abs(c // size - start // size), 1) for c in candidates]
    on_goal = [max(horizon + 1 - d, 0) for d in away]
    known = sum(goal_reward * n + step_reward * (horizon - n) for n in on_goal) * num_episodes
    return (known - (goal_reward - step_reward) * loss) / len(candidates)


@pytest.mark.parametrize(
    ("size", "start", "candidates", "horizon", "num_episodes"),
    [
        (3, 0, (2, 5, 6, 7, 8), 4, 2),
        (3, 0, (2, 5, 6, 7, 8), 6, 3),
        (3, 4, tuple(range(9)), 3, 4),
        (3, 4, tuple(range(9)), 5, 2),
        (4, 0, (2, 3, 7, 8, 12, 15), 6, 2),
        (4, 0, (3, 12, 15), 5, 3),  # cell 15 is out of reach
    ],
)
def test_the_loss_is_that_of_the_exact_belief_state_optimum(size, start, candidates, horizon, num_episodes):
    problem = (size, start, candidates, horizon, num_episodes, 1.0, -0.1)
    assert sweep_return(*problem) == pytest.approx(best_return(*problem), abs=1e-9)


@pytest.mark.parametrize(("horizon", "num_episodes"), [(15, 4), (7, 4), (6, 3)])
def test_following_the_actions_brings_the_loss_that_is_claimed(horizon, num_episodes):
    size, candidates = 5, tuple(c for c in range(25) if c % 5 > 1 or c // 5 > 1)
    plan = optimal_sweep(size, 0, candidates, horizon, num_episodes)
    assert len(plan.actions) == horizon * num_episodes
    distance = {c: c % 5 + c // 5 for c in candidates}
    reachable = [c for c in candidates if distance[c] <= horizon]
    loss = {c: num_episodes * (horizon + 1 - distance[c]) for c in reachable}
    for episode in range(num_episodes):
        x = y = 0
        for time in range(1, horizon + 1):
            dx, dy = MOVES[plan.actions[episode * horizon + time - 1]]
            x, y = x + dx, y + dy
            assert 0 <= x < size
            assert 0 <= y < size
            cell = x + size * y
            if cell in loss:
                found = episode * (horizon + 1 - distance[cell]) + time - distance[cell]
                loss[cell] = min(loss[cell], found)
    assert sum(loss.values()) == plan.loss


def test_more_time_never_costs():
    losses = [optimal_sweep(4, 0, (2, 3, 7, 8, 12, 15), 8, episodes).loss for episodes in (1, 2, 3)]
    assert losses == sorted(losses)
    assert losses[1] == losses[2]  # all six are found within two episodes


def test_an_optimum_out_of_reach_is_not_claimed(monkeypatch):
    assert len(range(81)) > sweep.MAX_CANDIDATES
    assert optimal_sweep(9, 40, tuple(range(81)), 20, 10) is None
    monkeypatch.setattr(sweep, "MAX_STATES", 100)
    assert optimal_sweep(5, 0, tuple(range(2, 25)), 9, 10) is None
