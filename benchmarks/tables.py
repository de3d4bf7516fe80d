"""Write the result tables of README.md and the documentation from the stored results.

Usage: ``python benchmarks/tables.py`` rewrites every marked block; ``--check`` changes nothing and exits with code 1 if
a page is out of date. A block is what stands between ``<!-- results:NAME -->`` and ``<!-- /results -->``. Names::

    summary          every preset, the numbers that matter most
    all              every preset, everything
    speed            what benchmarks/speed.py measured
    gradient-speed   what benchmarks/gradient_speed.py measured
    yardsticks       reference policies on the same tasks, every preset
    METHOD, FAMILY   as ``all``, for the presets of one method or one family
    FAMILY/yardsticks
    NAME/updates     of a family or a method: returns after 0, 1, 2, … updates, for methods that learn from rollouts

Nothing but ``benchmarks/results/*.json`` (see ``store`` in presets.py, and speed.py) decides what is written.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- results:(?P<name>\S+) -->\n).*?(<!-- /results -->)", re.DOTALL)
MARKER = re.compile(r"<!-- /?results\S* -->")
MISSING = "–"
Result = dict[str, Any]
Column = tuple[str, Callable[[Result], str]]


def read_results(directory: Path) -> list[Result]:
    """The stored results of all presets, by name."""
    stored = [json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))]
    return [result for result in stored if "preset" in result]


def number(value: float) -> str:
    """Three decimals where the first digits are few, two elsewhere."""
    return f"{value:.3f}" if abs(value) < 10 else f"{value:,.2f}"


def estimate(numbers: dict[str, float | None]) -> str:
    """A value with its confidence interval; without one for a single seed."""
    value, low, high = numbers["value"], numbers["low"], numbers["high"]
    if value is None:
        return MISSING
    return number(value) if low is None or high is None else f"{number(value)} [{number(low)}, {number(high)}]"


def duration(seconds: float) -> str:
    """Rounded to what matters."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def count(steps: float) -> str:
    """A number of steps, in millions."""
    return f"{steps / 1e6:,.1f} M"


def reference(result: Result, *words: str) -> str:
    """The first published value whose name holds one of ``words`` (the first word that fits); named if it needs it."""
    for word in words:
        for name, value in result["published"].items():
            if word in name:
                text = f"≈ {value:g}" if "≈" in name else f"{value:g}"
                return text if name.startswith(word) else f"{text}, {name}"
    return MISSING


def curve(result: Result, name: str, part: str, kind: str = "mean") -> str:
    """One estimate of the evaluation: ``name`` adapted, unadapted or shuffled; ``part`` total, first or last."""
    returns = result["evaluation"][name]
    return MISSING if returns is None else estimate(returns[part][kind])


def ends(result: Result) -> str:
    """How the return of an episode changes from the first to the last of a trial."""
    adapted = result["evaluation"]["adapted"]
    return " → ".join(number(adapted[part]["mean"]["value"]) for part in ("first", "last"))


def seeds_and_tasks(result: Result) -> str:
    evaluation = result["evaluation"]
    return f"{evaluation['num_seeds']} × {evaluation['num_tasks']:,}"


PRESET: Column = ("preset", lambda r: f"`{r['preset']}`")
TOTAL: Column = ("total on the test split, mean [95 %]", lambda r: curve(r, "adapted", "total"))
PUBLISHED: Column = ("published RL²", lambda r: reference(r, "RL²"))
OPTIMUM: Column = ("exact reference", lambda r: reference(r, "optimum", "exact"))
UNADAPTED: Column = ("un-adapted", lambda r: curve(r, "unadapted", "total"))
SUMMARY: tuple[Column, ...] = (PRESET, TOTAL, PUBLISHED, OPTIMUM, UNADAPTED)
ALL: tuple[Column, ...] = (
    PRESET,
    TOTAL,
    ("IQM [95 %]", lambda r: curve(r, "adapted", "total", "iqm")),
    ("first → last episode", ends),
    PUBLISHED,
    OPTIMUM,
    UNADAPTED,
    ("shuffled, last episode", lambda r: curve(r, "shuffled", "last")),
    ("seeds × test tasks", seeds_and_tasks),
    ("training steps per seed", lambda r: count(r["training"]["env_steps"])),
    ("time, all seeds", lambda r: duration(r["training"]["seconds"])),
    ("command", lambda r: f"`{r['command']}`"),
    ("date", lambda r: r["sessions"][-1]["started"][:10]),
)


def learns_from_rollouts(result: Result) -> bool:
    """Whether a trial falls into rollouts of one policy each, with an update between them."""
    return "num_updates" in result["config"]["method_options"].get("inner", {})


def updates_table(results: Sequence[Result]) -> str:
    """Return of the rollouts before the first update, and after each; the best value after the last update first."""
    if not results:
        return "*Not measured yet: `python benchmarks/presets.py` does.*"
    returns = lambda result: result["evaluation"]["adapted"]["per_block"]["mean"]
    results = sorted(results, key=lambda r: (r["evaluation"]["family"], -returns(r)[-1]["value"]))
    most = max(len(returns(r)) for r in results)
    header = ["preset", *(f"after {b}" for b in range(most)), "shuffled", "steps per seed", "seeds × tasks", "time"]
    rows = [
        [
            f"`{r['preset']}`",
            *(estimate(x) for x in returns(r)),
            curve(r, "shuffled", "last"),
            count(r["training"]["env_steps"]),
            seeds_and_tasks(r),
            f"{duration(r['training']['seconds'])}, {r['sessions'][-1]['started'][:10]}",
        ]
        for r in results
    ]
    return table(header, rows)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table: the first column left, the others right."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def preset_table(results: Sequence[Result], columns: Sequence[Column]) -> str:
    if not results:
        return "*Not measured yet: `python benchmarks/presets.py` does.*"
    return table([name for name, _ in columns], [[cell(result) for _, cell in columns] for result in results])


