"""One sitting at the terminal: train with a live display, survive Ctrl-C, evaluate, write the report."""

import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
from rich.console import Console

from quickstudy.errors import EnvironmentFailed, NonFinite
from quickstudy.experiment import Experiment, evaluate_run, train
from quickstudy.logging import AbstractLogger, MLflowLogger, TensorBoardLogger, WandbLogger
from quickstudy.progress import Interrupt, LiveProgress
from quickstudy.report import write_report
from quickstudy.run_directory import RunDirectory
from quickstudy.tasks.base import SplitName
from quickstudy.train import Metrics

if TYPE_CHECKING:
    from quickstudy.commands.train import RunOptions

CONSOLE = Console()


def train_and_report(experiment: Experiment, open_run: Callable[[], RunDirectory], options: "RunOptions") -> None:
    """Train (on) in a run directory, then evaluate and write the report, saying what happens."""
    experiment.algorithm  # noqa: B018  an impossible pair of method and family is refused before anything is written
    run = open_run()
    names = ", ".join(str(device) for device in jax.devices())
    CONSOLE.print(
        f"[bold]{experiment.method}[/] on [bold]{experiment.family}[/]: {experiment.num_steps:,} meta-updates × "
        f"{experiment.num_seeds} seeds × {experiment.steps_per_update:,} env steps, {names} → {run.path}",
        highlight=False,
        soft_wrap=True,
    )
    first_step = run.last_step()
    loggers = _loggers(experiment, run, options, first_step)
    try:
        with LiveProgress(CONSOLE, experiment, first_step) as progress, Interrupt() as interrupt:

            def after_update(step: int, env_steps: int, metrics: Metrics) -> None:
                progress(step, env_steps, metrics)
                interrupt.check()

            seconds = options.checkpoint_seconds
            train(experiment, run, loggers=loggers, progress=after_update, checkpoint_seconds=seconds)
    except KeyboardInterrupt:
        message = f"\ninterrupted and saved; go on with: quickstudy train --resume {run.path}"
        CONSOLE.print(message, highlight=False, soft_wrap=True)
        sys.exit(130)
    except NonFinite as error:
        raise NonFinite(f"{error}; the last good checkpoint is in {run.checkpoints}") from error
    except EnvironmentFailed as error:
        raise EnvironmentFailed(f"{error}; saved, go on with: quickstudy train --resume {run.path}") from error
    finally:
        for logger in loggers:
            logger.close()
    if options.evaluate:
        evaluate_and_report(run, "test", experiment)


def evaluate_and_report(
    run: RunDirectory, split: SplitName, experiment: Experiment, num_tasks: int | None = None
) -> dict[str, Any]:
    """Evaluate a run, print what came out, write the report; returns the summary."""
    with CONSOLE.status(f"evaluating on {num_tasks or experiment.num_test_tasks:,} tasks of the {split} split"):
        summary = evaluate_run(run, split, num_tasks=num_tasks)
    print_summary(summary)
    path = write_report(run.path)
    CONSOLE.print(f"report: {path}", highlight=False, soft_wrap=True)
    return summary


def print_summary(summary: dict[str, Any]) -> None:
    """The numbers of an evaluation, a line each."""
    from rich.table import Table

    table = Table(title=f"{summary['method']} on {summary['family']}, {summary['split']} split", title_justify="left")
    table.add_column("")
    for column in ("total", "first episode", "last episode"):
        table.add_column(column, justify="right")
    for name in ("adapted", "unadapted"):
        curve = summary[name]
        table.add_row(name, *(_number(curve[part]["mean"]) for part in ("total", "first", "last")))
    if summary["shuffled"] is not None:
        table.add_row("shuffled tasks", "", "", _number(summary["shuffled"]["last"]["mean"]))
    for yardstick in summary["yardsticks"]:
        curve = yardstick["per_episode"]
        table.add_row(f"[dim]{yardstick['name']}", f"{yardstick['total']:.2f}", f"{curve[0]:.2f}", f"{curve[-1]:.2f}")
    CONSOLE.print(table)


def _number(estimate: dict[str, Any]) -> str:
    text = f"{estimate['value']:.2f}"
    if estimate["low"] is None:
        return text
    return f"{text} [{estimate['low']:.2f}, {estimate['high']:.2f}]"


def _loggers(experiment: Experiment, run: RunDirectory, options: "RunOptions", step: int) -> list[AbstractLogger]:
    """TensorBoard, and what else was asked for."""
    with contextlib.ExitStack() as opened:
        loggers: list[AbstractLogger] = [TensorBoardLogger(run.tensorboard, resume_step=step or None)]
        opened.callback(loggers[0].close)
        if options.wandb:
            loggers.append(WandbLogger(run.path / "wandb", run.path.name, experiment.config()))
        if options.mlflow:
            loggers.append(MLflowLogger(run.path / "mlflow", run.path.name, experiment.config()))
        opened.pop_all()
        return loggers
