"""Any learner as a meta-algorithm that never changes."""

import jax
import jax.numpy as jnp
import numpy as np
from toys import Scripted, Staircase

from quickstudy.collect.graph import GraphCollector
from quickstudy.meta import NoMeta
from quickstudy.types import Budget


def test_no_meta_counts_steps_and_keeps_its_parameters():
    collector = GraphCollector(Staircase())
    algorithm = NoMeta(Scripted(), params=jnp.array([1, 0]))
    state = algorithm.init(collector.spec, key=jax.random.key(0))
    trials = collector.collect(algorithm.learner, state.params, jnp.ones(2), Budget(1, 2), key=jax.random.key(1))
    new, info = algorithm.update(state, trials, key=jax.random.key(2))
    assert (int(state.step), int(new.step)) == (0, 1)
    np.testing.assert_array_equal(new.params, [1, 0])
    assert info == {}
