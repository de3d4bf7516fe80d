"""Direct labels: names beside the lines they belong to, moved apart where lines end close together."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

GAP = 17  # pixels between two labels of 12-pixel type
LEADER = 26  # pixels from a line's end to its label


class Label(NamedTuple):
    """A text at the end ``(x, y)`` of a line, in the line's colour."""

    text: str
    x: float
    y: float
    color: str


def spread(positions: Sequence[float], *, gap: int, height: int) -> np.ndarray:
    """The positions nearest to ``positions`` (least squares) that are at least ``gap`` apart, within ``[0, height]``.

    In the variable ``z_i = p_i − i · gap`` the condition is that z does not fall, so this is isotonic regression,
    solved by pooling adjacent violators.
    """
    order = np.argsort(positions, kind="stable")
    pools: list[tuple[float, int]] = []
    for i, target in enumerate(np.asarray(positions, float)[order]):
        mean, size = float(target - i * gap), 1
        while pools and pools[-1][0] > mean:
            previous, count = pools.pop()
            mean, size = (previous * count + mean * size) / (count + size), size + count
        pools.append((mean, size))
    z = np.concatenate([np.full(size, mean) for mean, size in pools]) if pools else np.zeros(0)
    apart = np.clip(z, 0.0, max(height - (len(z) - 1) * gap, 0)) + gap * np.arange(len(z))
    placed = np.empty_like(apart)
    placed[order] = apart
    return placed


def annotations(labels: Sequence[Label], *, low: float, high: float, height: int) -> list[dict[str, Any]]:
    """Plotly annotations for ``labels`` on an axis that runs from ``low`` to ``high`` over ``height`` pixels."""
    positions = [(label.y - low) / (high - low) * height for label in labels]
    placed = spread(positions, gap=GAP, height=height)
    return [
        {
            "name": "direct",
            "text": _shortened(label.text),
            "x": label.x,
            "y": label.y,
            "ax": LEADER,
            "ay": float(position - target),
            "xanchor": "left",
            "yanchor": "middle",
            "align": "left",
            "showarrow": True,
            "arrowhead": 0,
            "arrowwidth": 0.75,
            "arrowcolor": label.color,
            "standoff": 3,
            "font": {"color": label.color, "size": 12},
        }
        for label, position, target in zip(labels, positions, placed, strict=True)
    ]


def _shortened(text: str, length: int = 26) -> str:
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
