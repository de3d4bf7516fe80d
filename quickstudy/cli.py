"""The command line: ``quickstudy COMMAND …``; `COMMANDS` lists them.

This module and what it imports at its top know nothing of JAX, so that ``--help`` answers at once. A command's own
imports are inside its function.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from quickstudy.errors import QuickstudyError, unknown


class Command(NamedTuple):
    """One word after ``quickstudy``."""

    summary: str
    run: Callable[[Sequence[str]], None]


def _train(args: Sequence[str]) -> None:
    from quickstudy.commands.train import main

    main(args)


def _reproduce(args: Sequence[str]) -> None:
    from quickstudy.commands.reproduce import main

    main(args)


def _evaluate(args: Sequence[str]) -> None:
    from quickstudy.commands.runs import evaluate

    evaluate(args)


def _adapt(args: Sequence[str]) -> None:
    from quickstudy.commands.runs import adapt

    adapt(args)


def _check(args: Sequence[str]) -> None:
    from quickstudy.commands.check import main

    main(args)


def _export(args: Sequence[str]) -> None:
    from quickstudy.commands.runs import export

    export(args)


def _report(args: Sequence[str]) -> None:
    from quickstudy.commands.runs import report

    report(args)


def _compare(args: Sequence[str]) -> None:
    from quickstudy.commands.runs import compare

    compare(args)


def _list(args: Sequence[str]) -> None:
    from quickstudy.commands.listing import main

    main(args)


COMMANDS = {
    "train": Command("meta-train a method on a task family, evaluate it and write the report", _train),
    "evaluate": Command("measure a run on held-out tasks", _evaluate),
    "adapt": Command("let a trained run adapt to one new task", _adapt),
    "check": Command("check a family of your own, and whether there is anything to adapt to", _check),
    "export": Command("write a trained agent as programs that run without this library's methods", _export),
    "report": Command("write the report of a run", _report),
    "compare": Command("put several runs of one family on one page", _compare),
    "list": Command("show methods, families and presets", _list),
    "reproduce": Command("run a preset: a paper's settings, its table beside ours", _reproduce),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command; errors that the user can mend are one line and exit code 1, tracebacks come with --traceback."""
    args = list(sys.argv[1:] if argv is None else argv)
    traceback = "--traceback" in args
    args = [arg for arg in args if arg != "--traceback"]
    if not args or args[0] in ("-h", "--help"):
        print(_usage())
        sys.exit(0 if args else 2)
    try:
        if args[0] == "--version":
            from importlib.metadata import version

            print(version("quickstudy"))
        elif args[0] not in COMMANDS:
            raise unknown("command", args[0], COMMANDS)
        else:
            COMMANDS[args[0]].run(args[1:])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader (``| head``) has gone: nothing more can be said, at exit neither
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except QuickstudyError as error:
        if traceback:
            raise
        print(f"quickstudy: {error}", file=sys.stderr)
        sys.exit(1)


def _usage() -> str:
    lines = ["usage: quickstudy COMMAND …", "", "Meta-reinforcement learning: train once on a family, adapt fast.", ""]
    lines += [f"  {name:<10} {command.summary}" for name, command in COMMANDS.items()]
    lines += ["", "quickstudy COMMAND --help says what a command takes; --traceback shows where an error came from."]
    return "\n".join(lines)
