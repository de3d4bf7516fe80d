"""Yardsticks: a policy that is run, and a value that is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import Scripted, Staircase

from quickstudy.types import Budget
from quickstudy.yardsticks import ExactYardstick, PolicyYardstick

KEY = jax.random.key(0)


@pytest.mark.parametrize("budget", [Budget(1, 6), Budget(6, 1), Budget(2, 3, num_streams=2)])
def test_a_policys_returns_do_not_depend_on_how_its_steps_are_cut(budget):
    # Climb, stay, climb ends an episode at heights 1, 1, 2; then the script goes on where it was.
    yardstick = PolicyYardstick("climber", Scripted(), Staircase(), budget, 3, jnp.array([1, 0, 1], jnp.int32))
    np.testing.assert_array_equal(yardstick.returns(jnp.array(10.0), key=KEY), [40.0, 40.0, np.nan])


def test_a_policys_returns_map_over_tasks():
    yardstick = PolicyYardstick("climber", Scripted(), Staircase(), Budget(1, 2), 1, jnp.array([1], jnp.int32))
    returns = jax.jit(jax.vmap(lambda task: yardstick.returns(task, key=KEY)))(jnp.array([1.0, 2.0]))
    np.testing.assert_array_equal(returns, [[3.0], [6.0]])


def test_an_exact_value_holds_for_every_episode():
    yardstick = ExactYardstick("double", lambda task: 2 * task, num_episodes=3)
    np.testing.assert_array_equal(yardstick.returns(jnp.array(1.5), key=KEY), [3.0, 3.0, 3.0])


def test_an_exact_value_may_differ_between_episodes():
    yardstick = ExactYardstick("rising", lambda task: task * jnp.arange(3.0), num_episodes=3)
    np.testing.assert_array_equal(yardstick.returns(jnp.array(2.0), key=KEY), [0.0, 2.0, 4.0])
