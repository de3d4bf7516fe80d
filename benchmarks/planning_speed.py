"""How long an agent with a model takes to choose an action, how that grows with its plans, and how fast it meta-trains.

Usage: ``python benchmarks/planning_speed.py``. MML on cart-pole, freshly initialised (the time does not depend on the
weights), one device. Medians over 300 calls of the compiled `act`, in milliseconds: of one iteration of candidates,
for 256 plans of 20 steps in 3 models, and for fewer and more of each; and of the policy that was learned in the
models, beside them. ``MiB`` is what the compiled program needs beside its arguments. Stored in
``benchmarks/results/planning_speed.json``.
"""

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("JAX_NUM_CPU_DEVICES", "1")

import equinox as eqx
import jax
from timing import median_milliseconds, training_speed

from quickstudy.algorithms.model.imagination import Imagination
from quickstudy.algorithms.model.learner import Acting
from quickstudy.algorithms.model.mml import MML
from quickstudy.algorithms.model.parts import ModelNetwork
from quickstudy.envs.control.cart_pole import CartPole
from quickstudy.planning.shooting import Planner
from quickstudy.run_directory import describe_session, write_json
from quickstudy.trial import first_timestep

RESULTS = Path(__file__).parent / "results" / "planning_speed.json"
PLANS = ((256, 20, 1), (256, 20, 3), (16, 20, 1), (64, 20, 1), (1024, 20, 1), (256, 5, 1), (256, 80, 1))
"""Candidates, horizons, and models in the ensemble; the first is the one that others are read against."""
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
    milliseconds = median_milliseconds(lambda: compiled(arrays, key), calls=300)
    return {"milliseconds": milliseconds, "MiB": memory.temp_size_in_bytes / 2**20 if memory else float("nan")}


def main() -> None:
    rows = []
    for candidates, horizon, members in PLANS:
        planner = Planner(horizon=horizon, num_candidates=candidates, num_iterations=1)
        method = MML(ModelNetwork(num_members=members), acting=Acting(planner))
        rows.append({"candidates": candidates, "horizon": horizon, "members": members, **latency(method)})
        print(rows[-1], flush=True)
    policy = latency(MML(imagination=Imagination(horizon=1), acts_by="policy"))
    training = {name: training_speed(name, num_steps=5) for name in ("rotated-point-mml", "cart-pole-mml")}
    print("policy", policy, "meta-training", training)
    result = {"plans": rows, "policy": policy, "meta_training": training}
    write_json(RESULTS, {"command": "python benchmarks/planning_speed.py", "session": describe_session(), **result})


if __name__ == "__main__":
    main()
