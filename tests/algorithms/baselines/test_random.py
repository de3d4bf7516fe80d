"""Uniform actions are uniform."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats

from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.types import Spec, TimeStep

OBS = jax.ShapeDtypeStruct((1,), jnp.float32)
TIMESTEP = TimeStep(jnp.zeros(1), jnp.asarray(0), jnp.asarray(0.0), jnp.asarray(True))


def _actions(learner, count):
    keys = jax.random.split(jax.random.key(0), count)
    return np.asarray(jax.vmap(lambda key: learner.act(None, None, (), TIMESTEP, key=key)[0])(keys))


def test_discrete_actions_are_equally_likely():
    learner = RandomLearner.for_spec(Spec(OBS, jax.ShapeDtypeStruct((), jnp.int32), 4))
    actions = _actions(learner, 4000)
    assert actions.dtype == np.int32
    assert scipy.stats.chisquare(np.bincount(actions, minlength=4)).pvalue > 1e-3


def test_continuous_actions_fill_the_box():
    learner = RandomLearner.for_spec(Spec(OBS, jax.ShapeDtypeStruct((3,), jnp.float32), None))
    actions = _actions(learner, 4000)
    assert actions.shape == (4000, 3)
    for axis in actions.T:
        assert scipy.stats.kstest(axis, scipy.stats.uniform(-1, 2).cdf).pvalue > 1e-3
