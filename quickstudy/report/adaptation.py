"""Figures of one evaluation: how the return changes over a trial's episodes, and how it spreads over tasks."""

from typing import Any

import numpy as np
import scipy.stats

from quickstudy.report import figures
from quickstudy.report.figures import Figure, Trace
from quickstudy.report.run import Evaluation

# Key in summary.json, name, colour, dash.
SERIES = (
    ("shuffled", "shuffled tasks", "--shuffled", "dashdot"),
    ("unadapted", "no adaptation", "--unadapted", "dash"),
    ("adapted", "adapting", "--adapted", "solid"),
)
MAX_BOXES = 20
SPREAD: dict[str, Any] = {"height": 360, "hovermode": "closest", "margin": figures.NO_LABELS | {"t": 48}}
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def curve(evaluation: Evaluation, statistic: str) -> Figure:
    """Return per episode with its interval, the controls, and the yardsticks; ``statistic`` is "mean" or "iqm"."""
    summary = evaluation.summary
    episodes = np.arange(1, summary["num_episodes"] + 1)
    bands: list[Trace] = []
    lines: list[Trace] = [
        figures.reference(episodes, values, name, rank=rank, index=i)
        for i, (name, rank, values) in enumerate(yardstick_curves(evaluation, statistic))
    ]
    for key, name, color, dash in SERIES:
        where, (value, low, high) = episode_estimates(summary, key, statistic)
        if len(where):
            bands += figures.band(where, low, high, color, opacity=0.18 if key == "adapted" else 0.1)
            lines.append(figures.line(where, value, name, color, width=3.0 if key == "adapted" else 2.0, dash=dash))
    return figures.figure(
        [*bands, *lines],
        x="episode of the trial",
        y="return per episode",
        labels=figures.end_labels(lines),
        height=max(420, 90 + 20 * len(lines)),
        xaxis=figures.episode_axis(len(episodes)),
    )


def episode_estimates(summary: dict[str, Any], key: str, statistic: str) -> tuple[np.ndarray, np.ndarray]:
    """The episodes that ``summary[key]`` has estimates for, ``[E]``, and value, low and high in each, ``[3, E]``.

    The shuffled control has one for the last episode alone.
    """
    part = summary.get(key) or {}
    points: list[dict[str, Any]] = []
    if "per_episode" in part:
        points = part["per_episode"][statistic]
    elif "last" in part:
        points = [part["last"][statistic]]
    episodes = np.arange(1, summary["num_episodes"] + 1)[summary["num_episodes"] - len(points) :]
    return episodes, np.array([[point.get(end) for point in points] for end in ("value", "low", "high")], float)


def yardstick_curves(evaluation: Evaluation, statistic: str) -> list[tuple[str, str, np.ndarray]]:
    """Name, rank and return per episode ``[E]`` of each yardstick; the interquartile mean is taken over tasks."""
    curves = []
    yardsticks = evaluation.summary["yardsticks"]
    for i, yardstick in enumerate(yardsticks):
        rank = "ceiling" if i == len(yardsticks) - 1 else "floor" if i == 0 else "middle"
        values = np.asarray(yardstick["per_episode"], float)
        if statistic == "iqm":
            stored = evaluation.returns.get(f"yardstick/{yardstick['name']}")
            if stored is None:
                continue
            values = interquartile_mean(stored)
        curves.append((yardstick["name"], rank, values))
    return curves


def interquartile_mean(values: np.ndarray) -> np.ndarray:
    """The mean of the middle half of the tasks in ``values`` ``[K, E]``; NaN entries are left out."""
    return np.array([scipy.stats.trim_mean(column[~np.isnan(column)], 0.25) for column in values.T])


