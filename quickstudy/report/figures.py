"""The figures as plain Plotly data. Colours are names of the page's CSS variables: ``plots.js`` looks them up."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from quickstudy.report.labels import Label, annotations

Figure = dict[str, Any]
Trace = dict[str, Any]

MARGIN = {"l": 58, "r": 190, "t": 16, "b": 48}
MIDDLE_DASHES = ("dash", "dashdot", "6px,2px", "9px,3px,2px,3px,2px,3px", "14px,4px")
NO_LABELS = MARGIN | {"r": 16}


def line(x: Any, y: Any, name: str, color: str, *, width: float = 2.5, dash: str = "solid", **more: Any) -> Trace:
    """A line; with a handful of points their markers too, so that a single point is seen."""
    x = np.asarray(x, float)
    mode = "lines+markers" if len(x) <= 12 and width >= 2 else "lines"
    return {
        "type": "scatter",
        "mode": mode,
        "x": x,
        "y": np.asarray(y, float),
        "name": escape(name, quote=False),  # Plotly reads names as a subset of HTML
        "line": {"color": color, "width": width, "dash": dash},
        "marker": {"color": color, "size": 7},
        "hovertemplate": "%{y:.3~f}",
        **more,
    }


def reference(x: Any, y: Any, name: str, *, rank: str = "middle", index: int = 0) -> Trace:
    """A yardstick's line; ``rank`` is "floor", "middle" or "ceiling", and ``index`` tells the middle ones apart."""
    color, dash, width = {
        "floor": ("--yardstick", "dot", 1.5),
        "middle": ("--yardstick", MIDDLE_DASHES[index % len(MIDDLE_DASHES)], 1.25),
        "ceiling": ("--ceiling", "longdash", 1.75),
    }[rank]
    x, y = np.asarray(x, float), np.asarray(y, float)
    if len(x) == 1:
        x, y = x[0] + np.array([-0.5, 0.5]), np.repeat(y, 2)
    return line(x, y, name, color, width=width, dash=dash)


def band(x: Any, low: Any, high: Any, color: str, *, opacity: float = 0.18) -> list[Trace]:
    """The area between ``low`` and ``high``, or nothing where they are not known."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    if np.isnan(low).any() or np.isnan(high).any():
        return []
    if len(low) == 1:
        half = (high - low) / 2
        bar = {"type": "data", "array": half, "color": color, "thickness": 1.5, "width": 8}
        return [_silent({"type": "scatter", "mode": "markers", "x": x, "y": low + half, "error_y": bar})]
    edge = {"type": "scatter", "mode": "lines", "x": x, "line": {"width": 0}}
    return [
        _silent(edge | {"y": low}),
        _silent(edge | {"y": high, "fill": "tonexty", "fillcolor": f"{color}/{opacity}"}),
    ]


def _silent(trace: Trace) -> Trace:
    return trace | {"hoverinfo": "skip", "showlegend": False, "marker": {"opacity": 0}}


def figure(
    traces: Sequence[Trace],
    *,
    x: str,
    y: str,
    labels: Sequence[Label] = (),
    height: int = 400,
    xaxis: dict[str, Any] | None = None,
    yaxis: dict[str, Any] | None = None,
    **layout: Any,
) -> Figure:
    """Traces on a pair of axes titled ``x`` and ``y``, with direct ``labels`` at the right."""
    margin = MARGIN if labels else NO_LABELS
    low, high = value_range(traces)
    inner = height - margin["t"] - margin["b"]
    return {
        "data": list(traces),
        "layout": {
            "height": height,
            "margin": margin,
            "xaxis": {"title": {"text": x}, **(xaxis or {})},
            "yaxis": {"title": {"text": y}, "range": [low, high], **(yaxis or {})},
            "annotations": annotations(labels, low=low, high=high, height=inner),
            "hovermode": "x unified",
            "showlegend": False,
            **layout,
        },
    }


def value_range(traces: Sequence[Trace]) -> tuple[float, float]:
    """The range of all that the traces show, with a little air on both sides."""
    ys = [np.ravel(np.asarray(trace["y"], float)) for trace in traces if "y" in trace]
    values = np.concatenate(ys) if ys else np.zeros(0)
    values = values[np.isfinite(values)]
    if not len(values):
        return 0.0, 1.0
    low, high = float(values.min()), float(values.max())
    air = 0.06 * (high - low) or max(abs(low), 1.0) * 0.1
    return low - air, high + air


def end_labels(traces: Sequence[Trace]) -> list[Label]:
    """A label for each named line, at its last finite point."""
    labels = []
    for trace in traces:
        finite = np.isfinite(np.asarray(trace["y"], float))
        if trace.get("name") and trace.get("showlegend", True) and finite.any():
            last = np.flatnonzero(finite)[-1]
            labels.append(
                Label(trace["name"], float(trace["x"][last]), float(trace["y"][last]), trace["line"]["color"])
            )
    return labels


def episode_axis(num_episodes: int) -> dict[str, Any]:
    """An axis of whole episodes from 1 to ``num_episodes``."""
    air = max(0.02 * (num_episodes - 1), 0.08) if num_episodes > 1 else 0.6
    ticks = {"tickmode": "linear", "tick0": 1, "dtick": 1} if num_episodes <= 15 else {"nticks": 12}
    return {"range": [1 - air, num_episodes + air], **ticks}
