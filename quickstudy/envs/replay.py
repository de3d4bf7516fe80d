"""What every family's replay shares: a stream of steps, cut into episodes, as plain data."""

import itertools
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from quickstudy.envs.grid_geometry import cell_of
from quickstudy.types import Trajectory


def episode_paths(trajectory: Trajectory) -> list[tuple[Float[np.ndarray, "steps_and_one F"], list[float]]]:
    """Each episode of one stream ``[L, ...]``: its observations, beginning with the first, and its rewards.

    The last episode may be unfinished.
    """
    obs, next_obs = np.asarray(trajectory.timestep.obs), np.asarray(trajectory.next_obs)
    rewards = plain(trajectory.reward)
    ends = np.flatnonzero(np.asarray(trajectory.terminated) | np.asarray(trajectory.truncated)) + 1
    borders = sorted({0, *ends.tolist(), len(rewards)})
    return [(np.concatenate([obs[a : a + 1], next_obs[a:b]]), rewards[a:b]) for a, b in itertools.pairwise(borders)]


def plain(numbers: Array | np.ndarray) -> Any:
    """Numbers as nested Python floats, rounded to what a drawing can show."""
    return np.asarray(numbers, np.float64).round(5).tolist()


def reward_replay(task: PyTree, trajectory: Trajectory) -> dict[str, Any]:
    """The rewards of one stream, and its task: what there is to draw where nothing else is known."""
    named = json.loads(json.dumps(jax.tree.map(np.asarray, task), default=np.ndarray.tolist))
    return {"kind": "rewards", "task": named, "rewards": plain(trajectory.reward)}


def grid_replay(size: int, marks: dict[str, Any], trajectory: Trajectory) -> dict[str, Any]:
    """The cells that one stream visited in every episode, with the rewards of the moves between them.

    ``marks`` says what else there is to draw: ``start``, ``goal``, or labelled ``marks``.
    """
    episodes = [
        {"cells": cell_of(jnp.asarray(path)).tolist(), "rewards": rewards}
        for path, rewards in episode_paths(trajectory)
    ]
    return {"kind": "grid", "size": size, **marks, "episodes": episodes}
