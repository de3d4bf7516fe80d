"""Reading a run directory: what is there, checked; what is not there yet, left out."""

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from quickstudy.errors import QuickstudyError
from quickstudy.run_directory import RunDirectory

REEVALUATE = "run `quickstudy evaluate` on this run again"
RETRAIN = "restore it from a copy, or train again"

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

# What an entry of replays.json may hold beside its replay, with what that cannot do without.
BESIDE_REPLAYS = {"beliefs": ("limits", "episodes"), "predictions": ("errors", "starts", "episodes")}


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
    """A run directory.

    Attributes:
        path: where it is.
        config: what was asked.
        sessions: an entry for each start or resume.
        metrics: what training logged; None before the first iteration.
        evaluations: by split, the main one first.
    """

    path: Path
    config: dict[str, Any]
    sessions: list[dict[str, Any]]
    metrics: Metrics | None
    evaluations: dict[str, Evaluation]


def read_run(path: Path) -> Run:
    """Read the run directory ``path``.

    Raises:
        InvalidArgument: ``path`` is not a run directory.
        QuickstudyError: one of its files is damaged; the message names the file and the mend.
    """
    directory = RunDirectory.open(path)
    summaries = sorted(path.glob("evaluation/*/summary.json"), key=_split_order)
    return Run(
        path=path,
        config=directory.read_config(),
        sessions=_read_sessions(directory),
        metrics=_read_metrics(directory),
        evaluations={summary.parent.name: _read_evaluation(summary.parent) for summary in summaries},
    )


def main_split(run: Run) -> str | None:
    """The split that the run is judged by: ``test``, else the first one; None without an evaluation."""
    return next(iter(run.evaluations), None)


def _split_order(summary: Path) -> tuple[bool, str]:
    return summary.parent.name != "test", summary.parent.name


def _read_json(path: Path, kind: type, mend: str = REEVALUATE) -> Any:
    try:
        value = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise QuickstudyError(f"{path} cannot be read as JSON ({error}): {mend}") from error
    if not isinstance(value, kind):
        raise QuickstudyError(f"{path} holds a {type(value).__name__} where a {kind.__name__} belongs: {mend}")
    return value


def _read_evaluation(path: Path) -> Evaluation:
    summary = _read_json(path / "summary.json", dict)
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
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (ValueError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise QuickstudyError(f"{path} cannot be read as NumPy arrays ({error}): {REEVALUATE}") from error


def _read_replays(path: Path) -> list[dict[str, Any]]:
    replays = _read_json(path, list)
    for i, entry in enumerate(replays):
        if not isinstance(entry, dict) or not isinstance(entry.get("replay"), dict) or "kind" not in entry["replay"]:
            raise QuickstudyError(f"{path}: entry {i} has no 'replay' with a 'kind': {REEVALUATE}")
        for part, names in BESIDE_REPLAYS.items():
            if part in entry and not (isinstance(entry[part], dict) and set(names) <= set(entry[part])):
                listed = " and ".join(map(repr, names))
                raise QuickstudyError(f"{path}: the {part!r} of entry {i} have no {listed}: {REEVALUATE}")
    return replays


def _read_sessions(directory: RunDirectory) -> list[dict[str, Any]]:
    if not directory.versions_file.exists():
        return []
    sessions = _read_json(directory.versions_file, list, RETRAIN)
    if not all(isinstance(session, dict) for session in sessions):
        raise QuickstudyError(f"{directory.versions_file} is no list of sessions: {RETRAIN}")
    return sessions


def _read_metrics(directory: RunDirectory) -> Metrics | None:
    records = directory.read_metrics()
    if not records:
        return None
    scalars = ("step", "env_steps", "seconds")
    names = [name for name, value in records[-1].items() if isinstance(value, list)]
    try:
        columns = {name: np.asarray([record[name] for record in records], float) for name in (*scalars, *names)}
    except (KeyError, TypeError, ValueError) as error:
        message = f"{directory.metrics_file}: its lines do not all hold the same metrics ({error!r}): {RETRAIN}"
        raise QuickstudyError(message) from error
    step, env_steps, seconds = (columns.pop(name) for name in scalars)
    return Metrics(step, env_steps, seconds, columns)
