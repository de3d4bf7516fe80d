"""Which steps lead to something new, by hand."""

import jax.numpy as jnp
import numpy as np

from quickstudy.ops.novelty import first_met
from quickstudy.types import TimeStep, Trajectory


def _stream(shown, reached):
    """A stream of two-number observations (cell, 0)."""
    obs, next_obs = (jnp.stack([jnp.asarray(x, jnp.float32), jnp.zeros(len(x))], axis=1) for x in (shown, reached))
    zeros, no = jnp.zeros(len(shown)), jnp.zeros(len(shown), bool)
    timestep = TimeStep(obs, zeros.astype(jnp.int32), zeros, no)
    return Trajectory(timestep, timestep.prev_action, zeros, next_obs, no, no, None)


def test_only_the_first_meeting_counts():
    np.testing.assert_array_equal(first_met(_stream([0, 1, 2, 1], [1, 2, 1, 3])), [1, 1, 0, 1])


def test_standing_still_is_nothing_new_and_neither_is_the_start():
    np.testing.assert_array_equal(first_met(_stream([4, 4, 5], [4, 5, 4])), [0, 1, 0])


def test_what_the_last_step_of_an_episode_reached_is_known_in_the_next():
    """The episode ends in 2, which is never shown to the agent; reached again after the border it is not new."""
    np.testing.assert_array_equal(first_met(_stream([0, 1, 0, 1], [1, 2, 1, 2])), [1, 1, 0, 0])


def test_every_number_of_an_observation_counts():
    stream = _stream([0, 0], [0, 0])
    stream = stream._replace(next_obs=stream.next_obs.at[1, 1].set(1.0))
    np.testing.assert_array_equal(first_met(stream), [0, 1])
