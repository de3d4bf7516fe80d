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
    FAMILY/episodes  returns by episode, beside the planner that holds the true dynamics
    mml-beside       of the first two episodes, one family a row: MML, and what it is measured against
    FAMILY/physics   what it is worth to know the physics, as benchmarks/knowing_physics.py measured it
    FAMILY/steps     returns after so many steps in a task, as benchmarks/steps_in_task.py measured them
    model-tasks      what benchmarks/model_tasks.py measured
    mktn-speed       what benchmarks/mktn_speed.py measured
    demonstrations   what benchmarks/demonstrations.py measured
    default-physics  what benchmarks/default_physics.py measured
    planning-speed   what benchmarks/planning_speed.py measured
    collection-speed what benchmarks/collection_speed.py measured
    meta-world-success  what benchmarks/meta_world_success.py measured
    own-world        what benchmarks/own_world.py measured

Nothing but ``benchmarks/results/*.json`` (see ``store`` in presets.py, and speed.py) decides what is written.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from cells import MISSING, UNMEASURED, duration, estimate, number, table
from measured_tables import (
    Stored,
    collection_speed_table,
    default_physics_table,
    demonstrations_table,
    gradient_speed_table,
    mktn_speed_table,
    model_tasks_table,
    own_world_table,
    physics_table,
    planning_speed_table,
    speed_table,
    steps_table,
    success_table,
)

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"(<!-- results:(?P<name>\S+) -->\n).*?(<!-- /results -->)", re.DOTALL)
MARKER = re.compile(r"<!-- /?results\S* -->")
Result = dict[str, Any]
Column = tuple[str, Callable[[Result], str]]


def read_results(directory: Path) -> list[Result]:
    """The stored results of all presets, by name."""
    stored = [json.loads(path.read_text()) for path in sorted(directory.glob("*.json"))]
    return [result for result in stored if "preset" in result]


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
        return UNMEASURED.format(script="presets.py")
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


def preset_table(results: Sequence[Result], columns: Sequence[Column]) -> str:
    if not results:
        return UNMEASURED.format(script="presets.py")
    return table([name for name, _ in columns], [[cell(result) for _, cell in columns] for result in results])


def yardstick_table(results: Sequence[Result]) -> str:
    """The reference policies on the same tasks as the method, with their standard errors over tasks."""
    if not results:
        return UNMEASURED.format(script="presets.py")
    rows = []
    for result in results:
        for yardstick in result["evaluation"]["yardsticks"]:
            first, last = (number(yardstick["per_episode"][i]) for i in (0, -1))
            total = f"{number(yardstick['total'])} ± {yardstick['standard_error']:.2g}"
            rows.append([f"`{result['preset']}`", yardstick["name"], total, first, last])
    return table(["preset", "policy", "total ± standard error", "first episode", "last episode"], rows)


def quality(evaluation: dict[str, Any] | None) -> list[float]:
    """The returns of the first two episodes, on the scale from the random policy, 0, to the oracle planner, 1."""
    if evaluation is None:
        return []
    known = {y["name"]: y["per_episode"] for y in evaluation["yardsticks"]}
    returns = [x["value"] for x in evaluation["adapted"]["per_episode"]["mean"]]
    low, high = known["random"], known["oracle planner"]
    return [(returns[e] - low[e]) / (high[e] - low[e]) for e in (0, 1)]


def episodes_table(results: Sequence[Result]) -> str:
    """Returns by episode; the first two also on the scale from the random policy, 0, to the oracle planner, 1."""
    if not results:
        return UNMEASURED.format(script="presets.py")
    returns = lambda result: result["evaluation"]["adapted"]["per_episode"]["mean"]
    results = sorted(results, key=lambda r: -returns(r)[1]["value"])
    header = [
        "preset",
        *(f"episode {e + 1}" for e in range(len(returns(results[0])))),
        "first two, 0 random, 1 oracle planner",
        "second, out of distribution",
        "steps per seed",
        "seeds × tasks",
        "time",
    ]
    rows = []
    for result in results:
        share, beyond = (quality(result.get(split)) for split in ("evaluation", "out_of_distribution"))
        rows.append(
            [
                f"`{result['preset']}`",
                *(estimate(x) for x in returns(result)),
                ", ".join(f"{x:.2f}" for x in share),
                f"{beyond[1]:.2f}" if beyond else MISSING,
                f"{result['training']['env_steps']:,}",
                seeds_and_tasks(result),
                f"{duration(result['training']['seconds'])}, {result['sessions'][-1]['started'][:10]}",
            ]
        )
    for name in ("oracle planner", "random"):
        (values,) = [y["per_episode"] for y in results[0]["evaluation"]["yardsticks"] if y["name"] == name]
        rows.append([name, *(number(x) for x in values), "1" if name != "random" else "0", *[MISSING] * 4])
    return table(header, rows)


def beside_mml_table(results: Sequence[Result]) -> str:
    """MML and what it is measured against, one family a row: `quality` of the first two episodes."""
    by_name = {result["preset"]: result for result in results}
    cells = [name.removesuffix("-mml") for name in by_name if name.endswith("-mml")]
    if not cells:
        return UNMEASURED.format(script="presets.py")

    def first_two(cell: str, method: str, split: str = "evaluation") -> str:
        result = by_name.get(f"{cell}-{method}", {})
        return ", ".join(f"{x:.2f}" for x in quality(result.get(split))) or MISSING

    others = ("mml-unadapted", "grbal", "rebal", "rl2")
    rows = [
        [f"`{cell}-mml`", first_two(cell, "mml"), first_two(cell, "mml", "out_of_distribution")]
        + [first_two(cell, other) for other in others]
        for cell in cells
    ]
    header = ["preset", "episodes 1, 2", "out of distribution", "un-adapted", "GrBAL", "ReBAL", "RL²"]
    return table(header, rows)


def blocks(results: Sequence[Result], directory: Path) -> Callable[[str], str]:
    """What belongs into the block of a name; ``directory`` holds the stored results."""
    trials = [result for result in results if not learns_from_rollouts(result)]
    by_script = {
        "speed": (speed_table, "speed", "speed.py"),
        "gradient-speed": (gradient_speed_table, "gradient_speed", "gradient_speed.py"),
        "planning-speed": (planning_speed_table, "planning_speed", "planning_speed.py"),
        "model-tasks": (model_tasks_table, "model-tasks", "model_tasks.py"),
        "mktn-speed": (mktn_speed_table, "mktn_speed", "mktn_speed.py"),
        "default-physics": (default_physics_table, "default-physics", "default_physics.py"),
        "collection-speed": (collection_speed_table, "collection_speed", "collection_speed.py"),
        "meta-world-success": (success_table, "success-meta-world-reach", "meta_world_success.py"),
        "own-world": (own_world_table, "own_world", "own_world.py"),
        "demonstrations": (demonstrations_table, "demonstrations", "demonstrations.py"),
    }

    def measured(write: Callable[[Stored], str], name: str, script: str) -> str:
        path = directory / f"{name}.json"
        return write(json.loads(path.read_text())) if path.exists() else UNMEASURED.format(script=script)

    def block(name: str) -> str:
        if name in by_script:
            return measured(*by_script[name])
        if name in ("summary", "all"):
            return preset_table(trials, SUMMARY if name == "summary" else ALL)
        if name == "yardsticks":
            return yardstick_table(trials)
        if name == "mml-beside":
            return beside_mml_table(trials)
        subject, _, part = name.partition("/")
        belongs = lambda r: subject in (r["evaluation"]["family"], r["evaluation"]["method"])
        if part == "updates":
            return updates_table([r for r in results if learns_from_rollouts(r) and belongs(r)])
        chosen = [r for r in trials if belongs(r)]
        if part == "physics":
            return measured(partial(physics_table, family=subject), "knowing-physics", "knowing_physics.py")
        if part == "steps":
            return measured(steps_table, f"steps-in-{subject}", f"steps_in_task.py {subject}")
        if part == "episodes":
            return episodes_table(chosen)
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
