"""Meta-World's ML1: one manipulation task of a Sawyer arm, with goals and objects that the arm is not told.

Source: Yu et al. 2020, arXiv:1910.10897; Meta-World+ (McLean et al. 2025, arXiv:2505.11289) for the two rewards.
"""

import dataclasses
import functools
import pickle
from typing import Any

import gymnasium
import numpy as np

from quickstudy.errors import require_positive, require_within, unknown
from quickstudy.extras import import_extra


@dataclasses.dataclass(frozen=True)
class MetaWorldML1:
    """The 50 training and 50 test tasks of ``metaworld.ML1``; validation tasks are training tasks of another seed.

    A task is the vector that Meta-World calls ``rand_vec``: where the object starts and where the goal is, in metres.
    """

    name: str = "reach-v3"
    """Meta-World's name of the environment."""
    reward: str = "v2"
    """Meta-World's convention of the return: v2 pays 0 to 10 a step, v1 is that of its first release."""
    success_bonus: float = 0.0
    """Added to the reward of a step at which Meta-World calls the task solved (Meta-World: 0)."""
    horizon: int = 500
    """Steps in an episode (Meta-World: 500)."""
    num_episodes: int = 2
    """Episodes in a trial."""
    seed: int = 0
    """Of the benchmark's tasks."""

    def __post_init__(self):
        require_positive(horizon=self.horizon, num_episodes=self.num_episodes)
        require_within("[0, inf)", self, "success_bonus")
        if self.reward not in ("v1", "v2"):
            raise unknown("convention of the return", self.reward, ("v1", "v2"))

    def make(self) -> gymnasium.Env:
        """A new environment, without a task."""
        # Meta-World refuses the step at which its own clock runs out; the collector's clock is there before.
        env = _class_of(self.name)(reward_function_version=self.reward)
        return _SuccessBonus(env, self.success_bonus) if self.success_bonus else env

    def set_task(self, env: Any, task: np.ndarray) -> None:
        """Bring object and goal to their places at the next reset."""
        metaworld = _metaworld()
        data = {"rand_vec": np.asarray(task, np.float64), "env_cls": type(env.unwrapped), "partially_observable": True}
        env.unwrapped.set_task(metaworld.Task(env_name=self.name, data=pickle.dumps(data)))

    def sample_task(self, rng: np.random.Generator, split: str) -> np.ndarray:
        """One of the 50 tasks of a split."""
        tasks = benchmark_tasks(self.name, self.seed, split)
        return tasks[rng.integers(len(tasks))]


class _SuccessBonus(gymnasium.Wrapper):
    """Meta-World's environment, which pays more for a step at which the task is solved."""

    def __init__(self, env: gymnasium.Env, bonus: float):
        super().__init__(env)
        self.bonus = bonus

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, float(reward) + self.bonus * info["success"], terminated, truncated, info


def benchmark_tasks(name: str, seed: int, split: str) -> tuple[np.ndarray, ...]:
    """The tasks of a split of ``metaworld.ML1(name, seed)``; those of validation are drawn as those of training are."""
    # The test tasks of a seed are the training tasks of the next one.
    train, test = _tasks_of_seed(name, seed + 2 * (split == "validation"))
    return test if split == "test" else train


@functools.lru_cache(maxsize=16)
def _tasks_of_seed(name: str, seed: int) -> tuple[tuple[np.ndarray, ...], tuple[np.ndarray, ...]]:
    """Training and test tasks: Meta-World makes both at once, in seconds."""
    _class_of(name)
    benchmark = _metaworld().ML1(name, seed=seed)
    vectors = lambda tasks: tuple(np.asarray(pickle.loads(task.data)["rand_vec"], np.float32) for task in tasks)
    return vectors(benchmark.train_tasks), vectors(benchmark.test_tasks)


def _metaworld() -> Any:
    return import_extra("metaworld", extra="metaworld", purpose="MetaWorldML1")


def _class_of(name: str) -> Any:
    known = _metaworld().ALL_V3_ENVIRONMENTS
    if name not in known:
        raise unknown("environment of Meta-World", name, known)
    return known[name]
