"""One run on disk: what was asked, what ran, what came of it.

The layout::

    config.json          the method, the family and every option
    versions.json        one entry a session (a start or a resume): versions, platform, devices, command, time
    metrics.jsonl        one line a meta-update, streamed
    checkpoints/         see `quickstudy.checkpoint`
    evaluation/<split>/  summary.json, returns.npz, replays.json
    report.html
    tensorboard/

This module does not import JAX, so that the command line can look at runs at once.
"""

import datetime
import importlib.metadata
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quickstudy.errors import InvalidArgument, RunExists

_PACKAGES = ("quickstudy", "jax", "jaxlib", "equinox", "optax", "numpy", "orbax-checkpoint")


class RunDirectory:
    """The directory of one run. Make one with `create` or `open`."""

    def __init__(self, path: Path):
        self.path = path
        self.config_file = path / "config.json"
        self.versions_file = path / "versions.json"
        self.metrics_file = path / "metrics.jsonl"
        self.checkpoints = path / "checkpoints"
        self.tensorboard = path / "tensorboard"
        self.report = path / "report.html"

    @classmethod
    def create(
        cls, path: str | Path, config: dict[str, Any], *, devices: Sequence[str] = (), overwrite: bool = False
    ) -> "RunDirectory":
        """Begin a run in ``path``: write its configuration and record this session.

        Args:
            path: the directory; its parents are made.
            config: what was asked, as JSON values.
            devices: names of the devices that the run computes on.
            overwrite: remove the run that is there first. Files that are not part of a run are left alone.

        Raises:
            RunExists: if ``path`` holds a run and ``overwrite`` is off.
            InvalidArgument: if ``path`` is a file.
        """
        run = cls(Path(path))
        if run.config_file.exists():
            if not overwrite:
                mend = "go on with --resume, replace it with --overwrite, or choose another name"
                raise RunExists(f"{run.path} already holds a run: {mend}")
            run._remove()
        _make_directory(run.path)
        write_json(run.config_file, config)
        run.record_session(devices=devices)
        return run

    @classmethod
    def open(cls, path: str | Path) -> "RunDirectory":
        """The run in ``path``.

        Raises:
            InvalidArgument: if there is no run.
        """
        run = cls(Path(path))
        if not run.config_file.is_file():
            reason = "it has no config.json" if run.path.is_dir() else "it is no directory"
            raise InvalidArgument(f"{run.path} is not a run directory ({reason}): give the directory that train wrote")
        return run

    def evaluation(self, split: str) -> Path:
        """Where the evaluation on the tasks of ``split`` lies."""
        return self.path / "evaluation" / split

    def read_config(self) -> dict[str, Any]:
        """What was asked.

        Raises:
            InvalidArgument: if config.json is not a JSON object.
        """
        config = _read_json(self.config_file)
        if not isinstance(config, dict):
            raise InvalidArgument(f"{self.config_file} is not a JSON object: restore the file that train wrote")
        return config

    def record_session(self, *, devices: Sequence[str] = ()) -> None:
        """Add an entry to versions.json: what runs from now on, on which ``devices``."""
        write_json(self.versions_file, [*self.read_sessions(), describe_session(devices)])

    def read_sessions(self) -> list[dict[str, Any]]:
        """The entries of versions.json, the first session first."""
        return _read_json(self.versions_file) if self.versions_file.exists() else []

    def append_metrics(self, record: dict[str, Any]) -> None:
        """Write the line of one meta-update, which is on its way to disk when this returns.

        Args:
            record: JSON values, arrays and numpy scalars; ``"step"`` counts meta-updates.
        """
        line = json.dumps({"step": int(record["step"]), **record}, default=_as_json) + "\n"
        with self.metrics_file.open("a", encoding="utf-8") as file:
            file.write(line)

    def truncate_metrics(self, after_step: int) -> None:
        """Drop the lines of meta-updates after ``after_step``, and a half-written last line, before a resume."""
        records = [record for record in self.read_metrics() if record["step"] <= after_step]
        _replace(self.metrics_file, "".join(json.dumps(record) + "\n" for record in records))

    def read_metrics(self) -> list[dict[str, Any]]:
        """The record of every meta-update, in order; a half-written last line is passed over.

        Raises:
            InvalidArgument: if any other line is not a record.
        """
        if not self.metrics_file.exists():
            return []
        lines = self.metrics_file.read_bytes().splitlines()
        records = [_parse_record(line) for line in lines]
        if records and records[-1] is None:
            records.pop()
        if None in records:
            number = records.index(None) + 1
            raise InvalidArgument(f"{self.metrics_file}, line {number}, is not a metrics record: remove that line")
        return [record for record in records if record is not None]

    def last_step(self) -> int:
        """The last meta-update that was written down, 0 before the first."""
        records = self.read_metrics()
        return int(records[-1]["step"]) if records else 0

    def _remove(self) -> None:
        """Remove the run; its configuration goes last, so that an interrupted removal still looks like a run."""
        for directory in (self.checkpoints, self.tensorboard, self.path / "evaluation"):
            shutil.rmtree(directory, ignore_errors=True)
        for file in (self.report, self.metrics_file, self.versions_file, self.config_file):
            file.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader, or a process killed meanwhile, finds the old file or the new one, never a part."""
    _replace(path, json.dumps(value, indent=2, default=_as_json) + "\n")


def describe_session(devices: Sequence[str] = ()) -> dict[str, Any]:
    """What runs now: versions of the packages, Python, platform, ``devices``, git commit, command and time (UTC)."""
    return {
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command_line(),
        "python": platform.python_version(),
        "packages": {package: _version(package) for package in _PACKAGES},
        "commit": _commit(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "devices": list(devices),
    }


def command_line() -> str:
    """The command that this process was started with, as one would type it."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The git commit of a development checkout, with ``-dirty`` if it has changes; None for an installed package."""
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():
        return None
    command = [
        "git",
        "--no-optional-locks",
        "-C",
        str(root),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise InvalidArgument(f"{path} cannot be a run directory, a file is in the way: choose another name") from error


def _replace(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise InvalidArgument(f"{path} is not JSON ({error}): restore the file that train wrote") from error


def _parse_record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and isinstance(record.get("step"), int) else None


def _as_json(value: Any) -> Any:
    """Arrays and numpy scalars as lists and numbers, paths as text."""
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")
