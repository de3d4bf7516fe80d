"""The report of one run."""

from html import escape
from pathlib import Path
from typing import Any

from quickstudy.report import adaptation, html, learning, text
from quickstudy.report.run import Evaluation, Run, main_split, read_run

NO_EVALUATION = "This run has not been evaluated yet: run `quickstudy evaluate` on it, and write the report again."
NO_RETURNS = "The evaluation holds no returns of single tasks (returns.npz): run `quickstudy evaluate` again."
NO_REPLAYS = "The evaluation holds no replays of this split."
NO_METRICS = "Training has not logged an iteration yet."
DRAWN = {"grid", "plane", "arms", "states", "cart-pole", "pendulum", "hill", "arm"}

READ_CURVE = (
    "The agent is not told which task it is in. From left to right it goes through the episodes of one trial in it, "
    "with what it has seen so far as its only guide: where the solid line climbs, it learns. "
    "<em>No adaptation</em> is the same agent, made to forget everything before each episode. "
    "<em>Shuffled tasks</em> is the negative control: an agent that adapted in one task plays its last episode in "
    "another, where what it learned should not help. Thin lines are reference policies."
)
READ_TOTALS = "A mean can hide tasks that fail: this is how the total return spreads over all trials (tasks × seeds)."
READ_BOXES = (
    "By episode, a box holds the middle half of all trials, its line is the median, the dashed one the mean; the "
    "whiskers reach from the 5th to the 95th percentile."
)
READ_LEARNING = (
    "Returns on the training tasks while the agent meta-trains: one faint line a seed, their mean in bold. The gap "
    "between first and last episode is what it has learned to learn."
)
READ_REPLAY = "What the agent did in a few of these tasks. It never sees what is drawn in green: it has to find out."
READ_BELIEFS = (
    "The maps below show what it believed of every state when that episode began: the value by knowledge of all tasks "
    "alone and with what this one has shown, both on one scale, and how uncertain the second one is."
)
READ_PREDICTIONS = (
    "The lines below show where the agent's model of the task thought the first 50 actions of that episode would lead "
    "(dashed), from its first observation and by what it knew then, and where they led (solid); under them is its "
    "error one step ahead over the whole trial, where 1 is what predicting no change would err by."
)
READ_PROBE = (
    "What the agent remembers when its trial ends, as numbers, read by a linear function that was fitted to other "
    "tasks: R² is 1 where that says what is true of every task, and 0 where it knows no more than their average."
)
MAX_PROBED = 16
"""Numbers of a task that are listed one by one."""
READ_YARDSTICKS = (
    "Exact numbers, mean over the tasks of the split. The score is 0 for the floor (first row) and 100 % for the "
    "ceiling (last reference row)."
)


def write_report(run: Path) -> Path:
    """Write ``report.html``, one file that opens offline, into the run directory ``run``.

    What the run does not hold yet (an evaluation, replays, a second seed) the page names as missing.

    Returns:
        The path of the page.

    Raises:
        InvalidArgument: ``run`` is not a run directory.
        QuickstudyError: one of its files is damaged; the message names the file and the mend.
    """
    loaded = read_run(Path(run))
    return html.write(loaded.path / "report.html", html.document(text.subject(loaded), _body(loaded)))


def _body(run: Run) -> str:
    splits = [_split(run, split) for split in run.evaluations] or [
        html.section("adaptation", "Adaptation", html.notice(NO_EVALUATION))
    ]
    return (
        f"{_header(run)}<main>{''.join(splits)}{_learning(run)}{_provenance(run)}</main>"
        "<footer>Written by quickstudy. This page is one file and fetches nothing.</footer>"
    )


def _header(run: Run) -> str:
    split = main_split(run)
    evaluation = run.evaluations[split] if split else None
    labels = [run.config.get("preset"), run.path.resolve().name]
    kicker = " · ".join(escape(str(label)) for label in dict.fromkeys(labels) if label)
    tiles = "".join(_result_tiles(evaluation.summary) if evaluation else []) + "".join(_cost_tiles(run))
    return (
        f'<header><p class="kicker">quickstudy report · {kicker}</p>'
        f"<h1>{escape(text.headline(run, evaluation))}</h1>"
        f'<dl class="tiles">{tiles}</dl>'
        "<noscript>The plots and replays need JavaScript; the tables do not.</noscript></header>"
    )


