"""Figures of training: returns against environment steps, and everything else that was logged."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from quickstudy.report import figures
from quickstudy.report.figures import Figure, Trace
from quickstudy.report.run import Metrics

MAX_POINTS = 300
STEPS_AXIS = {"tickformat": "~s", "rangemode": "tozero"}

# A metric of training, its name, colour and dash.
Series = tuple[str, str, str, str]
TOTAL: tuple[Series, ...] = (("return_total", "total", "--adapted", "solid"),)
ENDS: tuple[Series, ...] = (
    ("return_first", "first episode", "--unadapted", "dash"),
    ("return_last", "last episode", "--adapted", "solid"),
)


def thinned(metrics: Metrics) -> Metrics:
    """``metrics`` with neighbouring iterations averaged, so that at most `MAX_POINTS` are left."""
    if len(metrics.step) <= MAX_POINTS:
        return metrics
    starts = np.linspace(0, len(metrics.step), MAX_POINTS, endpoint=False).astype(int)
    sizes = np.diff(np.r_[starts, len(metrics.step)])

    def average(values: np.ndarray) -> np.ndarray:
        sums = np.add.reduceat(values, starts, axis=0)
        return sums / sizes.reshape(-1, *[1] * (values.ndim - 1))

    step, env_steps, seconds, values = metrics
    return Metrics(average(step), average(env_steps), average(seconds), {k: average(v) for k, v in values.items()})


def returns(
    metrics: Metrics, series: Sequence[Series], *, y: str, ceiling: tuple[str, float | int] | None = None
) -> Figure:
    """Curves of the returns in ``series``; ``ceiling`` is the name and value of a line to read them against."""
    metrics = thinned(metrics)
    faint: list[Trace] = []
    bold: list[Trace] = []
    for metric, name, color, dash in series:
        if metric in metrics.values:
            faint += seed_lines(metrics, metric, color)
            bold.append(mean_line(metrics, metric, name, color, dash=dash))
    if ceiling is not None:
        name, value = ceiling
        ends = metrics.env_steps[[0, -1]]
        bold.append(figures.reference(ends, [value, value], name, rank="ceiling"))
    return figures.figure(
        [*faint, *bold],
        x="environment steps",
        y=y,
        labels=figures.end_labels(bold),
        height=340,
        xaxis=STEPS_AXIS,
    )


def seed_lines(metrics: Metrics, metric: str, color: str) -> list[Trace]:
    """A faint line for each training seed."""
    if metrics.values[metric].shape[1] < 2:
        return []
    return [
        figures.line(metrics.env_steps, seed, "", f"{color}/0.3", width=1.0, hoverinfo="skip", showlegend=False)
        for seed in metrics.values[metric].T
    ]


def mean_line(metrics: Metrics, metric: str, name: str, color: str, *, dash: str = "solid") -> Trace:
    """The mean over training seeds."""
    return figures.line(metrics.env_steps, metrics.values[metric].mean(axis=1), name, color, dash=dash)


def diagnostics(metrics: Metrics) -> dict[str, Figure]:
    """A small figure for every other metric that was logged."""
    shown = {metric for metric, *_ in (*TOTAL, *ENDS)}
    metrics = thinned(metrics)
    small: dict[str, Any] = {"height": 220, "xaxis": STEPS_AXIS}
    return {
        name: figures.figure(
            [*seed_lines(metrics, name, "--adapted"), mean_line(metrics, name, name, "--adapted")],
            x="environment steps",
            y="",
            **small,
        )
        for name, values in metrics.values.items()
        if name not in shown and np.isfinite(values).any()
    }
