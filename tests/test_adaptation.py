"""Adapting to one task."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import Scripted, Staircase

from quickstudy.adaptation import adapt
from quickstudy.collect.graph import GraphCollector
from quickstudy.errors import InvalidArgument
from quickstudy.types import Budget

COLLECTOR = GraphCollector(Staircase())
SCRIPT = jnp.array([1, 0, 0, 1, 1])


def _adapt(budget, start=None):
    return adapt(Scripted(), SCRIPT, COLLECTOR, jnp.asarray(10.0), budget, key=jax.random.key(0), start=start)


def test_the_adapted_learner_goes_on_acting():
    adapted = _adapt(Budget(2, 2, 3))
    assert adapted.trial.trajectory.reward.shape == (1, 2, 2, 3)
    assert int(adapted.final.state) == 2
    assert int(adapted.carry) == 4
    timestep = jax.tree.map(lambda x: x[0], adapted.final.timestep)
    action, carry = adapted.act(timestep, adapted.carry, key=jax.random.key(1))
    assert (int(action), int(carry)) == (1, 5)
    action, carry = adapted.act(timestep, carry, key=jax.random.key(1))
    assert (int(action), int(carry)) == (1, 6)
    assert int(adapted.carry) == 4


def test_adapting_goes_on_where_it_stopped():
    whole = _adapt(Budget(4, 2)).trial.trajectory
    first = _adapt(Budget(1, 2))
    rest = _adapt(Budget(3, 2), start=first.final).trial.trajectory
    joined = jnp.concatenate([first.trial.trajectory.reward, rest.reward], axis=1)
    np.testing.assert_array_equal(joined, whole.reward)
    np.testing.assert_array_equal(rest.aux[1].ravel(), range(2, 8))


def test_an_empty_budget_is_refused():
    with pytest.raises(InvalidArgument, match="block_length"):
        _adapt(Budget(1, 0))
