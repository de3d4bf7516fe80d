"""Numbers and sentences as people read them."""

import math
from typing import Any

from quickstudy.report.run import Evaluation, Run

MINUS = "\N{MINUS SIGN}"
WORDS = {
    **{"rl2": "RL²", "multitask": "multi-task PPO", "maml": "MAML", "mdp": "MDP", "mdps": "MDPs"},
    **{"bernoulli": "Bernoulli", "gaussian": "Gaussian", "thompson": "Thompson"},
}


def title(name: Any) -> str:
    """A method's or family's name, as the command line writes it, in the way a sentence does."""
    return " ".join(WORDS.get(word, word) for word in str(name).replace("_", "-").split("-"))


def number(value: float | int | None) -> str:
    """A number to two decimals, or to three significant digits where that says more; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    plain = value == 0 or 0.01 <= abs(value) < 1e6
    return (f"{value:,.2f}" if plain else f"{value:.2e}").replace("-", MINUS)


def count(value: float | int) -> str:
    """A whole number, in millions where it has that many."""
    if value >= 1e6:
        return f"{value / 1e6:,.1f} M"
    return f"{int(value):,}"


def interval(estimate: dict[str, Any]) -> str:
    """``value [low, high]``, without the bracket where there is no interval."""
    return " ".join(part for part in (number(estimate["value"]), bracket(estimate)) if part)


def bracket(estimate: dict[str, Any]) -> str:
    """``[low, high]``, or nothing where there is no interval."""
    if estimate.get("low") is None or estimate.get("high") is None:
        return ""
    return f"[{number(estimate['low'])}, {number(estimate['high'])}]"


def percent(value: float | int) -> str:
    """A share, to a whole per cent, or to a tenth close to 100 %."""
    digits = 1 if 0.95 < value < 1.05 and value != 1 else 0
    return f"{100 * value:.{digits}f} %".replace("-", MINUS)


def duration(seconds: float | int) -> str:
    """A time in the two largest of hours, minutes and seconds."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def option(value: Any) -> str:
    """An option's value; a dash for none."""
    if value is None or value == []:
        return "–"
    if isinstance(value, list):
        return ", ".join(option(item) for item in value)
    return str(value)


def flatten(value: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested options as one level, with dotted names."""
    flat: dict[str, str] = {}
    for key, item in value.items():
        if isinstance(item, dict) and item:
            flat |= flatten(item, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = "–" if item == {} else option(item)
    return flat


def subject(run: Run) -> str:
    """What was run on what."""
    return f"{title(run.config.get('method', 'unknown method'))} on {title(run.config.get('family', 'unknown family'))}"


def headline(run: Run, evaluation: Evaluation | None) -> str:
    """What was learned, in one sentence. It claims a rise or a fall only where the last episode's interval shows it."""
    if evaluation is None:
        return f"{subject(run)}: not evaluated yet."
    summary = evaluation.summary
    method, family = title(run.config.get("method", "the agent")), title(run.config.get("family", ""))
    total = number(summary["adapted"]["total"]["mean"]["value"])
    tasks = f"{summary['num_tasks']:,} {family} tasks of the {summary['split']} split"
    text = f"On {tasks}, {method} earns a return of {total}"
    if summary["yardsticks"]:
        ceiling = summary["yardsticks"][-1]
        text += f" where {ceiling['name']} earns {number(ceiling['total'])}"
    return f"{text}{_improvement_clause(summary)}{_score_clause(summary)}."


def _improvement_clause(summary: dict[str, Any]) -> str:
    if summary["num_episodes"] < 2:
        return ""
    first, last = (summary["adapted"][which]["mean"] for which in ("first", "last"))
    ends = f"from {number(first['value'])} in the first episode to {number(last['value'])} in the last"
    if last.get("low") is None or last["low"] <= first["value"] <= last["high"]:
        return f", and goes {ends}"
    return f", and {'rises' if last['value'] > first['value'] else 'falls'} {ends}"


def _score_clause(summary: dict[str, Any]) -> str:
    score = summary.get("normalized_score")
    if not score or score["total"]["value"] is None:
        return ""
    return f": {percent(score['total']['value'])} of the way from {score['floor']} to {score['ceiling']}"


def interval_note(summary: dict[str, Any]) -> str:
    """What the intervals mean, or why there are none."""
    seeds = summary["num_seeds"]
    if seeds < 2:
        return (
            "There is no interval: this run has one training seed, and the seed is the replicate. Tasks and episodes "
            "of one training say nothing about how another training would have ended."
        )
    confidence = summary.get("confidence", 0.95)
    return (
        f"Bands and brackets are {100 * confidence:g} % confidence intervals over "
        f"{seeds} training seeds: the seed is the replicate, and every seed sees the same tasks."
    )
