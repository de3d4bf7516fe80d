"""What a method with a model knows of a task, and how it fares when the task changes.

Usage: ``python benchmarks/model_tasks.py probe|flip PRESET [PRESET …]``. Reads the trained runs ``runs/PRESET``
(`quickstudy reproduce PRESET` makes them) and adds to ``benchmarks/results/model-tasks.json``, by preset, means with
95 % intervals over seeds of

``probe``, of MML
    R² of the physics as a linear function of the code's mean, after one episode and after a trial: of every number
    in `AbstractFamily.task_features`, or where motion depends on fewer numbers than tasks have parameters, of those
    (`TOGETHER`). The probe is fitted on tasks of the validation split, by ridge regression, and judged on the test
    split; what is the same in all tasks is left out. ``by_physics`` is what could be known at the accuracy of these
    models: the R² of somebody who knows the equations of motion and how their numbers are distributed, and sees the
    same steps with every next observation off by as much as the models' (root mean square, by component; all is
    linear in the numbers of a task near their true values).
``flip``
    After an episode, or 100 steps if those are more, the actuator is reversed. Quality of the steps before it, and of
    those that follow it, in windows of `WINDOW` steps: 0 for random actions in the same tasks, 1 for the steps before.
    A step's quality is its reward; where that is the same in every step, minus whether the task ended in it. Once for
    each of `AGENTS`, and for the oracle planner, which is told of the change: what it loses, nobody could keep.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Key

from quickstudy.algorithms.baselines.oracle_planner import OraclePlanner
from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.algorithms.model.mml import MML
from quickstudy.envs.base import AbstractObservedEnv
from quickstudy.experiment import Experiment, load, params_of_seed
from quickstudy.family import AbstractFamily
from quickstudy.learner import AbstractEncodingLearner, AbstractLearner, AbstractPredictingLearner
from quickstudy.nets.features import flat_obs
from quickstudy.options import with_options
from quickstudy.probe import VARIES, linear_probe, r_squared
from quickstudy.run_directory import RunDirectory, describe_session, write_json
from quickstudy.statistics import mean_estimate
from quickstudy.tasks.base import SplitName
from quickstudy.trial import run_trial
from quickstudy.types import Action, Budget, Obs

RESULTS = Path(__file__).parent / "results" / "model-tasks.json"
NUM_FITTED, NUM_JUDGED, NUM_FLIPPED = 128, 128, 32
"""Tasks of the validation and of the test split for the probe, and of the test split for the flip."""
WINDOW = 25
"""Steps over which quality is averaged."""
AGENTS: dict[str, dict[str, float]] = {
    "MML": {},
    "change is not watched for": {"hazard": 0.0},
    "… and evidence fades faster, `decay` .9": {"hazard": 0.0, "decay": 0.9},
}
"""By name, what differs in a task from the preset."""
REVERSED = {
    "rotated-point-navigation": "angle",
    "cart-pole": "force",
    "cart-pole-swing-up": "force",
    "pendulum": "torque",
    "mountain-car": "power",
}
"""By family, the parameter that says which way the actuator works."""


def pendulum_numbers(task: Any) -> Float[Array, " 2"]:
    """The coefficients of a pendulum's motion: of gravity, and of the motor, whose sign says which way it turns."""
    return jnp.stack([task.gravity / task.length, task.torque / (task.mass * jnp.square(task.length))])


def mountain_car_numbers(task: Any) -> Float[Array, " 2"]:
    """What the engine adds to the speed in a step, whose sign says which way it works, and what gravity does."""
    return jnp.stack([task.power, task.gravity])


CART_POLE_NAMES = ("motor / m", "m_p l / m", "l", "μ_c / m", "μ_p / m_p l")


def cart_pole_numbers(task: Any) -> Float[Array, " 5"]:
    """Of the motor, of the pole's swing on the cart, the length, and of both frictions."""
    mass, moment = task.cart_mass + task.pole_mass, task.pole_mass * task.half_length
    frictions = (task.cart_friction / mass, task.hinge_friction / moment)
    return jnp.stack([task.force / mass, moment / mass, task.half_length, *frictions])


def reacher_numbers(task: Any) -> Float[Array, " 6"]:
    """The upper link's mass, damping and the wiring, each in units of the lower link's mass."""
    return jnp.concatenate([jnp.stack([task.upper_mass, task.damping]), task.wiring.ravel()]) / task.lower_mass


