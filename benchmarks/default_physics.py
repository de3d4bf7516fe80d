"""Learners from scratch where Gymnasium's users know the scores: `CartPole-v1` and `Pendulum-v1`, one task each.

Usage: ``python benchmarks/default_physics.py``. The compiled environments at Gymnasium's parameters (`default_task`,
which the tests check step for step); 6 seeds; mean return of the last 20 episodes of training, exploration included.
Stored in ``benchmarks/results/default-physics.json``. Solved: 475 of 500, and about −150.
"""

from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array

from quickstudy.catalog import method
from quickstudy.envs.control.cart_pole import CartPole
from quickstudy.envs.control.family import AbstractControl
from quickstudy.envs.control.pendulum import Pendulum
from quickstudy.ops.returns import episode_returns
from quickstudy.options import with_options
from quickstudy.presets.base import merged
from quickstudy.presets.value import CART_POLE_DQN
from quickstudy.run_directory import describe_session, write_json
from quickstudy.trial import run_trial
from quickstudy.types import Budget

RESULTS = Path(__file__).parent / "results" / "default-physics.json"
NUM_SEEDS, NUM_EPISODES = 6, 20


class Case(NamedTuple):
    """A learner in a world, with its options, for so many steps."""

    method: str
    options: dict[str, Any]
    family: AbstractControl
    num_steps: int


PATIENT = merged(CART_POLE_DQN, {"capacity": 60_000, "rule": {"learning_rate": 2.5e-4}})
"""Nothing is forgotten: a memory of perfect episodes alone, of which there are many in the end, unlearns the rest."""

CASES = {
    "CartPole-v1": Case("dqn", PATIENT, CartPole(horizon=500), 60_000),
    "Pendulum-v1": Case("ddpg", {}, Pendulum(), 30_000),
}


def last_episodes(case: Case) -> list[float]:
    """Mean return of the last episodes, by seed."""
    entry = method(case.method)
    options = with_options(entry.load()(), case.options)
    algorithm, length = entry.build(options, case.family), entry.budgets(options, case.family).test.block_length
    budget = Budget(case.num_steps // length, length)

    @eqx.filter_jit
    def learn(key: Array) -> Array:
        params = algorithm.init(case.family.env.spec, key=key).params
        trial = run_trial(algorithm.learner, params, case.family.env, case.family.default_task, budget, key=key)
        stream = trial.trajectory
        return episode_returns(stream.reward.ravel(), (stream.terminated | stream.truncated).ravel(), case.num_steps)

    found = []
    for seed in range(NUM_SEEDS):
        returns = np.asarray(learn(jax.random.key(seed)))
        completed = returns[~np.isnan(returns)]
        found.append(float(completed[-NUM_EPISODES:].mean()))
        print(case.method, seed, len(completed), round(found[-1], 1), flush=True)
    return found


def main() -> None:
    rows = {
        name: {"method": case.method, "options": case.options, "steps": case.num_steps, "returns": last_episodes(case)}
        for name, case in CASES.items()
    }
    write_json(
        RESULTS, {"command": "python benchmarks/default_physics.py", "session": describe_session(), "worlds": rows}
    )


if __name__ == "__main__":
    main()
