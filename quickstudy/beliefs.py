"""What a learner believed of a family's states when each episode of a trial began: data, and maps of the report.

The state that a learner had inside a trial is not stored; it is recomputed here from the stored blocks, so that an
evaluation pays for beliefs only in the few trials that it keeps whole.
"""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, PyTree

from quickstudy.envs.replay import plain
from quickstudy.family import AbstractFamily, AbstractMappedFamily
from quickstudy.learner import AbstractBelievingLearner, AbstractLearner
from quickstudy.trial import filter_scan
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
    beliefs = jax.tree.map(np.asarray, _before_blocks(learner, params, trajectory, obs))
    entries = []
    for trial, blocks in enumerate(_first_blocks(trajectory)):
        episodes = [{name: plain(maps[trial, block]) for name, maps in beliefs.items()} for block in blocks]
        entries.append({"limits": list(limits), "episodes": episodes})
    return entries


@eqx.filter_jit
def _before_blocks(
    learner: AbstractBelievingLearner, params: PyTree, trajectory: Trajectory, obs: Obs
) -> dict[str, Float[Array, "K B H H"]]:
    """Beliefs before every block of every trial."""
    key = jax.random.key(0)

    def step(state: PyTree, block: Trajectory) -> tuple[PyTree, dict[str, Float[Array, "H H"]]]:
        maps = jax.vmap(jax.vmap(lambda obs: learner.believe(params, state, obs)))(obs)
        return learner.update(params, state, block, key=key)[0], maps

    one = lambda trajectory: filter_scan(step, learner.init(params, key=key), trajectory)[1]
    return jax.vmap(one)(trajectory)


def _first_blocks(trajectory: Trajectory) -> list[list[int]]:
    """For each trial the blocks in which the episodes of its first stream begin."""
    last = np.asarray(trajectory.terminated | trajectory.truncated)[..., 0]
    num_trials, _, length = last.shape
    first = np.roll(last.reshape(num_trials, -1), 1, axis=1)
    first[:, 0] = True
    return [(np.flatnonzero(row) // length).tolist() for row in first]
