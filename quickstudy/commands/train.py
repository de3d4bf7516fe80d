"""``quickstudy train METHOD --family FAMILY``: meta-train, evaluate on held-out tasks, write the report."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar

import tyro

from quickstudy import catalog
from quickstudy.errors import InvalidArgument
from quickstudy.outside import gym_id_as_family, is_outside, short_name, take_option
from quickstudy.presets import Preset, preset, preset_for

MethodT = TypeVar("MethodT")
FamilyT = TypeVar("FamilyT")

NUM_SEEDS = 4
"""Training seeds where no preset was asked for: enough for an interval, few enough for a first look."""

OUTSIDE = Preset("", "", "", num_steps=300, num_tasks=32, num_test_tasks=64, num_seeds=2)
"""Where the options of a family from outside start: its environment is taken to be slow."""

USAGE = """usage: quickstudy train METHOD --family FAMILY [options]
       quickstudy train METHOD --family my_module:MyFamily [options]
       quickstudy train METHOD --gym-id ID --vary name=low:high,… [options]
       quickstudy train --preset PRESET [options]
       quickstudy train --resume RUN [--num-steps N]

METHOD   {methods}
FAMILY   {families}
PRESET   {presets}

quickstudy train METHOD --family FAMILY --help lists every option of the method and of the family."""


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Where a run lies and what is done around it."""

    out: Path | None = None
    """Run directory; the default is runs/METHOD-FAMILY."""
    overwrite: bool = False
    """Replace the run that is already there."""
    checkpoint_seconds: float = 30.0
    """Seconds between two checkpoints."""
    evaluate: bool = True
    """Evaluate on held-out tasks and write the report when training ends."""
    wandb: bool = False
    """Log to Weights & Biases too (extra: quickstudy[wandb])."""
    mlflow: bool = False
    """Log to MLflow too (extra: quickstudy[mlflow])."""


@dataclasses.dataclass(frozen=True)
class TrainOptions(Generic[MethodT, FamilyT]):
    """How long to train, on how many tasks, and everything about the method and the family."""

    method: MethodT
    family: FamilyT
    num_steps: int
    """Meta-updates."""
    num_tasks: int
    """Tasks in a meta-update, for each seed."""
    num_seeds: int
    """Independent training runs, compiled as one; the replicates of every interval."""
    num_test_tasks: int
    """Held-out tasks of the evaluation."""
    seed: int = 0
    """Source of all randomness."""
    run: Annotated[RunOptions, tyro.conf.arg(name="")] = RunOptions()


@dataclasses.dataclass(frozen=True)
class ResumeOptions:
    """Go on with a run, exactly as if it had not stopped."""

    resume: Path
    """The run directory."""
    num_steps: int | None = None
    """Meta-updates in all, if more (or fewer) than the run was started with."""
    run: Annotated[RunOptions, tyro.conf.arg(name="")] = RunOptions()


def main(args: Sequence[str]) -> None:
    """Parse the options and train."""
    if any(arg == "--resume" or arg.startswith("--resume=") for arg in args):
        options = tyro.cli(ResumeOptions, args=args, prog="quickstudy train")
        _resume(options)
        return
    chosen, rest = _choose(args)
    name, start = chosen
    prog = f"quickstudy train {start.method} --family {start.family}"
    from quickstudy.options import with_options

    method = with_options(catalog.method(start.method).load()(), start.method_options)
    family = with_options(catalog.family(start.family).load()(), start.family_options)
    default = TrainOptions(method, family, start.num_steps, start.num_tasks, start.num_seeds, start.num_test_tasks)
    options = tyro.cli(TrainOptions[type(method), type(family)], default=default, args=rest, prog=prog)  # pyright: ignore[reportInvalidTypeArguments]
    _start(name, start, options)


def _choose(args: Sequence[str]) -> tuple[tuple[str | None, Preset], list[str]]:
    """The preset that the options start from, with its name if it was asked for, and the arguments that remain."""
    rest, values = gym_id_as_family(args), dict[str, str]()
    for flag in ("--family", "--preset"):
        value, rest = take_option(flag, rest)
        if value is not None:
            values[flag] = value
    if "--preset" in values:
        return (values["--preset"], preset(values["--preset"])), rest
    if rest and not rest[0].startswith("-") and "--family" in values:
        method, family = rest.pop(0), values["--family"]
        catalog.method(method)
        outside = is_outside(family) or catalog.family(family).extra
        plain = OUTSIDE if outside else Preset("", method, family, num_steps=600, num_tasks=256, num_test_tasks=4096)
        start = preset_for(method, family) or dataclasses.replace(plain, method=method, family=family)
        return (None, dataclasses.replace(start, num_seeds=OUTSIDE.num_seeds if outside else NUM_SEEDS)), rest
    print(
        USAGE.format(
            methods=", ".join(catalog.METHODS),
            families=", ".join(catalog.FAMILIES),
            presets=", ".join(_preset_names()),
        )
    )
    if "--help" in args or "-h" in args:
        sys.exit(0)
    missing = "--family FAMILY" if rest and not rest[0].startswith("-") else "a METHOD and --family, or --preset"
    raise InvalidArgument(f"train needs {missing}")


def _preset_names() -> list[str]:
    from quickstudy.presets import PRESETS

    return list(PRESETS)


def _start(name: str | None, start: Preset, options: TrainOptions[Any, Any]) -> None:
    from quickstudy.commands.session import train_and_report
    from quickstudy.experiment import Experiment
    from quickstudy.run_directory import RunDirectory, command_line

    experiment = Experiment(
        method=start.method,
        family=start.family,
        method_options=options.method,
        family_options=options.family,
        num_steps=options.num_steps,
        num_tasks=options.num_tasks,
        num_seeds=options.num_seeds,
        num_test_tasks=options.num_test_tasks,
        seed=options.seed,
        preset=name,
    )
    out = options.run.out or Path("runs") / f"{start.method}-{short_name(start.family, options.family)}"
    config = experiment.config() | {"command": command_line()}
    train_and_report(experiment, lambda: RunDirectory.create(out, config, overwrite=options.run.overwrite), options.run)


def _resume(options: ResumeOptions) -> None:
    from quickstudy.commands.session import train_and_report
    from quickstudy.experiment import Experiment
    from quickstudy.run_directory import RunDirectory, write_json

    run = RunDirectory.open(options.resume)
    config = run.read_config()
    if options.num_steps is not None:
        config["num_steps"] = options.num_steps
        write_json(run.config_file, config)
    run.record_session()
    train_and_report(Experiment.from_config(config), lambda: run, options.run)
