"""How much experience in a new task a method needs: the return of the episode that begins after so many steps.

Usage: ``python benchmarks/steps_in_task.py FAMILY [METHOD …]``. A method that was meta-trained is read from
``runs/PRESET`` (`quickstudy reproduce PRESET` makes it); the others learn from scratch in every task. Mean over tasks
of the test split with its 95 % interval over seeds, by steps in the task; and the first of those counts from which on
the mean stays above 95 % of an expert's return, between the random policy's and his. Added to
``benchmarks/results/steps-in-FAMILY.json``.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from quickstudy.envs.base import AbstractEnv
from quickstudy.experiment import Experiment, load, params_of_seed
from quickstudy.family import AbstractFamily, AbstractYardstick
from quickstudy.ops.returns import episode_returns
from quickstudy.options import to_options
from quickstudy.presets.base import Preset
from quickstudy.presets.value import CART_POLE_DQN
from quickstudy.run_directory import RunDirectory, describe_session, write_json
from quickstudy.statistics import mean_estimate
from quickstudy.train import init_train_state
from quickstudy.trial import run_trial
from quickstudy.types import Budget

RESULTS = Path(__file__).parent / "results"
NUM_SEEDS = 6


class Case(NamedTuple):
    """What is compared in a family.

    Attributes:
        marks: steps in the task after which the next episode counts.
        num_tasks: of the test split.
        expert: the yardstick that knows the task.
        methods: by name the preset of a run, or the options of a method that learns from scratch.
        last_mark: of the methods that are not worth following to the end.
    """

    marks: tuple[int, ...]
    num_tasks: int
    expert: str
    methods: dict[str, str | dict[str, Any]]
    last_mark: Mapping[str, int] = MappingProxyType({})


CASES = {
    "cart-pole": Case(
        marks=(0, 50, 100, 200, 400, 1000, 2000, 4000, 8000, 16000),
        num_tasks=4,
        expert="never falling",
        methods={"mktn": "cart-pole-mktn", "dqn": CART_POLE_DQN, "fine-tuned-dqn": "cart-pole-fine-tuned-dqn"},
        last_mark=MappingProxyType({"mktn": 1000}),
    ),
    "point-navigation": Case(
        marks=(0, 100, 200, 400, 1000, 2000, 4000),
        num_tasks=16,
        expert="goal known",
        methods={"mktn": "point-mktn", "ddpg": {"rule": {"gamma": 0.9}}, "td3": {"rule": {"gamma": 0.9}}},
    ),
}


def returns_after(reward: Float[Array, " L"], last: Bool[Array, " L"], marks: tuple[int, ...]) -> Float[Array, " M"]:
    """The return of the first episode of a stream that begins at or after each mark; NaN where it was not completed."""
    length = reward.shape[0]
    returns = episode_returns(reward, last, length)
    ended = jnp.cumsum(last.astype(jnp.int32))
    # The episode that is under way at step t − 1 has number ended[t − 1] − last[t − 1]; a new one begins after its end.
    following = jnp.concatenate([jnp.zeros(1, jnp.int32), jnp.where(last, ended, ended + 1)])
    return returns[following[jnp.asarray(marks)]]


def agents(method: str, source: str | dict[str, Any], family: str) -> tuple[Experiment, Any]:
    """The experiment of a method and its parameters, ``[S, ...]``: trained in a run, or fresh."""
    if isinstance(source, str):
        experiment, state = load(RunDirectory.open(Path("runs") / source))
        return experiment, state.meta.params
    experiment = Experiment.from_preset(None, Preset("", method, family, 1, 1, 1, source, num_seeds=NUM_SEEDS))
    key = jax.random.key(0)
    state = init_train_state(experiment.algorithm, experiment.collector, num_seeds=NUM_SEEDS, key=key)
    return experiment, state.meta.params


def measure(family: str, method: str) -> dict[str, Any]:
    """The curve of one method, and where it reaches the expert."""
    case = CASES[family]
    experiment, params = agents(method, case.methods[method], family)
    members, learner, env = experiment.family_options, experiment.algorithm.learner, experiment.family_options.env
    assert isinstance(env, AbstractEnv)
    k_tasks, k_trials = jax.random.split(jax.random.key(0))
    tasks = members.tasks("test").batch(case.num_tasks, key=k_tasks)
    marks = tuple(mark for mark in case.marks if mark <= case.last_mark.get(method, case.marks[-1]))
    length = experiment.budgets.test.block_length
    budget = Budget(-(-(marks[-1] + 2 * members.episode_length) // length), length)

    @eqx.filter_jit
    def returns(params: Any) -> Float[Array, "K M"]:
        def one(task: Any, key: Any) -> Float[Array, " M"]:
            stream = run_trial(learner, params, env, task, budget, key=key).trajectory
            return returns_after(stream.reward.ravel(), (stream.terminated | stream.truncated).ravel(), marks)

        return jax.vmap(one)(tasks, jax.random.split(k_trials, case.num_tasks))

    curves = np.stack([np.asarray(returns(params_of_seed(params, seed))) for seed in range(NUM_SEEDS)])
    floor, expert = (yardstick_return(members, name, tasks) for name in ("random", case.expert))
    enough = floor + 0.95 * (expert - floor)
    return {
        "options": to_options(experiment.method_options),
        "marks": marks,
        "returns": [mean_estimate(curves[..., m], 0.95) for m in range(len(marks))],
        "random": floor,
        "expert": expert,
        "reaches_expert_at": reaches(curves.mean((0, 1)), marks, enough),
    }


def yardstick_return(family: AbstractFamily, name: str, tasks: Any) -> float:
    """The mean return of the first episode of a yardstick in these tasks."""
    (yardstick,) = [y for y in family.yardsticks() if y.name == name]
    assert isinstance(yardstick, AbstractYardstick)
    keys = jax.random.split(jax.random.key(1), len(jax.tree.leaves(tasks)[0]))
    returns = eqx.filter_jit(jax.vmap(lambda task, key: yardstick.returns(task, key=key)))(tasks, keys)
    return float(returns[:, 0].mean())


def reaches(curve: np.ndarray, marks: tuple[int, ...], enough: float) -> int | None:
    """The first mark from which on the curve stays at ``enough`` or above; None if it ends below."""
    below = np.flatnonzero(~(curve >= enough))
    first = below[-1] + 1 if len(below) else 0
    return marks[first] if first < len(marks) else None


def main(family: str, methods: list[str]) -> None:
    path = RESULTS / f"steps-in-{family}.json"
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"methods": {}}
    for method in methods or list(CASES[family].methods):
        found = measure(family, method)
        results["methods"][method] = found
        print(method, [round(estimate["value"], 2) for estimate in found["returns"]], found["reaches_expert_at"])
        results |= {"command": f"python benchmarks/steps_in_task.py {family}", "session": describe_session()}
        write_json(path, results | {"num_tasks": CASES[family].num_tasks, "num_seeds": NUM_SEEDS})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
