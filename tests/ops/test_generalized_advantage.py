"""Generalised advantages: by hand, and where they reduce to something simpler."""

import jax
import jax.numpy as jnp
import numpy as np

from quickstudy.ops.returns import generalized_advantage

RNG = np.random.default_rng(0)
REWARD, VALUE, LAST = RNG.normal(size=20), RNG.normal(size=20), RNG.normal()


def _advantage(reward, discount, v_tm1, v_t, trace):
    full = lambda x: jnp.broadcast_to(jnp.asarray(x, jnp.float32), (len(reward),))
    return np.asarray(generalized_advantage(*(full(x) for x in (reward, discount, v_tm1, v_t, trace))))


def test_by_hand():
    # δ = 1 + ½·4 − 2 = 1,  2 + ½·2 − 4 = −1,  3 + ½·6 − 2 = 4; decay ½·½.
    got = _advantage([1.0, 2.0, 3.0], 0.5, [2.0, 4.0, 2.0], [4.0, 2.0, 6.0], 0.5)
    np.testing.assert_allclose(got, [1 + 0.25 * (-1 + 0.25 * 4), -1 + 0.25 * 4, 4])


def test_a_discount_of_zero_ends_the_future():
    got = _advantage([1.0, 2.0, 3.0], [0.5, 0.0, 0.5], [2.0, 4.0, 2.0], [4.0, 2.0, 6.0], 0.5)
    np.testing.assert_allclose(got, [1 + 0.25 * -2, -2, 4])


def test_a_trace_of_zero_bootstraps_at_a_border_and_stops_there():
    got = _advantage([1.0, 2.0, 3.0], 0.5, [2.0, 4.0, 2.0], [4.0, 2.0, 6.0], [0.5, 0.0, 0.5])
    np.testing.assert_allclose(got, [1 + 0.25 * -1, -1, 4])


def test_lambda_one_is_the_monte_carlo_return_less_the_value():
    gamma = 0.9
    future = LAST
    monte_carlo = np.zeros(20)
    for t in reversed(range(20)):
        future = monte_carlo[t] = REWARD[t] + gamma * future
    got = _advantage(REWARD, gamma, VALUE, np.append(VALUE[1:], LAST), 1.0)
    np.testing.assert_allclose(got, monte_carlo - VALUE, rtol=1e-4, atol=1e-5)


def test_lambda_zero_is_the_temporal_difference():
    v_t = np.append(VALUE[1:], LAST)
    np.testing.assert_allclose(
        _advantage(REWARD, 0.9, VALUE, v_t, 0.0), REWARD + 0.9 * v_t - VALUE, rtol=1e-5, atol=1e-6
    )


def test_right_values_leave_no_advantage_on_a_deterministic_path():
    gamma = 0.9
    value = np.zeros(21)
    for t in reversed(range(20)):
        value[t] = REWARD[t] + gamma * value[t + 1]
    np.testing.assert_allclose(_advantage(REWARD, gamma, value[:-1], value[1:], 0.7), 0, atol=1e-5)


def test_maps_over_streams():
    batch = jnp.asarray(RNG.normal(size=(3, 5, 6)), jnp.float32)
    got = jax.vmap(generalized_advantage)(*(batch[:, i] for i in range(5)))
    for i in range(3):
        np.testing.assert_allclose(got[i], generalized_advantage(*batch[i]), rtol=1e-5, atol=1e-6)
