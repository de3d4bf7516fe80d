"""Which episode counts after so many steps, by hand."""

import importlib.util
from pathlib import Path

import jax.numpy as jnp
import numpy as np

path = Path(__file__).parents[2] / "benchmarks" / "steps_in_task.py"
spec = importlib.util.spec_from_file_location("steps_in_task", path)
assert spec is not None
assert spec.loader is not None
steps_in_task = importlib.util.module_from_spec(spec)
spec.loader.exec_module(steps_in_task)


def test_the_episode_that_begins_at_or_after_a_mark_counts():
    reward = jnp.asarray([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0])
    last = jnp.asarray([False, True, True, False, False, True, False])  # returns 3, 4, 56, and one that is cut off
    found = steps_in_task.returns_after(reward, last, (0, 1, 2, 3, 4))
    np.testing.assert_array_equal(found, [3.0, 4.0, 4.0, 56.0, np.nan])


def test_the_expert_is_reached_where_the_curve_stays():
    marks = (0, 10, 20, 40)
    assert steps_in_task.reaches(np.array([1.0, 9.0, 8.0, 9.5]), marks, 9.0) == 40
    assert steps_in_task.reaches(np.array([1.0, 9.0, 9.1, 9.5]), marks, 9.0) == 10
    assert steps_in_task.reaches(np.array([9.0, 9.0, 9.1, np.nan]), marks, 9.0) is None
