"""What a person sees while training runs, a live line or a line now and then; and Ctrl-C, by which they stop it."""

import signal
import threading
import time
from types import FrameType
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

from quickstudy.experiment import Experiment
from quickstudy.train import Metrics

PLAIN_SECONDS = 10.0
"""Seconds between two lines where there is no terminal."""


class LiveProgress:
    """Iteration, environment steps per second, return in the first and last episode, time left.

    Call it after every meta-update; use it as a context manager.
    """

    def __init__(self, console: Console, experiment: Experiment, first_step: int):
        columns: list[str | ProgressColumn] = [
            TextColumn("[bold]meta-update {task.completed:,.0f}/{task.total:,.0f}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[status]}"),
            TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        ]
        self._console = console
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("train", total=experiment.num_steps, completed=first_step, status="compiling …")
        self._num_steps, self._first_step = experiment.num_steps, first_step
        self._steps_per_update = experiment.steps_per_update * experiment.num_seeds
        self._first: float | None = None
        self._printed = 0.0

    def __enter__(self) -> "LiveProgress":
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def __call__(self, step: int, env_steps: int, metrics: Metrics) -> None:
        """Show the state after meta-update ``step``."""
        now = time.monotonic()
        if self._first is None:
            # The first update compiles; the speed is counted from its end.
            self._first, self._first_step = now, step
        elapsed = now - self._first
        speed = (step - self._first_step) * self._steps_per_update / elapsed if elapsed > 0 else 0.0
        first, last, total = (float(np.mean(metrics[f"return_{name}"])) for name in ("first", "last", "total"))
        returns = f"return first {first:.2f} → last {last:.2f} episode"
        if np.isnan(last):  # trials of training that are shorter than an episode complete none
            returns = f"return {total:.2f} of a trial"
        status = f"{env_steps:,} env steps a seed · {speed:,.0f}/s in all · {returns}"
        self._bar.update(self._task, completed=step, status=status)
        if not self._console.is_terminal and (now - self._printed > PLAIN_SECONDS or step == self._num_steps):
            self._printed = now
            self._console.print(f"meta-update {step:,}/{self._num_steps:,} · {status}", highlight=False, soft_wrap=True)


class Interrupt:
    """Ctrl-C that is not lost.

    It raises `KeyboardInterrupt` at once, as always. Where Python has nobody to raise it to (it may be in a finaliser),
    it prints and forgets it; `check` then raises it again. Use it as a context manager; outside the main thread, where
    no signal arrives, it does nothing.
    """

    def __init__(self):
        self._asked = False
        self._before: Any = None

    def __enter__(self) -> "Interrupt":
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._ask)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def check(self) -> None:
        """Raise `KeyboardInterrupt` if it was asked for."""
        if self._asked:
            raise KeyboardInterrupt

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._asked = True
        raise KeyboardInterrupt
