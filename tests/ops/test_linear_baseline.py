"""The linear-feature baseline, by hand and against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.ops.linear_baseline import fit_linear, steps_since_first, time_features

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        ([1, 0, 0, 0], [0, 1, 2, 3]),
        ([1, 0, 1, 0, 0, 1, 1], [0, 1, 0, 1, 2, 0, 0]),
        ([0, 0, 1, 0], [0, 1, 0, 1]),
        ([0, 0, 0], [0, 1, 2]),
    ],
    ids=["one episode", "several", "begins within one", "within one throughout"],
)
def test_steps_since_the_episode_began(first, expected):
    np.testing.assert_array_equal(steps_since_first(jnp.array(first, bool)), expected)


def test_features_by_hand():
    got = time_features(jnp.array([2.0, -0.5]), jnp.asarray(50))
    np.testing.assert_allclose(got, [2, -0.5, 4, 0.25, 0.5, 0.25, 0.125, 1])


def test_observations_are_clipped_before_they_are_squared():
    got = time_features(jnp.array([1e6, -1e6]), jnp.asarray(0))
    np.testing.assert_allclose(got, [10, -10, 100, 100, 0, 0, 0, 1])


def test_a_linear_target_is_recovered():
    features = RNG.normal(size=(200, 5))
    weights = np.array([1.0, -2.0, 0.5, 3.0, 0.0])
    got = fit_linear(jnp.asarray(features, jnp.float32), jnp.asarray(features @ weights, jnp.float32), 1e-7)
    np.testing.assert_allclose(got, weights, atol=1e-4)


def test_an_episodes_remaining_steps_are_linear_in_time():
    # What a reward of -1 a step is worth: t - 100, which the features hold.
    features = jnp.stack([time_features(jnp.zeros(2), jnp.asarray(t)) for t in range(100)])
    target = jnp.arange(100.0) - 100.0
    np.testing.assert_allclose(features @ fit_linear(features, target, 1e-5), target, atol=0.5)


@pytest.mark.parametrize("ridge", [1e-3, 1.0])
def test_the_weights_are_those_of_ridge_regression(ridge):
    features, target = RNG.normal(size=(50, 4)), RNG.normal(size=50)
    # min |X w - y|²/n + ridge |w|², as least squares with rows √ridge · I appended.
    rows = np.concatenate([features / np.sqrt(50), np.sqrt(ridge) * np.eye(4)])
    expected = np.linalg.lstsq(rows, np.concatenate([target / np.sqrt(50), np.zeros(4)]), rcond=None)[0]
    got = fit_linear(jnp.asarray(features, jnp.float32), jnp.asarray(target, jnp.float32), ridge)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_the_default_ridge_keeps_a_constant_observation_finite():
    # A bandit's: observation, its square and the constant are one feature three times over; so are the powers of t.
    features = jnp.broadcast_to(time_features(jnp.ones(1), jnp.asarray(0)), (40, 6))
    target = jnp.asarray(RNG.normal(size=40) + 2.0, jnp.float32)
    weights = fit_linear(features, target, 1e-5)
    assert np.isfinite(weights).all()
    np.testing.assert_allclose(features @ weights, np.full(40, target.mean()), rtol=1e-3)


def test_features_of_zero_get_no_weight():
    weights = fit_linear(jnp.zeros((10, 3)), jnp.ones(10), 1e-5)
    np.testing.assert_array_equal(weights, np.zeros(3))


def test_fewer_samples_than_features_stay_finite():
    features = jnp.asarray(RNG.normal(size=(2, 6)), jnp.float32)
    weights = fit_linear(features, jnp.array([1.0, -1.0]), 1e-5)
    np.testing.assert_allclose(features @ weights, [1, -1], atol=1e-2)


@pytest.mark.parametrize("position", [1.0, 3.0, 10.0, 1e3])
def test_an_agent_that_never_moves_leaves_finite_weights(position):
    # Two coordinates, their squares and the constant are one feature, up to scale, and the largest is 100.
    features = jnp.stack([time_features(jnp.array([position, -position]), jnp.asarray(t)) for t in range(100)])
    target = jnp.asarray(RNG.normal(size=100), jnp.float32)
    assert np.isfinite(fit_linear(features, target, 1e-5)).all()


def test_features_that_never_change_leave_finite_weights():
    """What an oracle is shown of its task: columns that are multiples of each other, in many tasks."""

    def weights(key):
        k_position, k_task, k_target = jax.random.split(key, 3)
        position = jnp.cumsum(0.2 * jax.random.normal(k_position, (20, 20, 2)), axis=1).reshape(-1, 2)
        obs = jnp.concatenate([position, jnp.broadcast_to(jax.random.normal(k_task, (6,)), (400, 6))], axis=-1)
        features = jax.vmap(time_features)(obs, jnp.tile(jnp.arange(20), 20))
        return fit_linear(features, jax.random.normal(k_target, (400,)), 1e-5)

    assert np.isfinite(jax.jit(jax.vmap(weights))(jax.random.split(jax.random.key(0), 500))).all()
