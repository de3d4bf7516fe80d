"""The terms of an action value: values by hand, and greedy actions against a search of the box."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.envs.gridworld import GridNavigation
from quickstudy.envs.point import PointNavigation
from quickstudy.nets.action_terms import DiscreteTerms, ParabolaTerms, action_terms


def test_discrete_coefficients_are_the_values_of_actions():
    actions = DiscreteTerms(4)
    coefficients = jnp.asarray([0.5, -1.0, 2.0, 1.5])
    for action, value in enumerate(coefficients):
        assert actions.terms(jnp.asarray(action)) @ coefficients == value
    assert actions.greedy(coefficients) == 2
    assert actions.greedy(coefficients).dtype == actions.action.dtype


def test_a_parabola_along_each_number_by_hand():
    actions = ParabolaTerms((2,))
    coefficients = jnp.asarray([1.0, 0.4, -3.0, -0.5, 2.0])
    np.testing.assert_allclose(actions.terms(jnp.asarray([0.5, -1.0])), [1.0, 0.5, -1.0, 0.25, 1.0])
    assert actions.terms(jnp.asarray([0.5, -1.0])) @ coefficients == pytest.approx(1 + 0.2 + 3 - 0.125 + 2)
    # The vertex of .4 a − .5 a² is at .4; −3 a + 2 a² opens upwards and is higher at −1.
    np.testing.assert_allclose(actions.greedy(coefficients), [0.4, -1.0], rtol=1e-6)


def test_no_action_of_the_box_is_better_than_the_greedy_one():
    actions = ParabolaTerms((2,))
    axis = jnp.linspace(-1.0, 1.0, 81)
    box = jnp.stack(jnp.meshgrid(axis, axis), -1).reshape(-1, 2)
    for coefficients in jax.random.normal(jax.random.key(0), (50, 5)):
        found = actions.best_terms(coefficients) @ coefficients
        assert found >= jnp.max(jax.vmap(actions.terms)(box) @ coefficients) - 1e-6


@pytest.mark.parametrize(("family", "num_terms"), [(GridNavigation(), 5), (PointNavigation(), 5)])
def test_a_family_has_the_terms_of_its_actions(family, num_terms):
    actions = action_terms(family.env.spec)
    assert actions.num_terms == num_terms
    assert actions.action == family.env.spec.action
    drawn = jax.vmap(lambda key: actions.random(key=key))(jax.random.split(jax.random.key(1), 200))
    low, high = (0, 4) if family.env.spec.num_actions else (-1.0, 1.0)
    assert low <= drawn.min() < drawn.max() <= high
    assert drawn.shape == (200, *actions.action.shape)


def test_a_flat_parabola_has_a_finite_greedy_action_without_a_gradient_of_its_own():
    actions = ParabolaTerms((1,))
    np.testing.assert_array_equal(actions.greedy(jnp.asarray([3.0, 0.0, 0.0])), [0.0])
    assert np.isfinite(jax.grad(lambda c: actions.best_terms(c) @ c)(jnp.asarray([3.0, 0.2, 0.0]))).all()
