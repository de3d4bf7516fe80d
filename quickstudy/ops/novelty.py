"""What is new to a trial: a reason to explore that does not wait for the task's own reward.

Rewarding an agent in meta-training for what it has not met yet follows HyperX (Zintgraf et al. 2021, arXiv:2010.01062);
that new means new to this trial, and is forgotten after it, follows episodic novelty (Savinov et al. 2019,
arXiv:1810.02274). Here an observation is new or it is not: a count, where they learn a measure of novelty.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from quickstudy.nets.features import obs_features
from quickstudy.types import Trajectory


def first_met(stream: Trajectory) -> Float[Array, " L"]:
    """1 for every step of one stream ``[L]`` that leads to an observation new to the trial, and 0 for the others.

    Observations are compared exactly: this is for discrete ones; of continuous ones all are new.
    """
    shown = jax.vmap(obs_features)(stream.timestep)
    reached = jax.vmap(obs_features)(stream.timestep._replace(obs=stream.next_obs))
    step = jnp.arange(len(reached))
    again = _equal(reached, shown) & (step[None] <= step[:, None])
    again |= _equal(reached, reached) & (step[None] < step[:, None])
    return 1.0 - jnp.any(again, axis=1)


def _equal(a: Float[Array, "M F"], b: Float[Array, "N F"]) -> Bool[Array, "M N"]:
    return jnp.all(a[:, None] == b[None], axis=-1)
