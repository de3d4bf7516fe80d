"""What an agent computes, as three functions of plain arrays: the same from a learner and from an exported file.

Lists of arrays are the leaves of the pytrees that the learner knows; a key among them is its bits. So the functions can
be compiled here, or exported, and called where the learner's classes are unknown. Nothing here imports more than JAX.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from quickstudy.host.spaces import Layout

Arrays = list[Any]


class Observed(NamedTuple):
    """What one stream shows: the leaves of the observation, and what led to it."""

    obs: Arrays
    prev_action: Any
    prev_reward: Any
    first: Any


class Block(NamedTuple):
    """Steps ``[T, N, ...]``, for the update."""

    observed: Observed
    action: Any
    reward: Any
    next_obs: Arrays
    terminated: Any
    truncated: Any
    aux: Arrays

    def plain(self) -> tuple[Any, ...]:
        """Tuples alone, which a program's file can describe."""
        return (tuple(self.observed), *self[1:])


class Functions(NamedTuple):
    """The learner for one task and one stream; ``observed`` and ``block`` are given as plain tuples.

    Attributes:
        init: ``(weights, seed)`` to ``(state, carry)``.
        act: ``(weights, state, carry, observed, seed, step)`` to ``(action, carry, aux)``.
        update: ``(weights, state, block, seed, block number)`` to the new state.
    """

    init: Callable[..., Any]
    act: Callable[..., Any]
    update: Callable[..., Any]


class Brain(NamedTuple):
    """All that the sessions of an agent share.

    Attributes:
        functions: compiled.
        weights: the meta-learned parameters.
        layout: observations and actions, as the environment has them.
        obs_dtypes: of the leaves of an observation.
        block_length: T, steps in a stream of a block.
        num_streams: N, streams of a block, which are lived through one after the other.
        cut_streams: whether the last step of each counts as truncated (`Budget.fresh_blocks`).
        learns: whether updates change anything.
        write: stores the brain in a directory, so that `load` finds it there.
    """

    functions: Functions
    weights: Arrays
    layout: Layout
    obs_dtypes: tuple[str, ...]
    block_length: int
    num_streams: int
    cut_streams: bool
    learns: bool
    write: Callable[[Path], None]

    def leaves(self, flat: np.ndarray) -> Arrays:
        """A flat observation ``[..., F]`` as the leaves that the learner's observation has."""
        leaves = _leaves(self.layout.obs.decode(flat))
        return [leaf.astype(dtype, copy=False) for leaf, dtype in zip(leaves, self.obs_dtypes, strict=True)]


def _leaves(tree: Any) -> Arrays:
    """Leaves in the order that JAX gives them in."""
    if isinstance(tree, dict):
        return [leaf for key in sorted(tree) for leaf in _leaves(tree[key])]
    return [tree]
