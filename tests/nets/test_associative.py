"""The fast-weight memory: what it holds, by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from quickstudy.nets.associative import empty_store, read, read_all, write


def test_one_hot_keys_keep_sums_apart():
    first, second = jnp.eye(2)
    store = empty_store(num_values=2, num_keys=2)
    for key, value in [(first, [1.0, 2.0]), (second, [0.0, -7.0]), (first, [1.0, 0.5])]:
        store = write(store, key, jnp.array(value))
    np.testing.assert_allclose(read(store, first), np.arcsinh([2.0, 2.5]), rtol=1e-6)
    np.testing.assert_allclose(read(store, second), np.arcsinh([0.0, -7.0]), rtol=1e-6)


def test_keys_answer_by_their_product_with_the_query():
    store = write(empty_store(1, 2), jnp.array([3.0, 4.0]), jnp.array([2.0]))
    np.testing.assert_allclose(read(store, jnp.array([1.0, -0.5])), np.arcsinh([2.0 * (3.0 - 2.0)]), rtol=1e-6)
    assert (read(store, jnp.array([4.0, -3.0])) == 0).all()


def test_a_key_of_zeros_writes_nothing():
    assert (write(empty_store(3, 2), jnp.zeros(2), jnp.ones(3)) == 0).all()


def test_large_counts_are_read_as_logarithms():
    store = write(empty_store(1, 1), jnp.ones(1), jnp.array([1000.0]))
    np.testing.assert_allclose(read(store, jnp.ones(1)), [np.log(2000.0)], rtol=1e-6)


def test_a_whole_stream_at_once_is_step_after_step():
    k_key, k_value, k_query = jax.random.split(jax.random.key(0), 3)
    keys, queries = jax.random.normal(k_key, (9, 4)), jax.random.normal(k_query, (9, 4))
    values = jax.random.normal(k_value, (9, 3))
    store, one_by_one = empty_store(3, 4), []
    for key, value, query in zip(keys, values, queries, strict=True):
        store = write(store, key, value)
        one_by_one.append(read(store, query))
    np.testing.assert_allclose(read_all(keys, values, queries), one_by_one, rtol=1e-5, atol=1e-6)
