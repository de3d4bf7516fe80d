"""What a stream shows, as one vector."""

import jax
import jax.numpy as jnp
import numpy as np

from quickstudy.nets.features import (
    features_by_action,
    num_obs_features,
    num_timestep_features,
    num_transition_features,
    obs_features,
    timestep_features,
    transition_features,
)
from quickstudy.types import Spec, TimeStep

OBS = {"a": jnp.array([[1.0, 2.0], [3.0, 4.0]]), "b": jnp.asarray(5)}
OBS_SPEC = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), OBS)
DISCRETE = Spec(OBS_SPEC, jax.ShapeDtypeStruct((), jnp.int32), 3)
CONTINUOUS = Spec(OBS_SPEC, jax.ShapeDtypeStruct((2,), jnp.float32), None)


def _timestep(action):
    return TimeStep(OBS, action, jnp.asarray(-0.5), jnp.asarray(True))


def test_discrete_actions_enter_one_hot_and_with_what_they_paid():
    got = timestep_features(_timestep(jnp.asarray(1)), 3)
    np.testing.assert_array_equal(got, [1, 2, 3, 4, 5, 0, 1, 0, 0, -0.5, 0, -0.5, 1])
    assert got.shape == (num_timestep_features(DISCRETE),)
    assert got.dtype == jnp.float32


def test_sums_of_features_tell_how_often_each_action_was_taken_and_what_it_paid():
    each = [timestep_features(_timestep(jnp.asarray(action)), 3) for action in (1, 1, 2)]
    np.testing.assert_array_equal(features_by_action(jnp.stack(each).sum(0), 5, 3), [[0, 0], [2, -1], [1, -0.5]])


def test_a_transition_shows_where_the_action_was_taken():
    before = jnp.array([0.0, 1.0, 0.0, 0.0, 0.0])
    timestep = _timestep(jnp.asarray(2))
    got = transition_features(before, timestep, 3)
    np.testing.assert_array_equal(got, [0, 1, 0, 0, 0, *timestep_features(timestep, 3)])
    assert got.shape == (num_transition_features(DISCRETE),)


def test_continuous_actions_enter_as_they_are():
    got = timestep_features(_timestep(jnp.array([0.25, -0.75])), None)
    np.testing.assert_array_equal(got, [1, 2, 3, 4, 5, 0.25, -0.75, -0.5, 1])
    assert got.shape == (num_timestep_features(CONTINUOUS),)


def test_the_observation_alone():
    got = obs_features(_timestep(jnp.asarray(1)))
    np.testing.assert_array_equal(got, [1, 2, 3, 4, 5])
    assert num_obs_features(DISCRETE) == num_obs_features(CONTINUOUS) == 5