def histogram(evaluation: Evaluation) -> Figure | None:
    """The share of tasks by total return: adapting, without adaptation, and the ceiling. None without returns."""
    totals = _totals(evaluation)
    if not totals:
        return None
    edges = bin_edges(totals[-1][-1], np.concatenate([values for *_, values in totals]))
    traces: list[Trace] = []
    for name, color, filled, values in totals:
        share = np.histogram(values, edges)[0] / len(values)
        # The outline drops to zero on both sides.
        x, y = np.repeat(edges, 2)[1:-1], np.repeat(share, 2)
        x, y = np.r_[x[0], x, x[-1]], np.r_[0.0, 100 * y, 0.0]
        fill = {"fill": "tozeroy", "fillcolor": f"{color}/0.28"} if filled else {}
        traces.append(figures.line(x, y, name, color, width=1.75, dash="solid" if filled else "dot", **fill))
    axis = {"range": None, "rangemode": "tozero"}
    legend = {"showlegend": True, "legend": {"y": 1.03, "yanchor": "bottom"}}
    return figures.figure(traces, x="total return of a trial", y="share of trials, %", yaxis=axis, **legend, **SPREAD)


def _totals(evaluation: Evaluation) -> list[tuple[str, str, bool, np.ndarray]]:
    """Name, colour, whether filled, and the totals of all trials, for what the histogram compares."""
    series: list[tuple[str, str, bool, np.ndarray | None]] = []
    if evaluation.summary["yardsticks"]:
        ceiling = evaluation.summary["yardsticks"][-1]["name"]
        stored = evaluation.returns.get(f"yardstick/{ceiling}")
        series.append((ceiling, "--ceiling", False, stored))
    series.append(("no adaptation", "--unadapted", False, evaluation.returns.get("unadapted")))
    series.append(("adapting", "--adapted", True, evaluation.returns.get("adapted")))
    totals = []
    for name, color, filled, returns in series:
        values = np.zeros(0) if returns is None else np.nansum(returns, axis=-1)[np.isfinite(returns).any(axis=-1)]
        if len(values):
            totals.append((name, color, filled, values))
    return totals if any(filled for _, _, filled, _ in totals) else []


def bin_edges(values: np.ndarray, everything: np.ndarray, target: int = 40) -> np.ndarray:
    """Edges of about ``target`` bins over ``everything``; where ``values`` lie on a lattice, they follow it."""
    low, high = float(everything.min()), float(everything.max())
    if low == high:
        return np.array([low - 0.5, low + 0.5])
    levels = np.unique(np.round(values, 4))
    step = float(np.diff(levels).min()) if len(levels) > 1 else high - low
    if (high - low) / step > 10 * target:
        return np.linspace(low, high, target + 1)
    width = step * int(np.ceil((high - low) / step / target))
    start = levels[0] - step / 2
    start -= width * int(np.ceil(max(start - low, 0.0) / width))
    return start + width * np.arange(int(np.floor((high - start) / width)) + 2)


def boxes(evaluation: Evaluation) -> Figure | None:
    """The spread over trials of each episode's return: quartiles, and the 5th and 95th percentile.

    None without returns, and where an episode either pays or does not: quartiles of two values say nothing.
    """
    adapted = evaluation.returns.get("adapted")
    if adapted is None or len(np.unique(adapted[np.isfinite(adapted)])) <= 2:
        return None
    per_episode = adapted.reshape(-1, adapted.shape[-1])
    episodes = np.unique(np.linspace(1, len(per_episode[0]), MAX_BOXES).round().astype(int))
    low, q1, median, q3, high = np.nanquantile(per_episode[:, episodes - 1], QUANTILES, axis=0)
    box: Trace = {
        "type": "box",
        "x": episodes,
        "lowerfence": low,
        "q1": q1,
        "median": median,
        "q3": q3,
        "upperfence": high,
        "mean": np.nanmean(per_episode[:, episodes - 1], axis=0),
        "name": "adapting",
        "line": {"color": "--adapted", "width": 1.5},
        "fillcolor": "--adapted/0.22",
        "boxpoints": False,
        "boxmean": True,
    }
    ticks = {"dtick": 1} if len(episodes) <= 12 else {}
    axis = {"range": None}
    return figures.figure([box], x="episode of the trial", y="return of an episode", xaxis=ticks, yaxis=axis, **SPREAD)
