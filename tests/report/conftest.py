"""Small synthetic run directories, in the layout that training and evaluation write."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

GRID_YARDSTICKS = {
    "random": [-0.5, -0.5, -0.5, -0.5],
    "posterior sampling": [2.93, 7.84, 10.48, 11.06],
    "goal known": [11.07, 11.07, 11.07, 11.07],
    "Bayes-optimal": [4.0, 11.07, 11.07, 11.07],
}


def estimate(values: np.ndarray) -> dict[str, float | None]:
    """The mean over seeds with a (crude) interval, which is None for one seed."""
    spread = 2 * values.std() / np.sqrt(len(values)) + 0.05
    low, high = (None, None) if len(values) < 2 else (values.mean() - spread, values.mean() + spread)
    return {"value": values.mean(), "low": low, "high": high}


def both(values: np.ndarray) -> dict[str, Any]:
    return {"mean": estimate(values), "iqm": estimate(values + 0.1)}


def statistics(returns: np.ndarray) -> dict[str, Any]:
    seeds = returns.mean(axis=1)
    episodes = [both(episode) for episode in seeds.T]
    per_episode = {name: [episode[name] for episode in episodes] for name in ("mean", "iqm")}
    ends = {"total": both(seeds.sum(axis=1)), "first": both(seeds[:, 0]), "last": both(seeds[:, -1])}
    return {"per_episode": per_episode, **ends}


def simulated(curve: list[float], num_seeds: int, num_tasks: int, rng: np.random.Generator) -> np.ndarray:
    tasks = rng.normal(0, 1.2, (1, num_tasks, 1)) + rng.normal(0, 0.15, (num_seeds, 1, 1))
    noise = rng.normal(0, 0.8, (num_seeds, num_tasks, len(curve)))
    return np.round(np.asarray(curve) + tasks + noise, 1)


def grid_walk(rng: np.random.Generator, goal: int, known: bool, size: int = 5, horizon: int = 15) -> dict[str, Any]:
    x = y = 0
    cells, rewards = [0], []
    for _ in range(horizon):
        if known:
            x, y = x + (x < goal % size), y + (x == goal % size and y < goal // size)
        else:
            dx, dy = [(0, 1), (1, 0), (0, -1), (-1, 0)][rng.integers(4)]
            x, y = min(max(x + dx, 0), size - 1), min(max(y + dy, 0), size - 1)
        cells.append(x + size * y)
        rewards.append(1.0 if cells[-1] == goal else -0.1)
    return {"cells": cells, "rewards": rewards}


def plane_walk(rng: np.random.Generator, goal: list[float], aim: float) -> dict[str, Any]:
    points = [np.zeros(2)]
    for _ in range(40):
        direction = np.asarray(goal) - points[-1]
        step = aim * direction / (np.linalg.norm(direction) + 1e-6) + (1 - aim) * rng.normal(0, 1, 2)
        points.append(points[-1] + 0.05 * step)
    return {"points": np.array(points).tolist(), "rewards": [float(-((p - goal) ** 2).sum()) for p in points[1:]]}


def replay(kind: str, rng: np.random.Generator) -> dict[str, Any]:
    if kind == "grid":
        goal = int(rng.integers(12, 25))
        episodes = [grid_walk(rng, goal, known=i > 0) for i in range(4)]
        return {"kind": "grid", "size": 5, "start": 0, "goal": goal, "episodes": episodes}
    if kind == "plane":
        goal = rng.uniform(-0.5, 0.5, 2).tolist()
        episodes = [plane_walk(rng, goal, aim) for aim in (0.1, 0.4, 0.7, 1.0)]
        plane = {"start": [0.0, 0.0], "goal": goal, "radius": 0.1, "limits": [-0.8, 0.8]}
        return {"kind": "plane", **plane, "episodes": episodes}
    if kind == "arms":
        means = rng.uniform(size=5)
        actions = [i if i < 5 else int(means.argmax()) for i in range(20)]
        rewards = [float(rng.uniform() < means[arm]) for arm in actions]
        return {"kind": "arms", "means": means.tolist(), "actions": actions, "rewards": rewards}
    if kind == "cart-pole":
        motions = [rng.normal(0, 0.02, (31, 2)).cumsum(0).tolist() for _ in range(4)]
        episodes = [{"motion": motion, "rewards": [1.0] * 30} for motion in motions]
        return {"kind": "cart-pole", "length": 1.0, "track": 2.4, "episodes": episodes}
    if kind == "hill":
        drives = [np.clip(rng.normal(-0.5, 0.02) + rng.normal(0, 0.05, 31).cumsum(), -1.2, 0.6) for _ in range(4)]
        episodes = [{"places": drive.tolist(), "rewards": [-0.1] * 30} for drive in drives]
        return {"kind": "hill", "ends": [-1.2, 0.6], "goal": 0.45, "episodes": episodes}
    if kind == "arm":
        swings = [rng.normal(0, 0.1, (31, 2)).cumsum(0).tolist() for _ in range(4)]
        target = rng.uniform(-0.6, 0.6, 2).tolist()
        episodes = [{"angles": swing, "target": target, "rewards": [-0.5] * 30} for swing in swings]
        return {"kind": "arm", "link": 0.5, "episodes": episodes}
    if kind == "pendulum":
        swings = [rng.normal(0, 0.2, 31).cumsum().tolist() for _ in range(4)]
        episodes = [{"angles": swing, "rewards": [-abs(angle) for angle in swing[:-1]]} for swing in swings]
        return {"kind": "pendulum", "length": 1.2, "episodes": episodes}
    episodes = []
    for _ in range(4):
        states, actions = rng.integers(0, 6, 11).tolist(), rng.integers(0, 3, 10).tolist()
        episodes.append({"states": states, "actions": actions, "rewards": rng.normal(1, 1, 10).tolist()})
    return {"kind": "states", "num_states": 6, "episodes": episodes}


def write_evaluation(folder: Path, kind: str, num_seeds: int, num_tasks: int, rng: np.random.Generator) -> None:
    folder.mkdir(parents=True)
    shape = (num_seeds, num_tasks, rng)
    returns = {"adapted": simulated([3.8, 10.6, 10.9, 11.0], *shape)}
    returns["unadapted"] = simulated([3.8, 3.7, 3.8, 3.8], *shape)
    returns["shuffled"] = simulated([3.8, 1.4, 0.2, 0.4], *shape)
    returns["shuffled"][..., :-1] = np.nan
    yardsticks = []
    for name, curve in GRID_YARDSTICKS.items():
        values = returns[f"yardstick/{name}"] = simulated(curve, 1, num_tasks, rng)[0]
        yardsticks.append({"name": name, "per_episode": curve, "total": sum(curve), "standard_error": values.std() / 8})
    adapted = statistics(returns["adapted"])
    total = adapted["total"]["mean"]
    floor, ceiling = yardsticks[0]["total"], yardsticks[-1]["total"]
    part = lambda f: {end: None if total[end] is None else f(total[end]) for end in ("value", "low", "high")}
    summary = {
        **{"family": "grid-navigation", "method": "rl2", "split": folder.name, "confidence": 0.95},
        **{"num_seeds": num_seeds, "num_tasks": num_tasks, "num_episodes": 4, "seconds": 1.2, "env_steps": 123},
        "adapted": adapted,
        "unadapted": statistics(returns["unadapted"]),
        "shuffled": {"last": both(returns["shuffled"][..., -1].mean(axis=1))},
        "yardsticks": yardsticks,
        "regret": {"reference": "Bayes-optimal", "total": part(lambda v: 37.21 - v), "per_episode": []},
        "normalized_score": {
            **{"floor": "random", "ceiling": "Bayes-optimal"},
            "total": part(lambda v: (v - floor) / (ceiling - floor)),
        },
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    np.savez(folder / "returns.npz", **returns)
    replays = [{"task": 7 * i, "seed": i % num_seeds, "replay": replay(kind, rng)} for i in range(3)]
    (folder / "replays.json").write_text(json.dumps(replays))


def write_metrics(path: Path, num_seeds: int, num_lines: int, rng: np.random.Generator) -> None:
    with path.open("w") as file:
        for step in range(1, num_lines + 1):
            progress = 1 - np.exp(-4 * step / num_lines) + rng.normal(0, 0.02, num_seeds)
            record = {"step": step, "env_steps": 30720 * step, "seconds": 0.3 * step}
            record |= {"return_total": (39 * progress - 2).tolist(), "return_first": (4.3 * progress - 0.5).tolist()}
            record |= {"return_last": (11.5 * progress - 0.5).tolist(), "loss": (1 - progress).tolist()}
            record |= {"entropy": (1.6 - progress).tolist()}
            file.write(json.dumps(record) + "\n")


def config(method: str, **more: Any) -> dict[str, Any]:
    return {
        **{"method": method, "family": "grid-navigation", "preset": "grid-navigation", "num_tasks": 512, "seed": 0},
        **{"num_steps": 600, "method_options": {"hidden_size": 64, "ppo": {"gamma": 0.97, "learning_rate": 3e-3}}},
        **{"family_options": {"size": 5, "horizon": 15}},
        **more,
    }


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Write a run directory; ``kind`` is that of its replays."""

    def make(
        name: str = "run",
        *,
        kind: str = "grid",
        num_seeds: int = 4,
        num_tasks: int = 64,
        num_lines: int = 50,
        splits: tuple[str, ...] = ("test",),
        command: str = "quickstudy train rl2 --family grid-navigation",
        **options: Any,
    ) -> Path:
        rng = np.random.default_rng(len(name))
        path = tmp_path / name
        path.mkdir(parents=True)
        (path / "config.json").write_text(json.dumps(config(**{"method": "rl2", "num_seeds": num_seeds, **options})))
        session = {"command": command, "packages": {"quickstudy": "0.1.0", "jax": "0.10.2"}, "devices": ["cpu:0"]}
        (path / "versions.json").write_text(json.dumps([session]))
        if num_lines:
            write_metrics(path / "metrics.jsonl", num_seeds, num_lines, rng)
        for split in splits:
            write_evaluation(path / "evaluation" / split, kind, num_seeds, num_tasks, rng)
        return path

    return make


