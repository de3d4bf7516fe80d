"""What a step is worth where rewards never differ."""

import importlib.util
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

path = Path(__file__).parents[2] / "benchmarks" / "model_tasks.py"
spec = importlib.util.spec_from_file_location("model_tasks", path)
assert spec is not None
assert spec.loader is not None
model_tasks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(model_tasks)


class Steps(NamedTuple):
    reward: Float[Array, "B T 1"]
    terminated: Bool[Array, "B T 1"]


def test_a_step_is_worth_its_reward_or_that_the_task_goes_on():
    ended = jnp.array([[[False], [True]], [[False], [False]]])
    paid = Steps(jnp.array([[[1.0], [2.0]], [[3.0], [1.0]]]), ended)
    np.testing.assert_array_equal(model_tasks.quality(paid), [1.0, 2.0, 3.0, 1.0])
    np.testing.assert_array_equal(model_tasks.quality(paid._replace(reward=jnp.ones((2, 2, 1)))), [0, -1, 0, 0])
