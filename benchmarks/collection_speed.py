"""How much of the time of collecting is the environments' own: half-cheetahs, 64 and 256 at once, on two workers.

Usage: ``python benchmarks/collection_speed.py``. Environment steps a second in episodes of 200 steps, each
from its reset on, in rounds of all four in turn:

    gymnasium     the same environments in `gymnasium.vector.SyncVectorEnv`, random actions: one process
    stepped       the collector's own pool of environments, random actions and no learner
    random        `HostCollector`, a learner that acts at random
    rl2           `HostCollector`, RL² with a GRU of 64 units

Stored in ``benchmarks/results/collection_speed.json``: the median speed of each, and the median over rounds of its
ratio to ``stepped`` in the same round, because the speed of a shared machine wanders.
"""

import time
from collections.abc import Callable
from pathlib import Path

import gymnasium
import jax
import numpy as np

from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.algorithms.context.rl2 import RL2
from quickstudy.catalog import family
from quickstudy.host.world import to_task
from quickstudy.options import with_options
from quickstudy.run_directory import describe_session, write_json
from quickstudy.types import Budget

SIZES, NUM_STEPS, ROUNDS, NUM_WORKERS = (64, 256), 200, 6, 2
"""256 is as many as a collector keeps alive unless it is told otherwise."""
RESULTS = Path(__file__).parent / "results" / "collection_speed.json"
CHEETAHS = with_options(family("half-cheetah-vel").load()(), {"num_workers": NUM_WORKERS})
WORLD = CHEETAHS.world


def actions(num_envs: int) -> np.ndarray:
    """Random ones, for an episode."""
    return np.random.default_rng(0).uniform(-1, 1, (NUM_STEPS, num_envs, 6)).astype(np.float32)


def cheetah() -> gymnasium.Env:
    """One environment, as the collector makes it."""
    env = WORLD.make()
    WORLD.set_task(env, 1.0)
    return env


def gymnasium_alone(num_envs: int) -> Callable[[], object]:
    envs, moves = gymnasium.vector.SyncVectorEnv([cheetah] * num_envs), actions(num_envs)

    def episode() -> None:
        envs.reset(seed=0)
        for action in moves:
            envs.step(action)

    return episode


def stepped(tasks: list[float]) -> Callable[[], object]:
    pool, seeds, moves = CHEETAHS.collector.pool, np.arange(len(tasks)), actions(len(tasks))

    def episode() -> None:
        pool.begin(tasks, seeds)
        for action in moves:
            pool.step(action, seeds)

    return episode


def collected(learner, params, tasks) -> Callable[[], object]:
    collector, budget = CHEETAHS.collector, Budget(1, NUM_STEPS)
    return lambda: jax.block_until_ready(
        collector.collect(learner, params, tasks, budget, key=jax.random.key(0)).trajectory.reward
    )


def measure(num_envs: int) -> dict[str, dict[str, float]]:
    """Speeds and ratios with so many environments at once."""
    tasks = CHEETAHS.tasks("train").batch(num_envs, key=jax.random.key(0))
    rl2 = RL2(width=64)
    params = rl2.init(CHEETAHS.env.spec, key=jax.random.key(0)).params
    calls = {
        "gymnasium": gymnasium_alone(num_envs),
        "stepped": stepped([to_task(task) for task in np.asarray(tasks)]),
        "random": collected(RandomLearner.for_spec(CHEETAHS.env.spec), None, tasks),
        "rl2": collected(rl2.learner, params, tasks),
    }
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for round_ in range(ROUNDS + 1):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            if round_:  # the first one compiles and starts workers
                seconds[name].append(time.perf_counter() - start)
    speed = {name: num_envs * NUM_STEPS / float(np.median(times)) for name, times in seconds.items()}
    alone = np.array(seconds["stepped"])
    ratios = {name: float(np.median(alone / np.array(times))) for name, times in seconds.items()}
    for name, value in speed.items():
        print(f"{num_envs} {name}: {value:,.0f} env steps/s, {ratios[name]:.2f} of stepping alone", flush=True)
    return {"env_steps_per_second": speed, "ratio_to_stepped": ratios}


def main() -> None:
    found = {str(num_envs): measure(num_envs) for num_envs in SIZES}
    stored = {"command": "python benchmarks/collection_speed.py", "session": describe_session()}
    write_json(RESULTS, {**stored, "by_num_envs": found})


if __name__ == "__main__":
    main()
