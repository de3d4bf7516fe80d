"""Finite sets of tasks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.errors import InvalidArgument
from quickstudy.tasks.finite import FiniteTasks

TEN = FiniteTasks({"goal": jnp.arange(10), "speed": jnp.arange(10.0) / 10})


def test_samples_are_uniform_over_whole_members():
    draws = jax.vmap(lambda k: TEN.sample(key=k))(jax.random.split(jax.random.key(0), 5000))
    np.testing.assert_allclose(draws["speed"], draws["goal"] / 10, rtol=1e-6)
    counts = np.bincount(draws["goal"], minlength=10)
    # χ² with 9 degrees of freedom is above 27.9 once in a thousand keys.
    assert ((counts - 500) ** 2 / 500).sum() < 27.9


def test_filter_keeps_what_the_predicate_holds_for():
    kept = TEN.filter(lambda task: task["goal"] % 3 == 0)
    assert len(kept) == 4
    np.testing.assert_array_equal(kept.members["goal"], [0, 3, 6, 9])


def test_split_parts_are_disjoint_and_complete():
    parts = TEN.split(0.6, 0.2, 0.2, key=jax.random.key(1))
    assert [len(part) for part in parts] == [6, 2, 2]
    members = np.concatenate([part.members["goal"] for part in parts])
    np.testing.assert_array_equal(np.sort(members), range(10))
    again = TEN.split(0.6, 0.2, 0.2, key=jax.random.key(1))
    np.testing.assert_array_equal(parts[0].members["goal"], again[0].members["goal"])


def test_the_last_part_takes_what_rounding_leaves():
    assert [len(part) for part in TEN.split(0.33, 0.33, 0.34, key=jax.random.key(0))] == [3, 4, 3]


@pytest.mark.parametrize("fractions", [(), (0.5, 0.4), (1.2, -0.2)])
def test_fractions_must_be_positive_and_sum_to_one(fractions):
    with pytest.raises(InvalidArgument, match="fractions"):
        TEN.split(*fractions, key=jax.random.key(0))


def test_an_empty_set_is_refused():
    with pytest.raises(InvalidArgument, match="at least one task"):
        TEN.filter(lambda task: False)