def add_beside(make: Callable[[dict[str, Any]], dict[str, Any]], run: Path, split: str) -> list[dict[str, Any]]:
    """Put what ``make`` makes of a replay beside all of them but the last."""
    file = run / "evaluation" / split / "replays.json"
    replays = json.loads(file.read_text())
    for entry in replays[:-1]:
        entry |= make(entry["replay"])
    file.write_text(json.dumps(replays))
    return replays


@pytest.fixture
def add_beliefs() -> Callable[..., list[dict[str, Any]]]:
    """Put beliefs beside all replays but the last: maps of 3 × 3 cells, whose values grow by 1 an episode."""

    def beliefs(replay: dict[str, Any]) -> dict[str, Any]:
        limits = [0.0, 5.0] if replay["kind"] == "grid" else [-1.25, 1.25]
        known = np.arange(9.0).reshape(3, 3) - 1
        episodes = [
            {"knowledge": known.tolist(), "adapted": (known + e).tolist(), "uncertainty": (known + 1).tolist()}
            for e in range(4)
        ]
        return {"beliefs": {"limits": limits, "episodes": episodes}}

    return lambda run, split="test": add_beside(beliefs, run, split)


@pytest.fixture
def add_predictions() -> Callable[..., list[dict[str, Any]]]:
    """Put predictions beside all replays but the last: of 4 episodes of 4 steps, whose errors fall tenfold an episode.

    Component i of the observation goes from i to i + 1 and is predicted to do so a quarter above; a step of the second
    episode is not finite. The reward is always 1, and predicted as what the episode's number is.
    """

    def predictions(num_components: int) -> dict[str, Any]:
        ramp = np.linspace(0, 1, 5)[:, None] + np.arange(float(num_components))
        episodes = [
            {
                "observed": ramp.tolist(),
                "predicted": (ramp + 0.25).tolist(),
                "rewards": [1.0] * 4,
                "predicted_rewards": [float(e + 1)] * 4,
            }
            for e in range(4)
        ]
        episodes[1]["predicted"][2] = [None] * num_components
        errors = [10.0**-e for e in range(4) for _ in range(4)]
        return {"errors": [None, *errors[1:]], "starts": [0, 4, 8, 12], "episodes": episodes}

    return lambda run, split="test", num_components=2: add_beside(
        lambda replay: {"predictions": predictions(num_components)}, run, split
    )