def _result_tiles(summary: dict[str, Any]) -> list[str]:
    tiles = []
    score, regret, adapted = summary.get("normalized_score"), summary.get("regret"), summary["adapted"]
    if score and score["total"]["value"] is not None:
        span = " to ".join(
            text.percent(score["total"][end]) for end in ("low", "high") if score["total"].get(end) is not None
        )
        tiles.append(html.tile("normalised score", text.percent(score["total"]["value"]), span))
    total = adapted["total"]["mean"]
    tiles.append(html.tile("total return", text.number(total["value"]), text.bracket(total)))
    if summary["num_episodes"] > 1:
        first, last = (text.number(adapted[end]["mean"]["value"]) for end in ("first", "last"))
        tiles.append(html.tile("first → last episode", f"{first} → {last}", text.bracket(adapted["last"]["mean"])))
    if regret:
        detail = f"against {regret['reference']}"
        tiles.append(html.tile("regret", text.number(regret["total"]["value"]), detail))
    seeds = summary["num_seeds"]
    detail = f"× {seeds} training seed{'s' if seeds > 1 else ''}"
    return [*tiles, html.tile(f"tasks, {summary['split']} split", f"{summary['num_tasks']:,}", detail)]


def _cost_tiles(run: Run) -> list[str]:
    if run.metrics is None:
        return []
    steps, seconds = float(run.metrics.env_steps[-1]), float(run.metrics.seconds[-1])
    return [html.tile("meta-training", text.duration(seconds), f"{text.count(steps)} environment steps")]


def _split(run: Run, split: str) -> str:
    """Everything about one split; all but the main one say which they are."""
    evaluation = run.evaluations[split]
    main = split == main_split(run)
    suffix = "" if main else f" · {split}"
    anchor = "" if main else f"-{split}"
    sections = [_adaptation(evaluation, suffix, anchor)]
    if evaluation.replays or main:
        sections.append(_replay(evaluation, suffix, anchor))
    sections += [_spread(evaluation, suffix, anchor), _yardsticks(evaluation, suffix, anchor)]
    if evaluation.summary.get("probe"):
        sections.append(_probe(evaluation, suffix, anchor))
    return "".join(sections)


def _adaptation(evaluation: Evaluation, suffix: str, anchor: str) -> str:
    views = [
        (label, html.plot(f"adaptation-{key}{anchor}", adaptation.curve(evaluation, key), description=description))
        for key, label, description in (
            (
                "mean",
                "Mean",
                "Mean return per episode, with controls and reference policies; numbers in the table below",
            ),
            ("iqm", "Interquartile mean", "Interquartile mean of the return per episode"),
        )
    ]
    return html.section(
        f"adaptation{anchor}",
        f"Adaptation within a trial{suffix}",
        html.choice(f"statistic{anchor}", "Show", views),
        f'<p class="caption">{escape(text.interval_note(evaluation.summary))}</p>',
        reading="" if anchor else READ_CURVE,
    )


def _replay(evaluation: Evaluation, suffix: str, anchor: str) -> str:
    drawn = [entry for entry in evaluation.replays if entry["replay"]["kind"] in DRAWN]
    title = f"Behaviour, episode by episode{suffix}"
    if not drawn:
        return html.section(f"replay{anchor}", title, html.notice(NO_REPLAYS))
    name = f"replay-data{anchor}"
    player = f'<div class="replay" data-replays="{escape(name)}"></div>{html.data_script(name, drawn)}'
    notes = [] if anchor else [READ_REPLAY]
    for part, note in (("beliefs", READ_BELIEFS), ("predictions", READ_PREDICTIONS)):
        if any(part in entry for entry in drawn):
            notes.append(note)
    return html.section(f"replay{anchor}", title, player, reading=" ".join(notes))


def _spread(evaluation: Evaluation, suffix: str, anchor: str) -> str:
    title = f"Spread over tasks{suffix}"
    totals, boxes = adaptation.histogram(evaluation), adaptation.boxes(evaluation)
    if totals is None:
        return html.section(f"spread{anchor}", title, html.notice(NO_RETURNS))
    plot = html.plot(f"totals{anchor}", totals, description="Histogram of the total return over trials")
    if boxes is None:
        return html.section(f"spread{anchor}", title, plot, reading=READ_TOTALS)
    plot += html.plot(f"boxes{anchor}", boxes, description="Box plot of each episode's return over trials")
    return html.section(
        f"spread{anchor}", title, f'<div class="pair">{plot}</div>', reading=f"{READ_TOTALS} {READ_BOXES}"
    )


def _yardsticks(evaluation: Evaluation, suffix: str, anchor: str) -> str:
    summary = evaluation.summary
    rows = [_yardstick_row(summary, yardstick) for yardstick in summary["yardsticks"]]
    for key, name, *_ in reversed(adaptation.SERIES):
        if summary.get(key):
            rows.append(_series_row(summary, key, name))
    header = ("policy", "total", "first episode", "last episode", "score")
    caption = f"Returns of reference policies and of this run over {summary['num_tasks']:,} tasks"
    return html.section(
        f"yardsticks{anchor}", f"Against the yardsticks{suffix}", html.table(header, rows, caption=caption),
        reading="" if anchor else READ_YARDSTICKS,
    )  # fmt: skip


