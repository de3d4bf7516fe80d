"""Several runs of one family on one page."""

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from quickstudy.errors import InvalidArgument
from quickstudy.report import adaptation, figures, html, learning, text
from quickstudy.report.figures import Figure, Trace
from quickstudy.report.run import Evaluation, Run, main_split, read_run

NUM_COLORS = 8
DASHES = ("solid", "dash", "dot", "dashdot")
READ_CURVES = "Return per episode on held-out tasks, with its interval; the thin lines are the floor and the ceiling."
READ_LEARNING = "Total return on the training tasks: one faint line a seed, their mean in bold."
READ_OPTIONS = "Only the options that are not the same in all runs."


def write_comparison(runs: list[Path], path: Path) -> Path:
    """Write one page about several ``runs`` of one family to ``path``: curves together, a table, what differs.

    Returns:
        ``path``.

    Raises:
        InvalidArgument: fewer than two runs, or runs of different families.
        QuickstudyError: a run's file is damaged; the message names the file and the mend.
    """
    if len(runs) < 2:
        raise InvalidArgument(f"a comparison needs at least two runs, got {len(runs)}")
    loaded = [read_run(Path(run)) for run in runs]
    _require_one_family(loaded)
    named = dict(zip(_names(loaded), loaded, strict=True))
    family = text.title(loaded[0].config.get("family", "unknown family"))
    return html.write(Path(path), html.document(f"{len(runs)} runs on {family}", _body(family, named)))


def _require_one_family(runs: Sequence[Run]) -> None:
    families = {str(run.config.get("family")): run.path for run in runs}
    if len(families) > 1:
        listed = ", ".join(f"{family!r} ({path})" for family, path in families.items())
        raise InvalidArgument(f"runs of different families cannot be compared: {listed}; compare runs of one family")


def _names(runs: Sequence[Run]) -> list[str]:
    """The shortest ends of the runs' paths that tell them apart."""
    parts = [run.path.resolve().parts for run in runs]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    raise InvalidArgument(f"the same run was given twice: {', '.join(str(run.path) for run in runs)}")


def _body(family: str, runs: dict[str, Run]) -> str:
    return (
        f'<header><p class="kicker">quickstudy comparison</p><h1>{escape(_headline(family, runs))}</h1>'
        "<noscript>The plots need JavaScript; the tables do not.</noscript></header>"
        f"<main>{_results(runs)}{_curves(runs)}{_learning(runs)}{_options(runs)}</main>"
        "<footer>Written by quickstudy. This page is one file and fetches nothing.</footer>"
    )


def _evaluation(run: Run) -> Evaluation | None:
    split = main_split(run)
    return run.evaluations[split] if split else None


def _headline(family: str, runs: dict[str, Run]) -> str:
    totals = {
        name: evaluation.summary["adapted"]["total"]["mean"]
        for name, run in runs.items()
        if (evaluation := _evaluation(run)) is not None
    }
    start = f"{len(runs)} runs on {family}"
    if not totals:
        return f"{start}, none of them evaluated yet."
    best = max(totals, key=lambda name: totals[name]["value"])
    caveat = ", but the intervals overlap" if _overlapped(best, totals) else ""
    return f"{start}: {best} has the highest mean return per held-out task, {text.interval(totals[best])}{caveat}."


def _overlapped(best: str, totals: dict[str, dict[str, Any]]) -> bool:
    """Whether another run's interval reaches into that of ``best``."""
    low = totals[best].get("low")
    others = [total.get("high") for name, total in totals.items() if name != best]
    return low is not None and any(high is not None and high >= low for high in others)


def _results(runs: dict[str, Run]) -> str:
    header = ("run", "total", "first episode", "last episode", "score", "seeds × tasks", "steps", "time")
    rows = [_row(i, name, run) for i, (name, run) in enumerate(runs.items())]
    notes = {text.interval_note(e.summary) for run in runs.values() if (e := _evaluation(run)) is not None}
    caption = "".join(f'<p class="caption">{escape(note)}</p>' for note in sorted(notes))
    table = html.table(header, rows, caption="Returns on held-out tasks, mean with interval")
    return html.section("results", "Results", table, caption)


