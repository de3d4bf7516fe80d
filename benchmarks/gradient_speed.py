"""Speed and memory of a second-order meta-update on point navigation: 20 tasks × 20 rollouts × 100 steps.

Usage: ``python benchmarks/gradient_speed.py``. MAML with one pass of Adam and one training seed, collection and
learning included, every figure in a process of its own on all cores: seconds a meta-update, steps a second, time to
the first metric with an empty and with a warm compilation cache; then time and peak memory against the number of inner
updates and of tasks, with and without rematerialisation. Stored in ``benchmarks/results/gradient_speed.json``.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WARM_UP, MEASURED = 2, 8
RESULTS = Path(__file__).parent / "results" / "gradient_speed.json"
PLAIN: dict[str, Any] = {
    "width": 64,
    "activation": "tanh",
    "updates": 1,
    "tasks": 20,
    "first_order": False,
    "remat": False,
}
SETTINGS: dict[str, dict[str, Any]] = {
    "2 × 64": {},
    "2 × 100": {"width": 100},
    "2 × 64, first order": {"first_order": True},
}


def measure(setting: dict[str, Any]) -> dict[str, Any]:
    """A few meta-updates in this process."""
    start = time.perf_counter()
    import jax

    from quickstudy import MAML, GraphCollector, InnerLoop, PointNavigation, PolicyNetwork, meta_train

    inner = InnerLoop(
        num_updates=setting["updates"],
        first_order=setting["first_order"],
        remat=setting["remat"],
        surrogate="score-function",
    )
    method = MAML(PolicyNetwork(setting["width"], 2, setting["activation"]), inner, outer="clipped")
    family, times = PointNavigation(), []
    budget = inner.train_budget(family)
    meta_train(
        method,
        GraphCollector(family.env),
        family.tasks("train"),
        budget,
        num_steps=WARM_UP + MEASURED,
        num_tasks=setting["tasks"],
        key=jax.random.key(0),
        on_step=lambda *_: times.append(time.perf_counter()),
    )
    seconds = (times[-1] - times[WARM_UP - 1]) / MEASURED
    return {
        "seconds_per_meta_update": seconds,
        "env_steps_per_second": budget.num_steps * setting["tasks"] / seconds,
        "seconds_to_first_metric": times[0] - start,
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def child(cache: str, **changes: Any) -> dict[str, Any]:
    """`measure` in a process of its own."""
    command = [sys.executable, __file__, "--child", json.dumps(PLAIN | changes)]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
    out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])


def main() -> None:
    from quickstudy.run_directory import describe_session, write_json

    speed, scaling = {}, []
    for name, changes in SETTINGS.items():
        with tempfile.TemporaryDirectory() as cache:
            cold, row = child(cache, **changes), child(cache, **changes)
        row["cold_seconds_to_first_metric"] = cold["seconds_to_first_metric"]
        speed[name] = row
        print(name, json.dumps(row), flush=True)
    cases = [(updates, 20) for updates in (1, 3, 5, 10)] + [(1, tasks) for tasks in (40, 80)]
    with tempfile.TemporaryDirectory() as cache:
        for updates, tasks in cases:
            for remat in (False, True):
                row = child(cache, updates=updates, tasks=tasks, remat=remat)
                scaling.append({"updates": updates, "tasks": tasks, "remat": remat, **row})
                print(json.dumps(scaling[-1]), flush=True)
    command = "python benchmarks/gradient_speed.py"
    write_json(RESULTS, {"command": command, "session": describe_session(), "speed": speed, "scaling": scaling})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child")
    options = parser.parse_args()
    if options.child is None:
        main()
    else:
        print(json.dumps(measure(json.loads(options.child))))