def _yardstick_row(summary: dict[str, Any], yardstick: dict[str, Any]) -> list[str]:
    error = yardstick.get("standard_error")
    total = text.number(yardstick["total"]) + (f" ± {text.number(error)}" if error else "")
    ends = (text.number(yardstick["per_episode"][i]) for i in (0, -1))
    return [escape(yardstick["name"]), total, *ends, score_bar(summary, yardstick["total"], "yardstick")]


def _series_row(summary: dict[str, Any], key: str, name: str) -> list[str]:
    parts = [summary[key].get(part) for part in ("total", "first", "last")]
    bar = score_bar(summary, parts[0]["mean"]["value"] if parts[0] else None, key)
    cells = [text.interval(part["mean"]) if part else "–" for part in parts]
    return [f'<strong class="{key}">{escape(name)}</strong>', *cells, bar]


def score_bar(summary: dict[str, Any], total: float | int | None, style: str) -> str:
    """Where ``total`` lies between the floor's and the ceiling's, as a number and a small bar."""
    yardsticks = summary["yardsticks"]
    if total is None or len(yardsticks) < 2 or yardsticks[0]["total"] == yardsticks[-1]["total"]:
        return "–"
    floor, ceiling = yardsticks[0]["total"], yardsticks[-1]["total"]
    score = (total - floor) / (ceiling - floor)
    filled = f'<span style="width:{100 * min(max(score, 0.0), 1.0):.1f}%"></span>'
    return f'<span class="score">{text.percent(score)}</span><span class="bar {style}">{filled}</span>'


def _probe(evaluation: Evaluation, suffix: str, anchor: str) -> str:
    """What the agent knows of its task; of many numbers the mean alone."""
    found = evaluation.summary["probe"]
    single = found["by_feature"] if len(found["by_feature"]) <= MAX_PROBED else []
    rows = [(escape(one["name"]), text.interval(one)) for one in single]
    rows.append((f"all {len(found['by_feature'])}, mean", text.interval(found["r_squared"])))
    caption = f"R² of what the task is made of, over {evaluation.summary['num_tasks']:,} tasks"
    return html.section(
        f"probe{anchor}", f"What the agent knows of its task{suffix}",
        html.table(("of the task", "R²"), rows, caption=caption),
        reading="" if anchor else READ_PROBE,
    )  # fmt: skip


def _learning(run: Run) -> str:
    if run.metrics is None:
        return html.section("learning", "Meta-training", html.notice(NO_METRICS))
    figures = (
        ("learning-total", learning.TOTAL, "total return of a trial", "Total return against environment steps"),
        ("learning-ends", learning.ENDS, "return of an episode", "First and last episode against environment steps"),
    )
    ceilings = {"learning-total": _ceiling(run)}
    plots = "".join(
        html.plot(name, learning.returns(run.metrics, series, y=y, ceiling=ceilings.get(name)), description=description)
        for name, series, y, description in figures
        if any(metric in run.metrics.values for metric, *_ in series)
    )
    small = "".join(
        f"<figure><figcaption>{escape(name)}</figcaption>{html.plot(f'metric-{i}', figure, description=name)}</figure>"
        for i, (name, figure) in enumerate(learning.diagnostics(run.metrics).items())
    )
    rest = html.details("Everything else that was logged", f'<div class="small">{small}</div>') if small else ""
    return html.section("learning", "Meta-training", f'<div class="pair">{plots}</div>', rest, reading=READ_LEARNING)


def _ceiling(run: Run) -> tuple[str, float | int] | None:
    """Name and total of the best reference policy on the main split."""
    split = main_split(run)
    yardsticks = run.evaluations[split].summary["yardsticks"] if split else []
    return (yardsticks[-1]["name"], yardsticks[-1]["total"]) if yardsticks else None


def _provenance(run: Run) -> str:
    """Commands, options and versions; of a run that was resumed, the versions of its last session."""
    commands = "\n".join(dict.fromkeys(str(session["command"]) for session in run.sessions if "command" in session))
    shown = f'<pre tabindex="0"><code>{escape(commands)}</code></pre>' if commands else ""
    options = {name: value for name, value in run.config.items() if name != "command"}
    last = run.sessions[-1] if run.sessions else {}
    tables = "".join(
        html.table((kind, "value"), [(escape(k), escape(v)) for k, v in text.flatten(values).items()], caption=caption)
        for kind, values, caption in (("option", options, "Options"), ("item", last, "Versions and machine"))
        if values
    )
    return html.section("provenance", "What ran", shown, html.details("Options and versions", tables))
