"""The parts of trust-region optimisation, against dense linear algebra."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.nets.policy import Categorical, DiagonalGaussian
from quickstudy.ops.trust_region import backtrack, conjugate_gradient, gauss_newton_product, hessian_vector_product

RNG = np.random.default_rng(0)
HIDDEN = jnp.asarray(RNG.normal(size=(4, 3)), jnp.float32)
START = np.random.default_rng(1).bit_generator.state


@pytest.fixture(autouse=True)
def _draws_do_not_depend_on_which_tests_ran_before():
    RNG.bit_generator.state = START


def _vector(*shape):
    return jnp.asarray(RNG.normal(size=shape), jnp.float32)


def _spd(n):
    root = RNG.normal(size=(n, n))
    return jnp.asarray(root @ root.T + 0.5 * np.eye(n), jnp.float32)


def test_a_hessian_vector_product_by_hand():
    # x²y has the Hessian [[2y, 2x], [2x, 0]].
    got = hessian_vector_product(lambda p: p["x"] ** 2 * p["y"], {"x": 3.0, "y": 5.0}, {"x": 1.0, "y": -2.0})
    assert {name: float(x) for name, x in got.items()} == {"x": 10 - 12, "y": 6}


def test_a_hessian_vector_product_is_the_dense_hessian_times_the_vector():
    function = lambda x: jnp.sum(jnp.tanh(HIDDEN @ x) ** 3) + jnp.prod(x)
    at, v = _vector(3), _vector(3)
    both = jax.jit(lambda at, v: (hessian_vector_product(function, at, v), jax.hessian(function)(at) @ v))
    np.testing.assert_allclose(*both(at, v), rtol=1e-4)


def test_the_gauss_newton_product_is_the_dense_product():
    outputs = lambda x: jnp.tanh(HIDDEN @ x)
    divergence = lambda y: jnp.sum(y**4) + y[0] * y[1] * y[3]
    at, v = _vector(3), _vector(3)

    @jax.jit
    def products(at, v):
        jacobian, hessian = jax.jacobian(outputs)(at), jax.hessian(divergence)(outputs(at))
        composed = jax.hessian(lambda x: divergence(outputs(x)))(at)
        return gauss_newton_product(outputs, divergence, at, v), jacobian.T @ hessian @ jacobian @ v, composed @ v

    got, dense, full = products(at, v)
    np.testing.assert_allclose(got, dense, rtol=1e-4, atol=1e-5)
    # Away from a minimum of the divergence this is not the Hessian of the composition.
    assert np.abs(got - full).max() > 0.1


def _categorical(x):
    return Categorical(jnp.tanh(HIDDEN @ x))


def _gaussian(x):
    out = jnp.tanh(HIDDEN @ x)
    return DiagonalGaussian(out[:2], out[2:])


@pytest.mark.parametrize("policy", [_categorical, _gaussian])
def test_where_policies_are_equal_it_is_the_hessian_of_their_divergence(policy):
    at, v = _vector(3), _vector(3)

    @jax.jit
    def products(at, v):
        old = policy(jax.lax.stop_gradient(at))
        product = gauss_newton_product(policy, old.kl_to, at, v)
        return product, jax.hessian(lambda x: old.kl_to(policy(x)))(at) @ v

    got, expected = products(at, v)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    # Which is the Fisher information: positive along every direction.
    assert float(v @ got) > 0


@pytest.mark.parametrize("n", [1, 2, 5])
def test_conjugate_gradient_is_exact_after_as_many_steps_as_dimensions(n):
    matrix, b = _spd(n), _vector(n)
    got = conjugate_gradient(lambda v: matrix @ v, b, n)
    np.testing.assert_allclose(got, np.linalg.solve(matrix, b), rtol=2e-3, atol=1e-4)


def test_a_first_step_of_conjugate_gradient_is_steepest_descent():
    matrix, b = _spd(4), _vector(4)
    expected = (b @ b) / (b @ matrix @ b) * b
    np.testing.assert_allclose(conjugate_gradient(lambda v: matrix @ v, b, 1), expected, rtol=1e-5)


def test_conjugate_gradient_stands_still_once_it_is_there():
    matrix = jnp.diag(jnp.array([1.0, 2.0]))
    product = lambda v: matrix @ v
    np.testing.assert_array_equal(conjugate_gradient(product, jnp.zeros(2), 10), [0, 0])
    two, many = (conjugate_gradient(product, jnp.array([1.0, 1.0]), n) for n in (2, 100))
    np.testing.assert_allclose(two, [1, 0.5], rtol=1e-6)
    np.testing.assert_allclose(many, two, rtol=1e-6)


def _backtrack(largest, *, shrink=0.5, num_trials=10, at=1.0):
    """From ``at`` along 8; accepts steps of at most ``largest``."""
    accept = lambda x: x[0] - at <= largest
    point, fraction = backtrack(accept, jnp.array([at]), jnp.array([8.0]), shrink=shrink, num_trials=num_trials)
    return float(point[0]), float(fraction)


@pytest.mark.parametrize(
    ("largest", "point", "fraction"), [(100.0, 9.0, 1.0), (8.0, 9.0, 1.0), (7.0, 5.0, 0.5), (1.5, 2.0, 0.125)]
)
def test_the_longest_accepted_step_is_taken(largest, point, fraction):
    assert _backtrack(largest) == (point, fraction)


def test_the_last_trial_counts_and_no_more_are_made():
    # The trials are 8, 4, 2, 1.
    assert _backtrack(1.0, num_trials=4) == (2.0, 0.125)
    assert _backtrack(0.9, num_trials=4) == (1.0, 0.0)


def test_nothing_accepted_is_the_start_itself():
    assert _backtrack(-1.0, at=0.1) == (float(jnp.float32(0.1)), 0.0)


def test_a_step_that_is_not_finite_is_refused():
    accept = lambda x: jnp.all(x < 100)
    step = jnp.array([jnp.nan])
    point, fraction = backtrack(accept, jnp.array([3.0]), step, shrink=0.5, num_trials=5)
    assert (float(point[0]), float(fraction)) == (3.0, 0.0)
