"""Commands that work on runs which are already there: evaluate, adapt, export, report, compare."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

Split = Literal["train", "validation", "test", "ood"]


@dataclasses.dataclass(frozen=True)
class EvaluateOptions:
    """Measure a run on held-out tasks, store the evaluation and write the report."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run directory."""
    split: Split = "test"
    """Which tasks; ood are tasks from outside the range trained on."""
    num_tasks: int | None = None
    """How many tasks, if not as many as the run was started with."""


@dataclasses.dataclass(frozen=True)
class AdaptOptions:
    """Let a trained run adapt to one new task, and print the return of each episode."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run directory."""
    split: Split = "test"
    """Where the task comes from."""
    task_seed: int = 0
    """Which task of the split."""
    training_seed: int = 0
    """Which of the run's training seeds adapts."""
    out: Path | None = None
    """Write returns and replay to this file, as JSON."""


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """Write a trained agent as StableHLO programs, weights and a description."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run directory, or a directory that `Agent.save` wrote."""
    out: Annotated[Path, tyro.conf.Positional]
    """Directory to write."""
    training_seed: int = 0
    """Which of the run's training seeds."""
    block_length: int | None = None
    """Steps between two updates, if not the experience that an update had in training."""


@dataclasses.dataclass(frozen=True)
class ReportOptions:
    """Write the report of a run again, from what is stored."""

    run: Annotated[Path, tyro.conf.Positional]
    """Run directory."""


@dataclasses.dataclass(frozen=True)
class CompareOptions:
    """Put several evaluated runs of one family on one page."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Run directories."""
    out: Path = Path("comparison.html")
    """The page to write."""


def evaluate(args: Sequence[str]) -> None:
    """``quickstudy evaluate RUN``."""
    options = tyro.cli(EvaluateOptions, args=args, prog="quickstudy evaluate")
    from quickstudy.commands.session import evaluate_and_report
    from quickstudy.experiment import Experiment
    from quickstudy.run_directory import RunDirectory

    run = RunDirectory.open(options.run)
    evaluate_and_report(run, options.split, Experiment.from_config(run.read_config()), options.num_tasks)


def adapt(args: Sequence[str]) -> None:
    """``quickstudy adapt RUN``."""
    options = tyro.cli(AdaptOptions, args=args, prog="quickstudy adapt")
    from quickstudy.experiment import adapt_run
    from quickstudy.run_directory import RunDirectory, write_json

    run = RunDirectory.open(options.run)
    result = adapt_run(run, options.split, task_seed=options.task_seed, training_seed=options.training_seed)
    for episode, value in enumerate(result["returns"], start=1):
        print(f"episode {episode}: return {value:.3f}")
    if options.out is not None:
        write_json(options.out, result)
        print(f"returns and replay: {options.out}")


def export(args: Sequence[str]) -> None:
    """``quickstudy export RUN OUT``."""
    options = tyro.cli(ExportOptions, args=args, prog="quickstudy export")
    from quickstudy.ship.loading import load

    agent = load(options.run, training_seed=options.training_seed, block_length=options.block_length)
    agent.export(options.out)
    print(f"exported: {options.out}")


def report(args: Sequence[str]) -> None:
    """``quickstudy report RUN``."""
    options = tyro.cli(ReportOptions, args=args, prog="quickstudy report")
    from quickstudy.report import write_report

    print(f"report: {write_report(options.run)}")


def compare(args: Sequence[str]) -> None:
    """``quickstudy compare RUN RUN …``."""
    options = tyro.cli(CompareOptions, args=args, prog="quickstudy compare")
    from quickstudy.report import write_comparison

    print(f"comparison: {write_comparison(list(options.runs), options.out)}")