def yardstick_table(results: Sequence[Result]) -> str:
    """The reference policies on the same tasks as the method, with their standard errors over tasks."""
    if not results:
        return "*Not measured yet: `python benchmarks/presets.py` does.*"
    rows = []
    for result in results:
        for yardstick in result["evaluation"]["yardsticks"]:
            first, last = (number(yardstick["per_episode"][i]) for i in (0, -1))
            total = f"{number(yardstick['total'])} ± {yardstick['standard_error']:.2g}"
            rows.append([f"`{result['preset']}`", yardstick["name"], total, first, last])
    return table(["preset", "policy", "total ± standard error", "first episode", "last episode"], rows)


def speed_table(path: Path) -> str:
    if not path.exists():
        return "*Not measured yet: `python benchmarks/speed.py` does.*"
    speed = json.loads(path.read_text())
    rows = [
        [
            f"`{family}`",
            f"{row['all_cores']['env_steps_per_second']:,.0f}",
            f"{row['one_core']['env_steps_per_second']:,.0f}",
            f"{row['all_cores_over_one_core']:.2f}",
            f"{row['one_seed_all_cores']['env_steps_per_second']:,.0f}",
            f"{row['cold_seconds_to_first_metric']:.1f} s / {row['warm_seconds_to_first_metric']:.1f} s",
            str(row["all_cores"]["programs_compiled_after_second_update"]),
            f"{row['all_cores']['peak_memory_gib']:.2f} GiB",
        ]
        for family, row in speed["families"].items()
    ]
    session = speed["session"]
    header = [
        "family",
        f"env steps/s, {session['cpus']} cores",
        "one core",
        "ratio",
        "one seed on all cores",
        "first metric, cold / warm",
        "compiled after the second update",
        "peak memory",
    ]
    return f"{table(header, rows)}\n\n`{speed['command']}`, {session['started'][:10]}."


def gradient_speed_table(path: Path) -> str:
    """Speed of a second-order meta-update, and how time and memory grow with inner updates and tasks."""
    if not path.exists():
        return "*Not measured yet: `python benchmarks/gradient_speed.py` does.*"
    stored = json.loads(path.read_text())
    speed = table(
        ["policy", "seconds a meta-update", "env steps/s", "first metric, cold / warm"],
        [
            [
                name,
                f"{row['seconds_per_meta_update']:.3f}",
                f"{row['env_steps_per_second']:,.0f}",
                f"{row['cold_seconds_to_first_metric']:.1f} s / {row['seconds_to_first_metric']:.1f} s",
            ]
            for name, row in stored["speed"].items()
        ],
    )
    scaling = table(
        ["inner updates", "tasks", "rematerialised", "seconds a meta-update", "peak memory"],
        [
            [
                str(row["updates"]),
                str(row["tasks"]),
                "yes" if row["remat"] else "no",
                f"{row['seconds_per_meta_update']:.3f}",
                f"{row['peak_memory_gib']:.2f} GiB",
            ]
            for row in stored["scaling"]
        ],
    )
    session = stored["session"]
    return f"{speed}\n\n{scaling}\n\n`{stored['command']}`, {session['cpus']} cores, {session['started'][:10]}."


def blocks(results: Sequence[Result], directory: Path) -> Callable[[str], str]:
    """What belongs into the block of a name; ``directory`` holds the stored results."""
    trials = [result for result in results if not learns_from_rollouts(result)]

    def block(name: str) -> str:
        if name == "speed":
            return speed_table(directory / "speed.json")
        if name == "gradient-speed":
            return gradient_speed_table(directory / "gradient_speed.json")
        if name in ("summary", "all"):
            return preset_table(trials, SUMMARY if name == "summary" else ALL)
        if name == "yardsticks":
            return yardstick_table(trials)
        subject, _, part = name.partition("/")
        belongs = lambda r: subject in (r["evaluation"]["family"], r["evaluation"]["method"])
        if part == "updates":
            return updates_table([r for r in results if learns_from_rollouts(r) and belongs(r)])
        chosen = [r for r in trials if belongs(r)]
        return yardstick_table(chosen) if part == "yardsticks" else preset_table(chosen, ALL)

    return block


def rewrite(text: str, block: Callable[[str], str]) -> str:
    """``text`` with its marked blocks filled in.

    Raises:
        ValueError: a marker has no partner.
    """
    if len(MARKER.findall(text)) != 2 * len(BLOCK.findall(text)):
        raise ValueError("a <!-- results:NAME --> marker without its <!-- /results -->, or the reverse")
    return BLOCK.sub(lambda match: f"{match[1]}{block(match['name'])}\n{match[3]}", text)


def main(args: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Rewrite the pages under ``root``, or with ``--check`` only compare; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the result tables of README.md and docs/.")
    parser.add_argument(
        "--check", action="store_true", help="change nothing; exit with code 1 if a page is out of date"
    )
    check = parser.parse_args(args).check
    results = root / "benchmarks" / "results"
    block = blocks(read_results(results), results)
    stale = []
    for page in [root / "README.md", *sorted((root / "docs").rglob("*.md"))]:
        old = page.read_text()
        new = rewrite(old, block)
        if new != old:
            stale.append(str(page.relative_to(root)))
            if not check:
                page.write_text(new)
    for page in stale:
        print(f"{page}: {'out of date; run python benchmarks/tables.py' if check else 'rewritten'}")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
