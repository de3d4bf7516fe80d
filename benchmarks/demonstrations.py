"""What an expert's episodes in the new task are worth to a meta-trained agent before it acts.

Usage: ``python benchmarks/demonstrations.py [RUN]``; RUN is a run of MKTN on grid navigation (``runs/grid-mktn``). In
every task of the test split the agent is first shown 0, 1 or 5 episodes of an expert who knows the goal, then it plays
its trial. Return per episode of the trial, mean with its 95 % interval over training seeds; stored in
``benchmarks/results/demonstrations.json``.
"""

import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Int, Key

from quickstudy.adaptation import taught
from quickstudy.envs.grid_geometry import cell_of, move_towards
from quickstudy.envs.gridworld import GridEnv, GridNavigation
from quickstudy.experiment import load, params_of_seed
from quickstudy.learner import AbstractLearner
from quickstudy.ops.returns import episode_returns
from quickstudy.run_directory import RunDirectory, describe_session, write_json
from quickstudy.statistics import mean_estimate
from quickstudy.trial import run_trial
from quickstudy.types import Info, TimeStep, Trajectory

COUNTS = (0, 1, 5)
NUM_TASKS = 512
RESULTS = Path(__file__).parent / "results" / "demonstrations.json"


class Expert(AbstractLearner[Int[Array, ""], None, None]):
    """Walks straight to the goal, which is its parameter, and stays."""

    size: int

    def init(self, params: Int[Array, ""], *, key: Key[Array, ""]) -> None:
        del params, key

    def init_carry(self, params: Int[Array, ""]) -> None:
        del params

    def act(
        self, params: Int[Array, ""], state: None, carry: None, timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Int[Array, ""], None, None]:
        del state, carry
        return move_towards(cell_of(timestep.obs), params, self.size, key=key), None, None

    def update(
        self, params: Int[Array, ""], state: None, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[None, Info]:
        del params, state, trajectory, key
        return None, {}


def measure(path: Path) -> dict[str, Any]:
    """Returns per episode after 0, 1 and 5 demonstrations."""
    experiment, state = load(RunDirectory.open(path))
    family, learner, budget = experiment.family_options, experiment.algorithm.learner, experiment.budgets.test
    assert isinstance(family, GridNavigation)
    k_tasks, k_demonstrations, k_trials = jax.random.split(jax.random.key(0), 3)
    tasks = family.tasks("test").batch(NUM_TASKS, key=k_tasks)
    shown = family.budget._replace(num_blocks=max(COUNTS))
    env: GridEnv = family.env

    def demonstrate(goal: Int[Array, ""], key: Key[Array, ""]) -> Trajectory:
        return run_trial(Expert(family.size), goal, env, goal, shown, key=key).trajectory

    episodes = jax.vmap(demonstrate)(tasks, jax.random.split(k_demonstrations, NUM_TASKS))

    @eqx.filter_jit
    def trials(params: Any, count: int) -> Array:
        def one(goal: Int[Array, ""], episodes: Trajectory, key: Key[Array, ""]) -> Array:
            k_taught, k_trial = jax.random.split(key)
            start = None
            if count:
                block = jax.tree.map(lambda x: x[:count].reshape(-1, *x.shape[2:]), episodes)
                start = taught(learner, params, env.spec, block, 1, key=k_taught)
            stream = run_trial(learner, params, env, goal, budget, key=k_trial, start=start).trajectory
            reward, last = stream.reward.ravel(), (stream.terminated | stream.truncated).ravel()
            return episode_returns(reward, last, family.num_episodes)

        return jax.vmap(one)(tasks, episodes, jax.random.split(k_trials, NUM_TASKS))

    seeds = [params_of_seed(state.meta.params, seed) for seed in range(experiment.num_seeds)]
    curves = {}
    for count in COUNTS:
        returns = np.stack([np.asarray(trials(params, count)) for params in seeds])
        curves[count] = [mean_estimate(returns[..., e], 0.95) for e in range(family.num_episodes)]
        print(count, [round(estimate["value"], 2) for estimate in curves[count]], flush=True)
    return {"run": experiment.config(), "num_tasks": NUM_TASKS, "per_episode": curves}


if __name__ == "__main__":
    run = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/grid-mktn")
    write_json(
        RESULTS, {"command": "python benchmarks/demonstrations.py", "session": describe_session(), **measure(run)}
    )
