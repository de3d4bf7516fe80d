"""Is there anything to adapt to? Four short trainings, each of which must hold before the next one says anything.

1. PPO on one task must beat random play: else the task, or the budget, is too hard, and nothing else can be read.
2. One policy for all tasks must do worse than such experts: else one behaviour fits all, with nothing to adapt to.
3. A policy that sees the task must do better than one that does not: what adaptation can earn, with this budget.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, PyTree

from quickstudy.algorithms.baselines.multitask import MultiTaskPPO
from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.algorithms.ppo import PPO
from quickstudy.errors import require_positive
from quickstudy.host.family import HostFamily
from quickstudy.learner import AbstractLearner
from quickstudy.tasks.base import TaskSplit
from quickstudy.tasks.finite import FiniteTasks
from quickstudy.train import meta_train

CLEAR = 2.0
"""A difference counts from so many standard errors on."""


@dataclasses.dataclass(frozen=True)
class LadderOptions:
    """How much is spent on each training."""

    num_steps: int = 60
    """PPO updates of each training."""
    num_tasks: int = 16
    """Trials in an update; a multiple of 4."""
    num_experts: int = 3
    """Tasks that get an expert of their own."""
    learning_rate: float = 3e-3
    """Adam's step size at the start."""
    seed: int = 0
    """Source of all randomness."""

    def __post_init__(self):
        require_positive(num_steps=self.num_steps, num_tasks=self.num_tasks, num_experts=self.num_experts)


class Rungs(NamedTuple):
    """Mean returns of an episode by each policy in the same tasks, one row a task, ``[tasks, repeats]``."""

    random: Float[np.ndarray, "E R"]
    multitask: Float[np.ndarray, "E R"]
    known: Float[np.ndarray, "E R"]
    expert: Float[np.ndarray, "E R"]


def climb(family: HostFamily, options: LadderOptions, say: Callable[[str], object]) -> Rungs:
    """Train and measure; ``say`` is told what is being done."""
    k_tasks, k_train, k_measure = jax.random.split(jax.random.key(options.seed), 3)
    tasks = family.tasks("train").batch(options.num_experts, key=k_tasks)
    known = family.showing_task
    say("one policy for all tasks")
    multitask = _measure(family, *_train(family, family.tasks("train"), options, k_train), tasks, options, k_measure)
    say("one policy that sees the task")
    informed = _measure(known, *_train(known, known.tasks("train"), options, k_train), tasks, options, k_measure)
    experts = []
    for i in range(options.num_experts):
        say(f"expert {i + 1} of {options.num_experts}")
        one = jax.tree.map(lambda x, i=i: x[i : i + 1], tasks)
        trained = _train(family, TaskSplit(FiniteTasks(one), "train"), options, k_train)
        experts.append(_measure(family, *trained, one, options, k_measure)[0])
    random = RandomLearner.for_spec(family.env.spec)
    return Rungs(_measure(family, random, None, tasks, options, k_measure), multitask, informed, np.stack(experts))


def _train(
    family: HostFamily, tasks: TaskSplit, options: LadderOptions, key: Key[Array, ""]
) -> tuple[AbstractLearner, PyTree]:
    rate = options.learning_rate
    ppo = PPO(learning_rate=rate, final_learning_rate=rate / 10, anneal_steps=options.num_steps)
    method = MultiTaskPPO(ppo=ppo)
    num_steps, num_tasks = options.num_steps, options.num_tasks
    collector, budget = family.collector, family.budget
    trained = meta_train(method, collector, tasks, budget, num_steps=num_steps, num_tasks=num_tasks, key=key)
    return method.learner, jax.tree.map(lambda x: x[0] if isinstance(x, jax.Array) else x, trained.meta.params)


def _measure(
    family: HostFamily,
    learner: AbstractLearner,
    params: PyTree,
    tasks: PyTree,
    options: LadderOptions,
    key: Key[Array, ""],
) -> Float[np.ndarray, "E R"]:
    """Mean return of an episode in each task, over ``num_tasks`` repeats."""
    repeated = jax.tree.map(lambda x: jnp.repeat(x, options.num_tasks, axis=0), tasks)
    steps = family.collector.collect(learner, params, repeated, family.budget, key=key).trajectory
    ends = np.asarray(steps.terminated | steps.truncated).sum((1, 2, 3))
    returns = np.asarray(steps.reward).sum((1, 2, 3)) / np.maximum(ends, 1)
    return returns.reshape(-1, options.num_tasks)


def clearly_better(one: Float[np.ndarray, "E R"], other: Float[np.ndarray, "E R"]) -> bool:
    """Whether ``one`` earns more than ``other``, by `CLEAR` standard errors of the mean over repeats in the tasks."""
    error = np.sqrt((one.var(1, ddof=1) + other.var(1, ddof=1)).sum() / one.shape[1]) / len(one)
    return bool(one.mean() - other.mean() > CLEAR * error)


def verdict(rungs: Rungs) -> str:
    """What the ladder says, in words."""
    random, multitask, known, expert = (float(x.mean()) for x in rungs)
    if not clearly_better(rungs.expert, rungs.random):
        return (
            f"PPO on one task ({expert:.3g} an episode) does not beat random play ({random:.3g}): give it more "
            "--num-steps, or look at the scale of the rewards; until it does, the other rungs say nothing"
        )
    if not clearly_better(rungs.expert, rungs.multitask):
        return (
            f"One policy for all tasks ({multitask:.3g} an episode) does as well as experts for single tasks "
            f"({expert:.3g}): there is little to adapt to; let the tasks differ more, or in what has to be done"
        )
    if not clearly_better(rungs.known, rungs.multitask):
        return (
            f"Experts ({expert:.3g} an episode) beat one policy for all tasks ({multitask:.3g}), but one that sees the "
            f"task ({known:.3g}) does not: the task is worth knowing, and this budget too small to learn its use"
        )
    share = (multitask - random) / (max(known, expert) - random)
    return (
        f"Worth adapting: knowing the task is worth {known - multitask:.3g} an episode to one policy for all tasks, "
        f"which without it goes {max(share, 0.0):.0%} of the way from random play to the best policy here"
    )


def rows(rungs: Rungs) -> list[tuple[str, Any]]:
    """A line for the table from each policy: its name and its mean returns, one a task."""
    names = ("random", "one policy for all tasks", "one policy that sees the task", "experts, one a task")
    return [(name, values.mean(1)) for name, values in zip(names, rungs, strict=True)]
