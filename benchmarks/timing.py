"""Timing of compiled calls and of meta-training, for the scripts that measure speed."""

import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from quickstudy.experiment import Experiment
from quickstudy.presets import preset
from quickstudy.train import meta_train


def median_milliseconds(call: Callable[[], Any], *, calls: int) -> float:
    """Of one call, over ``calls`` of them; a tenth as many go before and do not count."""
    times = np.zeros(calls)
    for _ in range(calls // 10):
        jax.block_until_ready(call())
    for i in range(calls):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times[i] = time.perf_counter() - start
    return float(np.median(times) * 1e3)


def training_speed(name: str, *, num_steps: int) -> dict[str, float]:
    """Of one seed of a preset, learning included: the median over ``num_steps`` meta-updates."""
    experiment = Experiment.from_preset(None, preset(name))
    seconds: list[float] = []
    meta_train(
        experiment.algorithm,
        experiment.collector,
        experiment.family_options.tasks("train"),
        experiment.budgets.train,
        num_steps=num_steps,
        num_tasks=experiment.num_tasks,
        key=jax.random.key(0),
        on_step=lambda *_: seconds.append(time.perf_counter()),
    )
    per_update = float(np.median(np.diff(seconds)))
    return {
        "seconds_per_meta_update": per_update,
        "trials_per_second": experiment.num_tasks / per_update,
        "env_steps_per_second": experiment.steps_per_update / per_update,
    }
