"""The memory of a task and the store of trials, by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import numbered_block

from quickstudy.algorithms.memory import (
    Memory,
    draw_trials,
    empty_memory,
    empty_store,
    in_order,
    remember,
    sample_returns,
    store_trials,
)
from quickstudy.errors import InvalidArgument


def _remembered(blocks, capacity=12) -> Memory:
    memory = empty_memory(capacity, 6)
    for block in blocks:
        memory, _, _ = remember(memory, block)
    return memory


def test_the_memory_is_a_ring_in_the_order_of_time():
    memory = empty_memory(5, 6)
    for first in (0, 3, 6):
        memory, where, new = remember(memory, numbered_block(first, 3))
    np.testing.assert_array_equal(where, [1, 2, 3])
    np.testing.assert_array_equal(new.reward, [6, 7, 8])
    np.testing.assert_array_equal(memory.transitions.reward, [5, 6, 7, 8, 4])
    np.testing.assert_array_equal(in_order(memory).reward, [4, 5, 6, 7, 8])
    np.testing.assert_array_equal(in_order(memory).discount, [1, 1, 1, 0, 1])
    np.testing.assert_array_equal(in_order(memory).last, [0, 0, 0, 1, 0])
    half = _remembered([numbered_block(1, 2)], capacity=5)
    np.testing.assert_array_equal(in_order(half).weight, [0, 0, 0, 1, 1])
    np.testing.assert_array_equal(in_order(half).reward, [0, 0, 0, 1, 2])


def test_a_block_that_does_not_fit_is_refused():
    with pytest.raises(InvalidArgument, match="capacity=5 is less than the 6 transitions of one block"):
        remember(empty_memory(5, 6), numbered_block(0, 3, 2))


def test_returns_stop_where_an_episode_or_the_data_end():
    data = in_order(_remembered([numbered_block(0, 6)]))
    drawn = sample_returns(data, 400, num_steps=3, gamma=0.5, num_streams=1, key=jax.random.key(0))
    start = np.argmax(drawn.obs, axis=-1)  # step number: observations are one-hot numbers
    assert set(start.tolist()) == {0, 1, 2, 3, 4, 5}
    reward = np.asarray([0 + 0.5 + 0.5, 1 + 1 + 0.75, 2 + 1.5, 3, 4 + 2.5, 5])
    discount = np.asarray([0.125, 0, 0, 0, 0.25, 0.5])
    final = np.asarray([2, 3, 3, 3, 5, 5])
    np.testing.assert_allclose(drawn.reward, reward[start])
    np.testing.assert_allclose(drawn.discount, discount[start])
    np.testing.assert_array_equal(np.argmax(drawn.next_obs, axis=-1), (5 - final)[start])


def test_returns_follow_their_own_stream():
    data = in_order(_remembered([numbered_block(0, 2, 2)]))
    drawn = sample_returns(data, 100, num_steps=2, gamma=1.0, num_streams=2, key=jax.random.key(0))
    start = np.argmax(drawn.obs, axis=-1)
    np.testing.assert_allclose(drawn.reward, np.asarray([0 + 2, 1 + 3, 2, 3])[start])


def test_the_store_keeps_the_latest_trials():
    memories = lambda *firsts: jax.tree.map(
        lambda *xs: jnp.stack(xs), *[_remembered([numbered_block(first, 2)], 3) for first in firsts]
    )
    store = empty_store(3, empty_memory(3, 6))
    store = store_trials(store, memories(10, 20))
    np.testing.assert_array_equal(np.unique(draw_trials(store, 50, key=jax.random.key(0)).reward[:, 1]), [10, 20])
    store = store_trials(store, memories(30, 40))
    assert int(store.num_stored) == 4
    np.testing.assert_array_equal(store.transitions.reward, [[0, 40, 41], [0, 20, 21], [0, 30, 31]])
    with pytest.raises(InvalidArgument, match="num_trials=3 is less than the 4 tasks of a meta-update"):
        store_trials(store, memories(1, 2, 3, 4))


def test_nothing_can_be_drawn_from_an_empty_memory_or_store():
    memory = empty_memory(5, 6)
    draw = lambda data: sample_returns(data, 2, num_steps=1, gamma=0.5, num_streams=1, key=jax.random.key(0))
    with pytest.raises(InvalidArgument, match="data holds no transition: remember a block first"):
        draw(in_order(memory))
    store = empty_store(2, memory)
    with pytest.raises(InvalidArgument, match="store holds no trial: store the trials of some tasks first"):
        draw_trials(store, 2, key=jax.random.key(0))
    # In a compiled program, where sizes are not known, both can still be drawn from.
    memory, _, _ = remember(memory, numbered_block(1, 2))
    store = store_trials(store, jax.tree.map(lambda x: x[None], memory))
    assert set(jax.jit(draw)(in_order(memory)).reward.tolist()) <= {1.0, 2.0}
    drawn = jax.jit(lambda store: draw_trials(store, 2, key=jax.random.key(0)))(store)
    np.testing.assert_array_equal(drawn.reward, [[0, 0, 0, 1, 2]] * 2)
