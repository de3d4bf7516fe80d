"""How long a loaded agent takes to act, in a Gymnasium loop.

Usage: ``python benchmarks/act_latency.py``. RL² with GRU 64 on Pendulum, freshly initialised (the time does not depend
on the weights), loaded from a run, from what was saved, and from what was exported. Milliseconds of `act`, and of `act`
and `observe` together, after a hundred steps of warm-up; seconds from a fresh process to a loaded agent; and programs
compiled after the warm-up. Stored in ``benchmarks/results/act_latency.json``.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WARM_UP, MEASURED = 100, 2000
RESULTS = Path(__file__).parent / "results" / "act_latency.json"


def prepare(path: Path) -> None:
    """Write a saved and an exported agent."""
    import dataclasses

    import jax
    import jax.numpy as jnp

    from quickstudy import catalog
    from quickstudy.algorithms.context.rl2 import RL2
    from quickstudy.checkpoint import Checkpointer
    from quickstudy.experiment import Experiment
    from quickstudy.outside import VARIED
    from quickstudy.run_directory import RunDirectory
    from quickstudy.ship.loading import load
    from quickstudy.train import init_train_state

    experiment = Experiment("rl2", VARIED, RL2(), catalog.family(VARIED).load()(), 1, 4, 1)
    run = RunDirectory.create(path / "run", experiment.config())
    state = init_train_state(experiment.algorithm, experiment.collector, num_seeds=1, key=jax.random.key(0))
    with Checkpointer(run.checkpoints) as checkpointer:
        checkpointer.save(1, dataclasses.replace(state, step=jnp.ones((), jnp.int32)))
    agent = load(run.path)
    agent.save(path / "saved")
    agent.export(path / "exported")


def measure(path: Path) -> dict[str, Any]:
    """Load the agent in this fresh process and run it."""
    start = time.perf_counter()
    import quickstudy

    agent = quickstudy.load(path)
    loaded = time.perf_counter() - start
    import gymnasium
    import jax
    import numpy as np

    compiled: list[int] = []
    times = np.zeros((WARM_UP + MEASURED, 2))
    step = 0
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compiled.append(step) if "backend_compile" in event else None
    )
    env = gymnasium.make("Pendulum-v1")
    agent.begin_task()
    obs, _ = env.reset(seed=0)
    for step in range(len(times)):
        before = time.perf_counter()
        action = agent.act(obs)
        acted = time.perf_counter()
        obs, reward, terminated, truncated, _ = env.step(action)
        stepped = time.perf_counter()
        agent.observe(reward, terminated, truncated, obs)
        times[step] = acted - before, acted - before + time.perf_counter() - stepped
        if terminated or truncated:
            obs, _ = env.reset()
    milliseconds = 1e3 * times[WARM_UP:]
    quantiles = lambda x: {q: round(float(np.quantile(x, float(q))), 4) for q in ("0.5", "0.9", "0.99")}
    return {
        "act_ms": quantiles(milliseconds[:, 0]),
        "act_and_observe_ms": quantiles(milliseconds[:, 1]),
        "seconds_to_load": round(loaded, 3),
        "compiled_after_warm_up": sum(1 for at in compiled if at >= WARM_UP),
    }


def main() -> None:
    if len(sys.argv) > 1:
        print(json.dumps(measure(Path(sys.argv[1]))))
        return
    from quickstudy.run_directory import describe_session, write_json

    with tempfile.TemporaryDirectory() as name:
        prepare(Path(name))
        kinds = {}
        for kind in ("run", "saved", "exported"):
            command = [sys.executable, __file__, str(Path(name) / kind)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            kinds[kind] = json.loads(done.stdout.splitlines()[-1])
            print(kind, kinds[kind])
    note = f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores while it ran"
    command = "python benchmarks/act_latency.py"
    result = {"command": command, "agent": "RL², GRU 64, Pendulum-v1", "note": note, "measured": kinds}
    write_json(RESULTS, result | {"session": describe_session(())})


if __name__ == "__main__":
    main()