TOGETHER: dict[str, tuple[tuple[str, ...], Callable[[Any], Float[Array, " P"]]]] = {
    "pendulum": (("g / l", "motor / m l²"), pendulum_numbers),
    "mountain-car": (("engine", "gravity"), mountain_car_numbers),
    "cart-pole": (CART_POLE_NAMES, cart_pole_numbers),
    "cart-pole-swing-up": (CART_POLE_NAMES, cart_pole_numbers),
    "reacher": (("m₁ / m₂", "d / m₂", "W₁₁ / m₂", "W₁₂ / m₂", "W₂₁ / m₂", "W₂₂ / m₂"), reacher_numbers),
}
"""By family, the numbers that its motion depends on, and what they are called."""


def probe(experiment: Experiment, params: Any) -> list[dict[str, Any]]:
    """R² of all parameters together, and of each, after one episode and after a trial."""
    family, trial = experiment.family_options, experiment.budgets.test
    one = trial._replace(num_blocks=family.episode_length // trial.block_length)
    return [probe_after(budget, experiment, params) for budget in (one, trial)]


def probe_after(budget: Budget, experiment: Experiment, params: Any) -> dict[str, Any]:
    """R² once ``budget`` is spent, over seeds ``[S]``."""
    family, learner = experiment.family_options, experiment.algorithm.learner
    names, numbers = TOGETHER.get(experiment.family, (family.feature_names, family.task_features))
    splits: tuple[tuple[SplitName, int], ...] = (("validation", NUM_FITTED), ("test", NUM_JUDGED))
    tasks = [family.tasks(split).batch(num, key=jax.random.key(7)) for split, num in splits]
    meet = meeting(learner, family, numbers, budget)
    scores, best = [], []
    for seed in range(experiment.num_seeds):
        seen = [meet(params_of_seed(params, seed), of_split) for of_split in tasks]
        varies = seen[0].numbers.std(0) > VARIES
        fitted, judged = (of_split.numbers[:, varies] for of_split in seen)
        scores.append(r_squared(linear_probe(seen[0].codes, fitted, seen[1].codes), judged))
        best.append(1.0 - seen[1].unknown[:, varies].mean(0) / judged.var(0))
    by_parameter, by_physics = np.stack(scores), np.clip(np.stack(best), 0.0, 1.0)
    return {
        "episodes": budget.steps_per_stream // family.episode_length,
        "r_squared": mean_estimate(by_parameter.mean(-1)[:, None], 0.95),
        "by_parameter": [
            {"name": name, **mean_estimate(column[:, None], 0.95), "by_physics": float(ideal)}
            for name, column, ideal in zip(np.asarray(names)[varies], by_parameter.T, by_physics.mean(0), strict=True)
        ],
    }


class Met(NamedTuple):
    """What K tasks have shown.

    Attributes:
        codes: what the agent knows of them.
        numbers: what there is to know.
        unknown: the variance of each of the numbers, to somebody who knows the equations of motion.
    """

    codes: Float[np.ndarray, "K C"]
    numbers: Float[np.ndarray, "K P"]
    unknown: Float[np.ndarray, "K P"]


def meeting(
    learner: AbstractLearner, family: AbstractFamily, numbers: Callable[[Any], Float[Array, " P"]], budget: Budget
) -> Callable[[Any, Any], Met]:
    """From parameters and tasks ``[K]`` to what a trial of ``budget`` shows of each of them."""
    env = family.env
    assert isinstance(env, AbstractObservedEnv)
    assert isinstance(learner, AbstractEncodingLearner)
    assert isinstance(learner, AbstractPredictingLearner)

    def one(params: Any, task: Any, key: Key[Array, ""]) -> tuple[Array, Array, Array, Array]:
        trial = run_trial(learner, params, env, task, budget, key=key)
        flat, unflatten = ravel_pytree(task)
        steps = jax.tree.map(lambda x: x.reshape(-1, *x.shape[3:]), trial.trajectory._replace(aux=None))

        def follows(flat: Array, obs: Obs, action: Action) -> Float[Array, " F"]:
            return flat_obs(env.step(unflatten(flat), env.state_at(obs), action, key=key)[1].obs)

        def misses(obs: Obs, action: Action, next_obs: Obs) -> tuple[Array, Array]:
            said, _ = learner.predict(params, trial.final.state, obs, action[None])
            return said[0] - flat_obs(next_obs), jax.jacfwd(follows)(flat, obs, action)

        off, moves = jax.vmap(misses)(steps.timestep.obs, steps.action, steps.next_obs)
        code = learner.code(params, trial.final.state, jax.tree.map(lambda x: x[0], trial.final.carry))
        return code, off, moves, jax.jacfwd(lambda flat: numbers(unflatten(flat)))(flat)

    ones = eqx.filter_jit(eqx.filter_vmap(one, in_axes=(None, 0, 0)))

    def meet(params: Any, tasks: Any) -> Met:
        flat = np.asarray(jax.vmap(lambda task: ravel_pytree(task)[0])(tasks))
        code, off, moves, slopes = (
            np.asarray(x) for x in ones(params, tasks, jax.random.split(jax.random.key(8), len(flat)))
        )
        error, spread = np.sqrt(np.square(off).mean((0, 1))), flat.std(0).astype(np.float64)
        moves, slopes = moves * spread / error[:, None], slopes * spread
        known = np.eye(len(spread)) + np.einsum("ksfi,ksfj->kij", moves, moves)
        unknown = np.einsum("kpi,kij,kpj->kp", slopes, np.linalg.inv(known), slopes)
        return Met(code, np.asarray(jax.vmap(numbers)(tasks)), unknown)

    return meet


def flip(experiment: Experiment, params: Any) -> list[dict[str, Any]]:
    """Quality by windows, before and after the actuator is reversed, by agent."""
    family = experiment.family_options
    env, length = family.env, experiment.budgets.test.block_length
    assert isinstance(env, AbstractObservedEnv)
    assert isinstance(experiment.algorithm, MML)
    num_before = max(family.episode_length, 4 * WINDOW)
    before, after = (Budget(n // length, length) for n in (num_before, 2 * num_before))
    tasks = family.tasks("test").batch(NUM_FLIPPED, key=jax.random.key(9))
    name = REVERSED[experiment.family]
    value = getattr(tasks, name)
    turned = tasks._replace(**{name: value + jnp.pi if name == "angle" else -value})
    keys = jax.random.split(jax.random.key(10), NUM_FLIPPED)

    @eqx.filter_jit
    def qualities(learner: AbstractLearner, params: Any = None) -> Float[Array, "K L"]:
        knows = lambda task: task if params is None else params

        def one(task: Any, turned: Any, key: Key[Array, ""]) -> Float[Array, " L"]:
            first = run_trial(learner, knows(task), env, task, before, key=key)
            second = run_trial(learner, knows(turned), env, turned, after, key=key, start=first.final)
            return jnp.concatenate([quality(trial.trajectory) for trial in (first, second)])

        return jax.vmap(one)(tasks, turned, keys)

    floor = np.asarray(qualities(RandomLearner.for_spec(env.spec))).mean()

    def windows(curves: Float[np.ndarray, "S K L"]) -> list[dict[str, float]]:
        top = curves[..., num_before // 2 : num_before].mean((1, 2), keepdims=True)
        normal = (curves - floor) / (top - floor)
        num = (normal.shape[-1] // WINDOW) * WINDOW
        means = normal[..., :num].reshape(*normal.shape[:2], -1, WINDOW).mean(-1)
        return [mean_estimate(means[..., w], 0.95) for w in range(means.shape[-1])]

    told = np.asarray(qualities(OraclePlanner(env, experiment.algorithm.acting.planner)))
    found = {"oracle planner, which is told": windows(told[None])}
    for agent, options in AGENTS.items():
        learner = with_options(experiment.algorithm, {"inner": options}).learner
        seeds = [qualities(learner, params_of_seed(params, seed)) for seed in range(experiment.num_seeds)]
        found[agent] = windows(np.asarray(seeds))
    return [
        {"agent": agent, "flipped_at": num_before, "window": WINDOW, "quality": quality}
        for agent, quality in found.items()
    ]


def quality(trajectory: Any) -> Float[Array, " L"]:
    """Of every step of the first stream: its reward, or where rewards never differ, minus whether the task ended."""
    reward, ended = trajectory.reward[..., 0].ravel(), trajectory.terminated[..., 0].ravel()
    same = jnp.max(reward) == jnp.min(reward)
    return jnp.where(same, -ended.astype(jnp.float32), reward)


def main(part: str, names: list[str]) -> None:
    for name in names:
        experiment, state = load(RunDirectory.open(Path("runs") / name))
        if part == "probe":
            found = probe(experiment, state.meta.params)
            for row in found:
                print(name, row["episodes"], [round(c["value"], 2) for c in row["by_parameter"]], flush=True)
        else:
            found = flip(experiment, state.meta.params)
            for row in found:
                print(name, row["agent"], [round(q["value"], 2) for q in row["quality"]], flush=True)
        results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"presets": {}}
        results["presets"].setdefault(name, {})[part] = found
        results |= {"command": "python benchmarks/model_tasks.py probe|flip PRESET", "session": describe_session()}
        write_json(RESULTS, results)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
