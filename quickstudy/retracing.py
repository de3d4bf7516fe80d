"""The states that a learner had inside stored trials.

They are not stored; they are recomputed here from the stored blocks, so that an evaluation pays for them only in the
few trials that it keeps whole.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, Integer, PyTree

from quickstudy.learner import AbstractLearner
from quickstudy.trial import filter_scan
from quickstudy.types import Trajectory


def episode_starts(trajectory: Trajectory) -> list[list[int]]:
    """For each of K trials ``[K, B, T, N]`` the steps at which the episodes of its first stream begin."""
    last = np.asarray(trajectory.terminated | trajectory.truncated)[..., 0]
    first = np.roll(last.reshape(last.shape[0], -1), 1, axis=1)
    first[:, 0] = True
    return [np.flatnonzero(row).tolist() for row in first]


def padded(starts: list[list[int]]) -> Integer[np.ndarray, "K E"]:
    """``starts`` as one array: trials with fewer episodes repeat their last one."""
    longest = max(map(len, starts))
    return np.array([row + row[-1:] * (longest - len(row)) for row in starts])


def retrace(
    learner: AbstractLearner,
    params: PyTree,
    trajectory: Trajectory,
    blocks: Int[Array, "K E"],
    look: Callable[[Any, Trajectory], PyTree],
) -> tuple[PyTree, PyTree]:
    """Go through K stored trials ``[K, B, T, N, ...]`` again.

    Args:
        learner: what acted; its `update` uses no randomness, and what its `init` draws is drawn anew.
        params: its parameters, of one training seed.
        trajectory: the trials.
        blocks: numbers of E blocks of each trial.
        look: called with the state before each block and the block ``[T, N, ...]``; returns arrays.

    Returns:
        The states before ``blocks``, ``[K, E, ...]``, and what ``look`` returned, ``[K, B, ...]``.
    """
    key = jax.random.key(0)
    numbers = jnp.arange(trajectory.reward.shape[1])

    def one(trajectory: Trajectory, wanted: Int[Array, " E"]) -> tuple[PyTree, PyTree]:
        def step(carry: tuple[PyTree, PyTree], x: tuple[Trajectory, Array]) -> tuple[tuple[PyTree, PyTree], PyTree]:
            (state, kept), (block, number) = carry, x
            here = wanted == number
            keep = lambda old, new: jnp.where(here.reshape(-1, *[1] * new.ndim), new[None], old)
            kept = jax.tree.map(keep, kept, eqx.filter(state, eqx.is_array))
            return (learner.update(params, state, block, key=key)[0], kept), look(state, block)

        start = learner.init(params, key=key)
        arrays, static = eqx.partition(start, eqx.is_array)
        kept = jax.tree.map(lambda x: jnp.broadcast_to(x, (*wanted.shape, *x.shape)), arrays)
        (_, kept), seen = filter_scan(step, (start, kept), (trajectory, numbers))
        return eqx.combine(kept, static), seen

    return eqx.filter_vmap(one)(trajectory, blocks)
