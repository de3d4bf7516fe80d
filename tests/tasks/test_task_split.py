"""Splits keep training and test apart."""

import jax
import numpy as np
import pytest
from toys import Heights

from quickstudy.errors import InvalidArgument
from quickstudy.tasks.base import SPLITS, TaskSplit


def test_equal_keys_give_different_tasks_in_different_splits():
    key = jax.random.key(0)
    batches = [np.asarray(TaskSplit(Heights(), name).batch(64, key=key)) for name in SPLITS]
    assert np.unique(np.concatenate(batches)).size == 64 * len(SPLITS)


def test_a_batch_is_the_same_for_the_same_key_and_its_tasks_differ():
    split = TaskSplit(Heights(), "train")
    batch = split.batch(8, key=jax.random.key(3))
    assert batch.shape == (8,)
    np.testing.assert_array_equal(batch, split.batch(8, key=jax.random.key(3)))
    assert np.unique(batch).size == 8


def test_a_split_draws_from_the_familys_distribution():
    batch = np.asarray(TaskSplit(Heights(), "test").batch(4000, key=jax.random.key(0)))
    assert batch.min() >= 1
    assert batch.max() <= 2
    assert batch.mean() == pytest.approx(1.5, abs=4 * np.sqrt(1 / 12 / 4000))


def test_a_batch_holds_at_least_one_task():
    with pytest.raises(InvalidArgument, match="num_tasks"):
        TaskSplit(Heights(), "train").batch(0, key=jax.random.key(0))


def test_an_unknown_split_is_refused():
    with pytest.raises(Exception, match="tset"):
        TaskSplit(Heights(), "tset")
