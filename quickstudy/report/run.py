"""Reading a run directory: what is there, checked; what is not there yet, left out."""

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from quickstudy.errors import InvalidArgument, QuickstudyError

RETRAIN = "restore it from a copy, or train again"
REEVALUATE = "run `quickstudy evaluate` on this run again"

# What the pages cannot do without, as paths into summary.json.
REQUIRED = (
    ("num_seeds",),
    ("num_tasks",),
    ("num_episodes",),
    ("yardsticks",),
    ("adapted", "per_episode", "mean"),
    ("adapted", "per_episode", "iqm"),
    ("adapted", "total", "mean"),
    ("adapted", "first", "mean"),
    ("adapted", "last", "mean"),
)


class Metrics(NamedTuple):
    """What training logged at its N iterations.

    Attributes:
        step: iterations done, ``[N]``.
        env_steps: environment steps done, ``[N]``.
        seconds: time since training began, ``[N]``, in seconds.
        values: every other metric, ``[N, S]``.
    """

    step: np.ndarray
    env_steps: np.ndarray
    seconds: np.ndarray
    values: dict[str, np.ndarray]


class Evaluation(NamedTuple):
    """One split's evaluation.

    Attributes:
        summary: the statistics, as `summary.json` holds them.
        returns: ``adapted``, ``unadapted``, ``shuffled`` ``[S, K, E]`` and ``yardstick/<name>`` ``[K, E]``.
        replays: what the agent did in a few tasks.
    """

    summary: dict[str, Any]
    returns: dict[str, np.ndarray]
    replays: list[dict[str, Any]]


class Run(NamedTuple):
    """A run directory. ``metrics`` is None before the first iteration; ``evaluations`` has an entry a split."""

    path: Path
    config: dict[str, Any]
    versions: dict[str, Any]
    metrics: Metrics | None
    evaluations: dict[str, Evaluation]


def read_run(path: Path) -> Run:
    """Read the run directory ``path``.

    Raises:
        InvalidArgument: ``path`` is not a run directory.
        QuickstudyError: one of its files is damaged; the message names the file and the mend.
    """
    config = path / "config.json"
    if not config.is_file():
        raise InvalidArgument(f"no run at {str(path)!r}: it has no config.json; give a directory that a training wrote")
    versions, metrics = path / "versions.json", path / "metrics.jsonl"
    summaries = sorted(path.glob("evaluation/*/summary.json"), key=_split_order)
    return Run(
        path=path,
        config=_read_json(config, dict, RETRAIN),
        versions=_read_json(versions, dict, RETRAIN) if versions.is_file() else {},
        metrics=_read_metrics(metrics) if metrics.is_file() else None,
        evaluations={summary.parent.name: _read_evaluation(summary.parent) for summary in summaries},
    )


def main_split(run: Run) -> str | None:
    """The split that the run is judged by: ``test``, else the first one; None without an evaluation."""
    return next(iter(run.evaluations), None)


def _split_order(summary: Path) -> tuple[bool, str]:
    return summary.parent.name != "test", summary.parent.name


def _read_json(path: Path, kind: type, mend: str) -> Any:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise QuickstudyError(f"{path} cannot be read as JSON ({error}): {mend}") from error
    if not isinstance(value, kind):
        raise QuickstudyError(f"{path} holds a JSON {type(value).__name__} where a {kind.__name__} belongs: {mend}")
    return value


def _read_evaluation(path: Path) -> Evaluation:
    summary = _read_json(path / "summary.json", dict, REEVALUATE)
    for keys in REQUIRED:
        _require(summary, keys, path / "summary.json")
    returns, replays = path / "returns.npz", path / "replays.json"
    return Evaluation(
        summary=summary,
        returns=_read_arrays(returns) if returns.is_file() else {},
        replays=_read_replays(replays) if replays.is_file() else [],
    )


def _require(summary: dict[str, Any], keys: tuple[str, ...], path: Path) -> None:
    value: Any = summary
    for key in keys:
        if not isinstance(value, dict) or key not in value:
            raise QuickstudyError(f"{path} lacks {'.'.join(keys)!r}: {REEVALUATE}")
        value = value[key]


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise QuickstudyError(f"{path} cannot be read as NumPy arrays ({error}): {REEVALUATE}") from error


def _read_replays(path: Path) -> list[dict[str, Any]]:
    replays = _read_json(path, list, REEVALUATE)
    for i, entry in enumerate(replays):
        if not isinstance(entry, dict) or not isinstance(entry.get("replay"), dict) or "kind" not in entry["replay"]:
            raise QuickstudyError(f"{path}: entry {i} has no 'replay' with a 'kind': {REEVALUATE}")
    return replays


def _read_metrics(path: Path) -> Metrics | None:
    """The lines of metrics.jsonl in the order of their steps; of a step written twice (a resumed run) the later one.

    A last line that was cut off belongs to a run that is being written, or was killed: it is left out.
    """
    records: dict[int, dict[str, Any]] = {}
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines[:-1], start=1):
        if line.strip():
            record = _read_record(line, f"{path}, line {number},")
            records[record["step"]] = record
    if not records:
        return None
    ordered = [records[step] for step in sorted(records)]
    scalars = ("step", "env_steps", "seconds")
    names = [name for name, value in ordered[-1].items() if isinstance(value, list)]
    try:
        columns = {name: np.asarray([r[name] for r in ordered], float) for name in (*scalars, *names)}
    except (KeyError, TypeError, ValueError) as error:
        raise QuickstudyError(f"{path}: its lines do not all hold the same metrics ({error}): {RETRAIN}") from error
    step, env_steps, seconds = (columns.pop(name) for name in scalars)
    return Metrics(step, env_steps, seconds, columns)


def _read_record(line: bytes, where: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise QuickstudyError(f"{where} cannot be read as JSON ({error}): delete the line or {RETRAIN}") from error
    if not isinstance(record, dict) or not isinstance(record.get("step"), int):
        raise QuickstudyError(f"{where} is no record with a whole-numbered 'step': delete the line or {RETRAIN}")
    return record
