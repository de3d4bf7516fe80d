"""Numbers that are not finite: found inside the programs that run anyway, refused outside with where they are.

Compiled environments cannot raise; the environments of Gymnasium are checked one by one when they answer
(`quickstudy.host.seats`).
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, Integer, PyTree

from quickstudy.errors import InvalidArgument, NonFinite
from quickstudy.types import Trajectory

PARTS = ("reward", "observation after the action", "observation before the action")


def first_not_finite(trajectory: Trajectory) -> Int[Array, "parts 4"]:
    """Where the experience of K tasks ``[K, B, T, N, ...]`` is first not finite.

    Returns:
        For each of `PARTS` the task, block, step and stream of the first such number; −1 if there is none.
    """
    shape = trajectory.reward.shape
    parts = (trajectory.reward, trajectory.next_obs, trajectory.timestep.obs)
    return jnp.stack([_first(_bad(part, shape), shape) for part in parts])


def require_finite_experience(
    where: Integer[np.ndarray, "*seeds parts 4"], *, during: str, first_task: int = 0
) -> None:
    """Raise `NonFinite` for what `first_not_finite` has found, if anything.

    Args:
        where: its result, also for several seeds.
        during: what was being done; the message begins with it.
        first_task: the number of the first of the K tasks.
    """
    for seed, places in enumerate(where.reshape(-1, len(PARTS), 4)):
        found = [(*place.tolist(), part) for part, place in enumerate(places) if place[0] >= 0]
        if found:
            task, block, step, stream, part = min(found)
            raise NonFinite(
                f"{during}: the {PARTS[part]} is not finite at step {step} of stream {stream} in block {block} of task "
                f"{first_task + task}, seed {seed}: mend the environment's step for this task and these actions"
            )


def require_finite_params(params: PyTree) -> None:
    """Raise `InvalidArgument` for the first array of ``params`` that holds a number that is not finite."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if eqx.is_inexact_array_like(leaf):
            value = np.asarray(leaf)
            bad = np.argwhere(~np.isfinite(value))
            if len(bad):
                index = tuple(bad[0].tolist())
                raise InvalidArgument(
                    f"params{jax.tree_util.keystr(path)} must be finite, got {value[index]} at {list(index)}: load an "
                    "earlier checkpoint, or train again"
                )


def _bad(part: Any, shape: tuple[int, ...]) -> Bool[Array, "K B T N"]:
    """Which steps hold a number that is not finite in any array of ``part``."""
    bad = jnp.zeros(shape, bool)
    for leaf in jax.tree.leaves(part):
        if jnp.issubdtype(leaf.dtype, jnp.inexact):
            bad |= ~jnp.isfinite(leaf).all(axis=tuple(range(4, leaf.ndim)))
    return bad


def _first(bad: Bool[Array, "K B T N"], shape: tuple[int, ...]) -> Int[Array, " 4"]:
    place = jnp.stack(jnp.unravel_index(jnp.argmax(bad), shape))
    return jnp.where(bad.any(), place, -1).astype(jnp.int32)
