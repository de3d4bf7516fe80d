"""How long MKTN takes to act and to learn in one task, beside DQN, and how fast it meta-trains.

Usage: ``python benchmarks/mktn_speed.py``. One core, one task of grid navigation, freshly initialised (the time does
not depend on the weights), a memory that is full. Medians over 2,000 calls of the compiled functions, in milliseconds.
Stored in ``benchmarks/results/mktn_speed.json``.
"""

import os
from pathlib import Path

os.environ.setdefault("JAX_NUM_CPU_DEVICES", "1")

import equinox as eqx
import jax
from timing import median_milliseconds, training_speed

from quickstudy.envs.gridworld import GridNavigation
from quickstudy.experiment import Experiment
from quickstudy.presets import preset
from quickstudy.run_directory import describe_session, write_json
from quickstudy.trial import run_trial
from quickstudy.types import Budget

CALLS = 2000
RESULTS = Path(__file__).parent / "results" / "mktn_speed.json"
FAMILY = GridNavigation()


def latency(name: str) -> dict[str, float]:
    """Median milliseconds of one `act` and of one `update` on a single transition."""
    experiment = Experiment.from_preset(None, preset(name))
    learner, key = experiment.algorithm.learner, jax.random.key(0)
    params = experiment.algorithm.init(FAMILY.env.spec, key=key).params
    task = FAMILY.tasks("test").sample(key=key)
    trial = eqx.filter_jit(run_trial)(learner, params, FAMILY.env, task, Budget(240, 1), key=key)
    state, carry, timestep, _ = trial.final
    stream = jax.tree.map(lambda x: x[0], (carry, timestep))
    block = jax.tree.map(lambda x: x[-1], trial.trajectory)
    act = eqx.filter_jit(lambda: learner.act(params, state, *stream, key=key)[:2])
    update = eqx.filter_jit(lambda state: learner.update(params, state, block, key=key)[0])
    return {
        "act": median_milliseconds(lambda: act(), calls=CALLS),
        "update": median_milliseconds(lambda: update(state), calls=CALLS),
    }


def main() -> None:
    milliseconds = {name: latency(name) for name in ("grid-mktn", "grid-dqn")}
    for name, measured in milliseconds.items():
        print(name, {key: round(value, 3) for key, value in measured.items()}, flush=True)
    ratio = milliseconds["grid-mktn"]["update"] / milliseconds["grid-dqn"]["update"]
    training = training_speed("grid-mktn", num_steps=10)
    print(f"update, MKTN to DQN: {ratio:.2f}; meta-training: {training}")
    result = {"milliseconds": milliseconds, "update_ratio_to_dqn": ratio, "meta_training": training}
    write_json(RESULTS, {"command": "python benchmarks/mktn_speed.py", "session": describe_session(), **result})


if __name__ == "__main__":
    main()
