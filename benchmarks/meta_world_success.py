"""Does it succeed, by Meta-World's own word? The agents of a run, in Meta-World's own loop.

Usage: ``python benchmarks/meta_world_success.py [PRESET]`` after ``quickstudy reproduce PRESET`` (meta-world-reach).
Every training seed's agent is loaded as a user would load it and plays the preset's episodes in the 50 test tasks, as
long as they were in training and as long as Meta-World's; an episode succeeds if ``info["success"]`` is 1 at any of its
steps. Stored in ``benchmarks/results/success-PRESET.json``.
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

import quickstudy
from quickstudy.experiment import Experiment
from quickstudy.presets import preset
from quickstudy.run_directory import describe_session, write_json
from quickstudy.statistics import mean_estimate
from quickstudy.worlds.meta_world import MetaWorldML1, benchmark_tasks

RESULTS = Path(__file__).parent / "results"
FULL_LENGTH = 500
"""Steps in an episode of Meta-World."""


def play(agent: quickstudy.Agent, env: Any, world: MetaWorldML1, task: np.ndarray, length: int) -> list[bool]:
    """Whether each episode of ``length`` steps in a task succeeded."""
    world.set_task(env, task)
    agent.begin_task()
    successes = []
    for episode in range(world.num_episodes):
        observation, _ = env.reset(seed=episode)
        succeeded = False
        for step in range(length):
            observation, reward, terminated, truncated, info = env.step(agent.act(observation))
            truncated = truncated or step == length - 1
            agent.observe(reward, terminated, truncated, observation)
            succeeded |= bool(info["success"])
        successes.append(succeeded)
    agent.end_task()
    return successes


def main(name: str = "meta-world-reach") -> None:
    experiment = Experiment.from_preset(None, preset(name))
    world = experiment.family_options.world
    tasks, env = benchmark_tasks(world.name, world.seed, "test"), world.make()
    agents = [quickstudy.load(f"runs/{name}", training_seed=seed) for seed in range(experiment.num_seeds)]
    lengths = {}
    for length in (world.horizon, FULL_LENGTH):
        successes = np.array([[play(agent, env, world, task, length) for task in tasks] for agent in agents], float)
        rates = [mean_estimate(successes[..., episode], 0.95) for episode in range(world.num_episodes)]
        lengths[str(length)] = {"success": rates, "by_seed": successes.mean(1).tolist()}
        print(length, [round(rate["value"], 3) for rate in rates], lengths[str(length)]["by_seed"], flush=True)
    command = f"python benchmarks/meta_world_success.py {name}"
    stored = {"command": command, "world": world.name, "tasks": len(tasks), "by_length": lengths}
    write_json(RESULTS / f"success-{name}.json", stored | {"session": describe_session()})


if __name__ == "__main__":
    main(*sys.argv[1:])
