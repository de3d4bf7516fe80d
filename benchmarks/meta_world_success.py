"""Does it succeed, by Meta-World's own word? The agents of a run, in Meta-World's own loop.

Usage: ``python benchmarks/meta_world_success.py [PRESET]`` after ``quickstudy reproduce PRESET`` (meta-world-reach).
Every training seed's agent is loaded as a user would load it and plays the preset's episodes in the 50 test tasks; an
episode succeeds if ``info["success"]`` is 1 at any of its steps. Stored in ``benchmarks/results/success-PRESET.json``.
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


def play(agent: quickstudy.Agent, env: Any, world: MetaWorldML1, task: np.ndarray) -> list[bool]:
    """Whether each episode in a task succeeded."""
    world.set_task(env, task)
    agent.begin_task()
    successes = []
    for episode in range(world.num_episodes):
        observation, _ = env.reset(seed=episode)
        succeeded = False
        for step in range(world.horizon):
            observation, reward, terminated, truncated, info = env.step(agent.act(observation))
            truncated = truncated or step == world.horizon - 1
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
    successes = np.array([[play(agent, env, world, task) for task in tasks] for agent in agents], float)
    rates = [mean_estimate(successes[..., episode], 0.95) for episode in range(world.num_episodes)]
    for episode, rate in enumerate(rates):
        print(f"episode {episode + 1}: {rate['value']:.3f} [{rate['low']:.3f}, {rate['high']:.3f}]")
    result = {"world": world.name, "horizon": world.horizon, "tasks": len(tasks), "seeds": len(agents)}
    by_seed = successes.mean(1).tolist()
    command = f"python benchmarks/meta_world_success.py {name}"
    stored = {"command": command, **result, "success": rates, "by_seed": by_seed, "session": describe_session()}
    write_json(RESULTS / f"success-{name}.json", stored)


if __name__ == "__main__":
    main(*sys.argv[1:])
