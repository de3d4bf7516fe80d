"""Small pieces of HTML as strings. Whatever comes from a run is escaped here; what returns is safe to join."""

import json
import math
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

# Nothing may be fetched, not even by accident: the page carries all it needs.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data: blob:"

# An empty icon, lest a browser that is served the page asks for /favicon.ico.
ICON = '<link rel="icon" href="data:,">'


def resource(name: str) -> str:
    """The text of a style sheet or script of this package."""
    return files("quickstudy.report").joinpath(name).read_text("utf-8")


def document(title: str, body: str) -> str:
    """A whole page: style, the plotting library and the page's own scripts around ``body``."""
    from plotly.offline import get_plotlyjs  # a second of import that nothing else needs

    names = ("plots.js", "scenes.js", "beliefs.js", "predictions.js", "replay.js")
    scripts = "".join(f"<script>{resource(name)}</script>" for name in names)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n{ICON}\n<style>{resource('style.css')}</style>\n</head>\n"
        f"<body>\n{body}\n<script>{get_plotlyjs()}</script>\n{scripts}\n</body>\n</html>\n"
    )


def write(path: Path, text: str) -> Path:
    """Put ``text`` at ``path`` in one step: a reader sees the old page or the new one, never half a page."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_text(text, "utf-8")
    return part.replace(path)


def section(anchor: str, title: str, *content: str, reading: str = "") -> str:
    """A titled part of the page, with a note on how to read it."""
    note = f'<p class="reading">{reading}</p>' if reading else ""
    return (
        f'<section id="{escape(anchor)}" aria-labelledby="{escape(anchor)}-title">'
        f'<h2 id="{escape(anchor)}-title">{escape(title)}</h2>{note}{"".join(content)}</section>'
    )


def notice(text: str) -> str:
    """A sentence about what is missing, and what to do about it."""
    return f'<p class="notice">{escape(text)}</p>'


def tile(label: str, value: str, detail: str = "") -> str:
    """A key number."""
    return (
        f'<div class="tile"><dt>{escape(label)}</dt><dd><span class="value">{escape(value)}</span>'
        f'<span class="detail">{escape(detail)}</span></dd></div>'
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str) -> str:
    """A table of cells that are HTML already; the first cell of a row is its heading."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>' for first, *rest in rows
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<caption><span>{escape(caption)}</span></caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def details(title: str, *content: str, opened: bool = False) -> str:
    """Content that is folded away until asked for."""
    return f"<details{' open' if opened else ''}><summary>{escape(title)}</summary>{''.join(content)}</details>"


def plot(name: str, figure: dict[str, Any], *, description: str) -> str:
    """A place for a figure, and the figure as data; ``plots.js`` draws it when it comes into view."""
    height = figure["layout"]["height"]
    return (
        f'<div class="plot" id="{escape(name)}" role="img" aria-label="{escape(description)}" '
        f'style="min-height:{height}px"></div>{data_script(f"{name}-figure", figure)}'
    )


def choice(name: str, legend: str, options: Sequence[tuple[str, str]]) -> str:
    """A switch between pieces of content: ``options`` are pairs of a label and its HTML, of which one is shown."""
    buttons, panels = [], []
    for i, (label, content) in enumerate(options):
        target = f"{escape(name)}-option-{i}"
        checked = " checked" if i == 0 else ""
        buttons.append(
            f'<label><input type="radio" name="{escape(name)}" data-shows="{target}"{checked}>'
            f"<span>{escape(label)}</span></label>"
        )
        panels.append(f'<div id="{target}"{"" if i == 0 else " hidden"}>{content}</div>')
    return (
        f'<fieldset class="choice"><legend>{escape(legend)}</legend>{"".join(buttons)}</fieldset>'
        f'<div class="panels">{"".join(panels)}</div>'
    )


def data_script(name: str, value: Any) -> str:
    """``value`` as JSON that a script of the page reads; no text in it can end the element it stands in."""
    text = json.dumps(compact(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text = text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f'<script type="application/json" id="{escape(name)}">{text}</script>'


def compact(value: Any) -> Any:
    """``value`` as plain data: floats to 5 significant digits, what is not finite as None, keys as text."""
    if isinstance(value, dict):
        return {str(key): compact(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [compact(item) for item in value]
    if hasattr(value, "tolist"):
        return compact(value.tolist())
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