def _row(index: int, name: str, run: Run) -> list[str]:
    evaluation, metrics = _evaluation(run), run.metrics
    swatch = f'<span class="swatch" style="background:var({_color(index)})"></span>'
    cells = [f"{swatch}{escape(name)} <small>{escape(text.title(run.config.get('method', '')))}</small>"]
    if evaluation is None:
        cells += ["not evaluated", *["–"] * 4]
    else:
        summary = evaluation.summary
        estimates = [summary["adapted"][part]["mean"] for part in ("total", "first", "last")]
        cells += [text.interval(estimate) for estimate in estimates]
        score = summary.get("normalized_score")
        cells.append(text.percent(score["total"]["value"]) if score else "–")
        cells.append(f"{summary['num_seeds']} × {summary['num_tasks']:,}")
    if metrics is None:
        return [*cells, "–", "–"]
    return [*cells, text.count(float(metrics.env_steps[-1])), text.duration(float(metrics.seconds[-1]))]


def _color(index: int) -> str:
    return f"--run-{index % NUM_COLORS}"


def _dash(index: int) -> str:
    return DASHES[index // NUM_COLORS % len(DASHES)]


def _curves(runs: dict[str, Run]) -> str:
    evaluations = {name: evaluation for name, run in runs.items() if (evaluation := _evaluation(run)) is not None}
    if not evaluations:
        missing = "None of these runs has been evaluated yet: run `quickstudy evaluate` on them."
        return html.section("adaptation", "Adaptation within a trial", html.notice(missing))
    order = list(runs)
    options = [
        (label, html.plot(f"adaptation-{key}", _adaptation(evaluations, order, key), description=f"{label} by episode"))
        for key, label in (("mean", "Mean"), ("iqm", "Interquartile mean"))
    ]
    return html.section(
        "adaptation", "Adaptation within a trial", html.choice("statistic", "Show", options), reading=READ_CURVES
    )


def _adaptation(evaluations: dict[str, Evaluation], order: list[str], statistic: str) -> Figure:
    bands: list[Trace] = []
    longest = max(evaluations.values(), key=lambda evaluation: evaluation.summary["num_episodes"])
    num_episodes = longest.summary["num_episodes"]
    lines = [
        figures.reference(np.arange(1, num_episodes + 1), values, name, rank=rank)
        for name, rank, values in adaptation.yardstick_curves(longest, statistic)
        if rank != "middle"
    ]
    for name, evaluation in evaluations.items():
        index = order.index(name)
        episodes, (value, low, high) = adaptation.episode_estimates(evaluation.summary, "adapted", statistic)
        bands += figures.band(episodes, low, high, _color(index))
        lines.append(figures.line(episodes, value, name, _color(index), dash=_dash(index)))
    return figures.figure(
        [*bands, *lines],
        x="episode of the trial",
        y="return per episode",
        labels=figures.end_labels(lines),
        height=max(420, 90 + 20 * len(lines)),
        xaxis=figures.episode_axis(num_episodes),
    )


def _learning(runs: dict[str, Run]) -> str:
    faint: list[Trace] = []
    bold: list[Trace] = []
    for i, (name, run) in enumerate(runs.items()):
        if run.metrics is not None and "return_total" in run.metrics.values:
            metrics = learning.thinned(run.metrics)
            faint += learning.seed_lines(metrics, "return_total", _color(i))
            bold.append(learning.mean_line(metrics, "return_total", name, _color(i), dash=_dash(i)))
    if not bold:
        return html.section("learning", "Meta-training", html.notice("None of these runs has logged an iteration yet."))
    built = figures.figure(
        [*faint, *bold],
        x="environment steps",
        y="total return of a trial",
        labels=figures.end_labels(bold),
        xaxis=learning.STEPS_AXIS,
    )
    plot = html.plot("learning-total", built, description="Total return against environment steps")
    return html.section("learning", "Meta-training", plot, reading=READ_LEARNING)


def _options(runs: dict[str, Run]) -> str:
    configs = {name: text.flatten(run.config) for name, run in runs.items()}
    keys = dict.fromkeys(key for config in configs.values() for key in config)
    rows: list[Any] = []
    for key in keys:
        values = [config.get(key, "–") for config in configs.values()]
        if key != "command" and len(set(values)) > 1:
            rows.append([escape(key), *map(escape, values)])
    if not rows:
        return html.section("options", "What differs", html.notice("All options are the same."))
    table = html.table(("option", *runs), rows, caption="Options that differ between the runs")
    return html.section("options", "What differs", table, reading=READ_OPTIONS)
