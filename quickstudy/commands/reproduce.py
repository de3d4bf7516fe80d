"""``quickstudy reproduce PRESET``: a preset's settings from start to report, and its published table beside ours."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import tyro

from quickstudy.presets import Preset, preset


@dataclasses.dataclass(frozen=True)
class ReproduceOptions:
    """Run a preset as it stands."""

    preset: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="PRESET")]
    """Name of the preset; `quickstudy list` shows them."""
    out: Path | None = None
    """Run directory; the default is runs/PRESET. A run that is already there goes on where it stopped."""
    num_seeds: int | None = None
    """Independent training runs, if not as many as the preset says."""


def main(args: Sequence[str]) -> None:
    """Train (or go on), evaluate, report, and print the table."""
    options = tyro.cli(ReproduceOptions, args=args, prog="quickstudy reproduce")
    chosen = preset(options.preset)
    if options.num_seeds is not None:
        chosen = dataclasses.replace(chosen, num_seeds=options.num_seeds)
    from quickstudy.commands.session import CONSOLE, evaluate_and_report, train_and_report
    from quickstudy.commands.train import RunOptions
    from quickstudy.experiment import Experiment
    from quickstudy.run_directory import RunDirectory, command_line

    out = options.out or Path("runs") / options.preset
    experiment = Experiment.from_preset(options.preset, chosen)
    exists = RunDirectory(out).config_file.exists()
    config = experiment.config() | {"command": command_line()}
    open_run = lambda: RunDirectory.open(out) if exists else RunDirectory.create(out, config)
    train_and_report(experiment, open_run, RunOptions(evaluate=False))
    summary = evaluate_and_report(RunDirectory.open(out), "test", experiment)
    CONSOLE.print(comparison(options.preset, chosen, summary["adapted"]["total"]["mean"]))


def comparison(name: str, chosen: Preset, total: dict[str, float | None]) -> "object":
    """The published table with this run's total return in it, as a Rich table."""
    from rich.table import Table

    table = Table(title=f"{name}: total return of a trial ({chosen.source})", title_justify="left")
    table.add_column("")
    table.add_column("total", justify="right")
    for label, value in chosen.published.items():
        table.add_row(label, f"{value:.2f}")
    interval = "" if total["low"] is None else f" [{total['low']:.3f}, {total['high']:.3f}]"
    table.add_row(f"[bold]{chosen.method}, this run", f"[bold]{total['value']:.3f}{interval}")
    return table
