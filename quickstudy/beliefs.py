"""What a learner believed of a family's states when each episode of a trial began: data, and maps of the report.

Beliefs of a stored trial are recomputed by the states that the learner had in it: see `quickstudy.retracing`.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from quickstudy.envs.replay import plain
from quickstudy.family import AbstractFamily, AbstractMappedFamily
from quickstudy.learner import AbstractBelievingLearner, AbstractLearner
from quickstudy.retracing import episode_starts, padded, retrace
from quickstudy.types import Obs, Trajectory


def belief_maps(
    learner: AbstractLearner, params: PyTree, trajectory: Trajectory, family: AbstractFamily
) -> list[dict[str, Any]]:
    """What ``learner`` believed at the start of every episode of the first stream of K trials, as plain data.

    Args:
        learner: what acted.
        params: its parameters, of one training seed.
        trajectory: the trials, ``[K, B, T, N, ...]``.
        family: where they happened.

    Returns:
        For each trial the ``limits`` of the map and ``episodes``: the beliefs of `AbstractBelievingLearner.believe` by
        name, each a list of rows as in `StateMap`. Nothing at all for a learner that cannot say what it believes, or
        a family whose states are not on a map.
    """
    if not isinstance(learner, AbstractBelievingLearner) or not isinstance(family, AbstractMappedFamily):
        return []
    obs, limits = family.state_map()
    starts = episode_starts(trajectory)
    beliefs = jax.tree.map(np.asarray, _believed(learner, params, trajectory, jnp.asarray(padded(starts)), obs))
    entries = []
    for trial, begun in enumerate(starts):
        episodes = [{name: plain(maps[trial, i]) for name, maps in beliefs.items()} for i in range(len(begun))]
        entries.append({"limits": list(limits), "episodes": episodes})
    return entries


@eqx.filter_jit
def _believed(
    learner: AbstractBelievingLearner, params: PyTree, trajectory: Trajectory, starts: Int[Array, "K E"], obs: Obs
) -> dict[str, Float[Array, "K E H H"]]:
    """Beliefs before the blocks in which E episodes of every trial begin."""
    blocks = starts // trajectory.reward.shape[2]
    states, _ = retrace(learner, params, trajectory, blocks, lambda *_: None)
    maps = lambda state: jax.vmap(jax.vmap(lambda obs: learner.believe(params, state, obs)))(obs)
    return eqx.filter_vmap(eqx.filter_vmap(maps))(states)
