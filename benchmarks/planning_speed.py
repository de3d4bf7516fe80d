"""How long an agent with a model takes to choose an action, how that grows with its plans, and how fast it meta-trains.

Usage: ``python benchmarks/planning_speed.py``. MML on cart-pole, freshly initialised (the time does not depend on the
weights), one device. Medians over 300 calls of the compiled `act`, in milliseconds: of one iteration of candidates,
for 256 plans of 20 steps, and for fewer and more of both; and of the policy that was learned in the models, beside
them. ``MiB`` is what the compiled program needs beside its arguments. Stored in
``benchmarks/results/planning_speed.json``.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_NUM_CPU_DEVICES", "1")

import equinox as eqx
import jax
import numpy as np

from quickstudy.algorithms.model.imagination import Imagination
from quickstudy.algorithms.model.learner import Acting
from quickstudy.algorithms.model.mml import MML
from quickstudy.envs.control.cart_pole import CartPole
from quickstudy.experiment import Experiment
from quickstudy.planning.shooting import Planner
from quickstudy.presets import preset
from quickstudy.run_directory import describe_session, write_json
from quickstudy.train import meta_train
from quickstudy.trial import first_timestep

MEASURED = 300
RESULTS = Path(__file__).parent / "results" / "planning_speed.json"
PLANS = ((256, 20), (16, 20), (64, 20), (1024, 20), (256, 5), (256, 80))
"""Candidates and horizons; the first is the one that others are read against."""
FAMILY = CartPole()


def latency(method: MML) -> dict[str, float]:
    """Of one `act`."""
    key, learner = jax.random.key(0), method.learner
    params = eqx.filter_jit(method.init)(FAMILY.env.spec, key=key).params
    _, obs = FAMILY.env.reset(FAMILY.default_task, key=key)
    timestep = first_timestep(obs, FAMILY.env.spec)
    state, carry = learner.init(params, key=key), learner.init_carry(params)
    arrays, static = eqx.partition((params, state, carry), eqx.is_array)

    def act(arrays: Any, key: Any) -> Any:
        params, state, carry = eqx.combine(arrays, static)
        return learner.act(params, state, carry, timestep, key=key)[:2]

    compiled = jax.jit(act).lower(arrays, key).compile()
    memory = compiled.memory_analysis()
    milliseconds = _median(lambda: compiled(arrays, key))
    return {"milliseconds": milliseconds, "MiB": memory.temp_size_in_bytes / 2**20 if memory else float("nan")}


def _median(call: Callable[[], Any]) -> float:
    for _ in range(20):
        jax.block_until_ready(call())
    times = np.zeros(MEASURED)
    for i in range(MEASURED):
        start = time.perf_counter()
        jax.block_until_ready(call())
        times[i] = time.perf_counter() - start
    return float(np.median(times) * 1e3)


def meta_training(name: str, num_steps: int = 5) -> dict[str, float]:
    """Environment steps a second of one seed, learning included."""
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
    return {"seconds_per_meta_update": per_update, "env_steps_per_second": experiment.steps_per_update / per_update}


def main() -> None:
    rows = []
    for candidates, horizon in PLANS:
        planner = Planner(horizon=horizon, num_candidates=candidates, num_iterations=1)
        rows.append({"candidates": candidates, "horizon": horizon, **latency(MML(acting=Acting(planner)))})
        print(rows[-1], flush=True)
    policy = latency(MML(imagination=Imagination(horizon=1), acts_by="policy"))
    training = {name: meta_training(name) for name in ("rotated-point-mml", "cart-pole-mml")}
    print("policy", policy, "meta-training", training)
    result = {"plans": rows, "policy": policy, "meta_training": training}
    write_json(RESULTS, {"command": "python benchmarks/planning_speed.py", "session": describe_session(), **result})


if __name__ == "__main__":
    main()
