"""What it is worth to know the physics, in the families that hide them.

Usage: ``python benchmarks/knowing_physics.py``. Mean return of the first episode, with its standard error over tasks,
of every yardstick of a family, in tasks of the test split and out of distribution; and of the controller that was
designed for ``family.default_task``, apart in tasks whose actuator works as it does there, and in the others. 4,000
tasks of each, for the planner 256. Stored in ``benchmarks/results/knowing-physics.json``.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from quickstudy.catalog import family
from quickstudy.envs.control.family import AbstractControl
from quickstudy.family import AbstractYardstick
from quickstudy.run_directory import describe_session, write_json
from quickstudy.tasks.base import SplitName

RESULTS = Path(__file__).parent / "results" / "knowing-physics.json"
NUM_TASKS = {"oracle planner": 256}
"""By yardstick; 4,000 for the others."""

CHANGED: dict[str, Callable[[Any], Bool[Array, " K"]]] = {
    "cart-pole": lambda tasks: tasks.force < 0,
    "cart-pole-swing-up": lambda tasks: tasks.force < 0,
    "pendulum": lambda tasks: tasks.torque < 0,
    "mountain-car": lambda tasks: tasks.power < 0,
    "reacher": lambda tasks: jnp.diagonal(tasks.wiring, axis1=1, axis2=2).min(1) <= 0,
}
"""By family, which tasks have an actuator that does not work as it does by default."""


def returns(yardstick: AbstractYardstick, tasks: Any, num_tasks: int) -> Float[np.ndarray, " K"]:
    """Of the first episode in each of the first ``num_tasks`` tasks."""
    tasks = jax.tree.map(lambda x: x[:num_tasks], tasks)
    keys = jax.random.split(jax.random.key(1), num_tasks)
    one = lambda task, key: yardstick.returns(task, key=key)[0]
    return np.asarray(eqx.filter_jit(jax.vmap(one))(tasks, keys))


def estimate(values: Float[np.ndarray, " K"]) -> dict[str, float]:
    return {"value": float(values.mean()), "standard_error": float(values.std() / np.sqrt(len(values)))}


def measure(name: str, split: SplitName) -> dict[str, dict[str, float]]:
    """By policy."""
    members = family(name).load()(num_episodes=1)
    assert isinstance(members, AbstractControl)
    tasks = members.tasks(split).batch(4000, key=jax.random.key(0))
    measured = {y.name: estimate(returns(y, tasks, NUM_TASKS.get(y.name, 4000))) for y in members.yardsticks()}
    design = members.controller[1]
    unaware = members.controller_yardstick("", lambda _: design(members.default_task))
    values, other = returns(unaware, tasks, 4000), np.asarray(CHANGED[name](tasks))
    measured["controller of the default physics, actuator as it is there"] = estimate(values[~other])
    measured["controller of the default physics, other actuators"] = estimate(values[other])
    return measured


def main() -> None:
    found = {name: {split: measure(name, split) for split in ("test", "ood")} for name in CHANGED}
    for name, splits in found.items():
        print(name, {split: {k: round(v["value"], 1) for k, v in rows.items()} for split, rows in splits.items()})
    write_json(
        RESULTS,
        {"command": "python benchmarks/knowing_physics.py", "session": describe_session(), "families": found},
    )


if __name__ == "__main__":
    main()
