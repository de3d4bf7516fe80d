"""What adapting is worth in a world of one's own: RL² between one policy for all tasks and an expert for each.

Usage: ``python benchmarks/own_world.py``. The world is that of ``docs/your-own-environment.md``, Gymnasium's pendulum
whose mass and length differ from task to task, here by factors of 30 and 6. RL² and the policy without memory train on
equally many steps of training tasks; every expert trains on one of the test tasks, in which all are measured. Learning
rates were chosen between .001 and .002 on validation tasks, for RL² and for the policy without memory each its better
one: with .002 some seeds of RL² unlearn the heavy pendulums. Stored in ``benchmarks/results/own_world.json``.
"""

import dataclasses
import time
from pathlib import Path
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np

from quickstudy.algorithms.baselines.multitask import MultiTaskPPO
from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.algorithms.context.rl2 import RL2
from quickstudy.algorithms.ppo import PPO
from quickstudy.host.family import HostFamily
from quickstudy.run_directory import describe_session, write_json
from quickstudy.statistics import mean_estimate
from quickstudy.tasks.base import TaskSplit
from quickstudy.tasks.finite import FiniteTasks
from quickstudy.train import meta_train

RESULTS = Path(__file__).parent / "results" / "own_world.json"
NUM_SEEDS, NUM_STEPS, NUM_TASKS = 2, 240, 32
EXPERT_STEPS = 120
TEST_TASKS, REPEATS = 12, 16


@dataclasses.dataclass(frozen=True)
class Swing:
    """Pendulums of unknown mass and length."""

    horizon: int = 200
    num_episodes: int = 2

    def make(self):
        return gymnasium.make("Pendulum-v1")

    def set_task(self, env, task):
        env.unwrapped.m, env.unwrapped.l = task["m"], task["l"]

    def sample_task(self, rng, split):  # noqa: ARG002
        return {"m": np.exp(rng.uniform(*np.log((0.05, 1.5)))), "l": np.exp(rng.uniform(*np.log((0.2, 1.2))))}


FAMILY = HostFamily(Swing())


def ppo(num_steps: int, learning_rate: float = 2e-3) -> PPO:
    """The outer loop of all three."""
    return PPO(
        learning_rate=learning_rate,
        final_learning_rate=1e-4,
        anneal_steps=num_steps,
        gamma=0.95,
        trace=0.95,
        entropy_weight=0.0,
        num_minibatches=8,
    )


def train(name: str, method: Any, tasks: TaskSplit, num_steps: int, num_seeds: int, key: Any) -> tuple[Any, float]:
    """Parameters of every seed, and how many seconds they took."""
    start = time.monotonic()
    sizes = {"num_steps": num_steps, "num_tasks": NUM_TASKS, "num_seeds": num_seeds}
    state = meta_train(method, FAMILY.collector, tasks, FAMILY.budget, **sizes, key=key)
    seconds = time.monotonic() - start
    print(f"{name}: {seconds:.0f} s", flush=True)
    return state.meta.params, seconds


def measure(learner: Any, params: Any, seed: int, tasks: Any, key: Any) -> np.ndarray:
    """Mean returns in each task by episode, ``[tasks, episodes]``, by the parameters of one seed."""
    params = jax.tree.map(lambda x: x[seed] if isinstance(x, jax.Array) else x, params)
    repeated = jax.tree.map(lambda x: jnp.repeat(x, REPEATS, axis=0), tasks)
    reward = FAMILY.collector.collect(learner, params, repeated, FAMILY.budget, key=key).trajectory.reward
    # A pendulum never falls: every block of T steps is one episode.
    return np.asarray(reward).sum((2, 3)).reshape(-1, REPEATS, FAMILY.num_episodes).mean(1)


def main() -> None:
    k_train, k_test, k_experts, k_measure = jax.random.split(jax.random.key(0), 4)
    tasks = FAMILY.tasks("test").batch(TEST_TASKS, key=k_test)
    seeds, returns, seconds = range(NUM_SEEDS), {}, {}
    for name, method in (
        ("rl2", RL2(readout=64, ppo=ppo(NUM_STEPS, learning_rate=1e-3))),
        ("multi-task", MultiTaskPPO(ppo=ppo(NUM_STEPS))),
    ):
        params, seconds[name] = train(name, method, FAMILY.tasks("train"), NUM_STEPS, NUM_SEEDS, k_train)
        returns[name] = np.stack([measure(method.learner, params, seed, tasks, k_measure) for seed in seeds])
    expert, found = MultiTaskPPO(ppo=ppo(EXPERT_STEPS)), []
    for i in range(TEST_TASKS):
        one = jax.tree.map(lambda x, i=i: x[i : i + 1], tasks)
        split = TaskSplit(FiniteTasks(one), "train")
        params, seconds[f"expert {i}"] = train(f"expert {i}", expert, split, EXPERT_STEPS, 1, k_experts)
        found.append(measure(expert.learner, params, 0, one, k_measure)[0])
    returns["expert"] = np.stack(found)[None]
    returns["random"] = measure(RandomLearner.for_spec(FAMILY.env.spec), None, 0, tasks, k_measure)[None]
    episodes = {name: found.mean((0, 1)).tolist() for name, found in returns.items()}
    # All start an episode in the same states, and some episodes start lower than others: the last one of each.
    floor, ceiling = (returns[name][..., -1].mean(0) for name in ("multi-task", "expert"))
    share = mean_estimate((returns["rl2"][..., -1] - floor) / (ceiling - floor).mean(), 0.95)
    print(episodes, share)
    steps = NUM_TASKS * FAMILY.budget.num_steps
    stored = {
        "command": "python benchmarks/own_world.py",
        "num_seeds": NUM_SEEDS,
        "num_tasks": TEST_TASKS,
        "steps": {"rl2": NUM_STEPS * steps, "multi-task": NUM_STEPS * steps, "expert": EXPERT_STEPS * steps},
        "seconds": seconds,
        "tasks": jax.tree.map(lambda x: np.asarray(x).tolist(), tasks),
        "by_task": {name: found.mean(0).tolist() for name, found in returns.items()},
        "episodes": episodes,
        "share_of_the_way": share,
    }
    write_json(RESULTS, stored | {"session": describe_session()})


if __name__ == "__main__":
    main()
