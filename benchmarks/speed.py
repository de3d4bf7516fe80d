"""Speed of meta-training with RL² (GRU 64, PPO 4 epochs × 4 minibatches), learning included.

Usage: ``python benchmarks/speed.py``. Every figure is measured in a process of its own: environment steps per second on
all cores and on one, time to the first metric with an empty and with a warm compilation cache, programs compiled after
the first meta-update, and peak memory. Ratios are of figures of one run. Stored in ``benchmarks/results/speed.json``.
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

FAMILIES = {
    "bernoulli-bandit": {"num_arms": 5, "num_pulls": 10},
    "grid-navigation": {},
    "random-mdp": {},
}
NUM_TASKS = {"bernoulli-bandit": 1024, "grid-navigation": 512, "random-mdp": 256}
WARM_UP, MEASURED = 3, 12
RESULTS = Path(__file__).parent / "results" / "speed.json"


def measure(family: str, num_seeds: int) -> dict[str, Any]:
    """Train for a few meta-updates in this process, and say how it went."""
    start = time.perf_counter()
    import jax

    from quickstudy.algorithms.context.rl2 import RL2
    from quickstudy.catalog import FAMILIES as KNOWN
    from quickstudy.collect.graph import GraphCollector
    from quickstudy.options import with_options
    from quickstudy.train import meta_train

    compiled: list[tuple[int, str]] = []
    times: list[float] = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append((len(times), event)) if "backend_compile" in event else None
    )
    chosen = with_options(KNOWN[family].load()(), FAMILIES[family])
    meta_train(
        RL2(),
        GraphCollector(chosen.env),
        chosen.tasks("train"),
        chosen.budget,
        num_steps=WARM_UP + MEASURED,
        num_tasks=NUM_TASKS[family],
        num_seeds=num_seeds,
        key=jax.random.key(0),
        on_step=lambda *_: times.append(time.perf_counter()),
    )
    steps = chosen.budget.num_steps * NUM_TASKS[family] * num_seeds
    return {
        "env_steps_per_second": steps * MEASURED / (times[-1] - times[WARM_UP - 1]),
        "seconds_to_first_metric": times[0] - start,
        "programs_compiled_after_second_update": sum(1 for done, _ in compiled if done >= 2),
        "peak_memory_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "devices": len(jax.devices()),
        "num_seeds": num_seeds,
    }


def child(family: str, *, num_seeds: int, cores: int, cache: str) -> dict[str, Any]:
    """`measure` in a process of its own on the first ``cores`` cores."""
    pinned = ["taskset", "-c", f"0-{cores - 1}", sys.executable, __file__]
    command = [*pinned, "--child", family, "--seeds", str(num_seeds)]
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
    out = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout
    return json.loads(out.splitlines()[-1])


def main() -> None:
    cores = len(os.sched_getaffinity(0))
    results: dict[str, Any] = {}
    for family in FAMILIES:
        with tempfile.TemporaryDirectory() as cache:
            cold = child(family, num_seeds=cores, cores=cores, cache=cache)
            warm = child(family, num_seeds=cores, cores=cores, cache=cache)
        with tempfile.TemporaryDirectory() as cache:
            one_core = child(family, num_seeds=cores, cores=1, cache=cache)
            one_seed = child(family, num_seeds=1, cores=cores, cache=cache)
        row = {
            "all_cores": warm,
            "one_core": one_core,
            "one_seed_all_cores": one_seed,
            "cold_seconds_to_first_metric": cold["seconds_to_first_metric"],
            "warm_seconds_to_first_metric": warm["seconds_to_first_metric"],
            "all_cores_over_one_core": warm["env_steps_per_second"] / one_core["env_steps_per_second"],
        }
        results[family] = row
        print(
            f"{family}: {warm['env_steps_per_second']:,.0f} env steps/s on {cores} cores ({cores} seeds side by side), "
            f"{one_core['env_steps_per_second']:,.0f} on one ({row['all_cores_over_one_core']:.2f}×), "
            f"{one_seed['env_steps_per_second']:,.0f} with one seed on {cores} cores; first metric after "
            f"{row['cold_seconds_to_first_metric']:.1f} s cold, {row['warm_seconds_to_first_metric']:.1f} s warm; "
            f"{warm['programs_compiled_after_second_update']} programs compiled after the second update; "
            f"peak memory {warm['peak_memory_gib']:.2f} GiB",
            flush=True,
        )
    from quickstudy.run_directory import describe_session, write_json

    write_json(RESULTS, {"command": "python benchmarks/speed.py", "session": describe_session(), "families": results})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", choices=FAMILIES)
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    if options.child is None:
        main()
    else:
        print(json.dumps(measure(options.child, options.seeds)))
