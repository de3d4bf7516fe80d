"""``quickstudy export``: an agent as StableHLO programs and weights, which run without this library's methods."""

from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np

from quickstudy.errors import InvalidArgument
from quickstudy.run_directory import write_json
from quickstudy.ship.brain import Block, Brain, Observed
from quickstudy.ship.exported import EXPORT, FORMAT, PROGRAMS
from quickstudy.ship.session import blank_action
from quickstudy.ship.store import WEIGHTS, write_arrays

PLATFORMS = ("cpu", "cuda")
"""Where an exported program runs."""


def export(brain: Brain, path: Path) -> None:
    """Write ``brain`` to the directory ``path``: three programs, the weights, and a description of both.

    The functions and their arguments are those of `quickstudy.ship.brain.Functions`; `quickstudy.load` reads them
    again, and so can any runtime of StableHLO.

    Raises:
        InvalidArgument: the directory holds something else.
    """
    if path.exists() and (path.is_file() or (any(path.iterdir()) and not (path / EXPORT).exists())):
        raise InvalidArgument(f"{path} is in the way and holds no export: choose another path")
    names = [f"weight/{i}" for i in range(len(brain.weights))]
    pairs = zip(brain.functions, _arguments(brain), strict=True)
    programs = [jax.export.export(jax.jit(f), platforms=PLATFORMS)(*arguments).serialize() for f, arguments in pairs]
    path.mkdir(parents=True, exist_ok=True)
    for name, program in zip(PROGRAMS, programs, strict=True):
        (path / name).write_bytes(program)
    write_arrays(path / WEIGHTS, dict(zip(names, brain.weights, strict=True)))
    description = {
        "format": FORMAT,
        "jax": jax.__version__,
        "platforms": list(PLATFORMS),
        "weights": names,
        "layout": brain.layout.to_json(),
        "obs_dtypes": list(brain.obs_dtypes),
        "block_length": brain.block_length,
        "num_streams": brain.num_streams,
        "cut_streams": brain.cut_streams,
        "learns": brain.learns,
    }
    write_json(path / EXPORT, description)


def _arguments(brain: Brain) -> tuple[tuple[Any, ...], ...]:
    """What each of the three functions is called with, as shapes."""
    count, size, shape = np.uint32(0), brain.layout.obs.size, (brain.block_length, brain.num_streams)
    state, carry = jax.eval_shape(brain.functions.init, brain.weights, count)
    obs = brain.leaves(np.zeros(size, np.float32))
    observed = Observed(obs, blank_action(brain), np.float32(0), np.bool_(False))
    act: tuple[Any, ...] = (brain.weights, state, carry, tuple(observed), count, count)
    action, _, aux = jax.eval_shape(brain.functions.act, *act)
    column = lambda x: jax.ShapeDtypeStruct((*shape, *np.shape(x)), x.dtype)
    observed_block = jax.tree.map(column, observed)
    block = Block(
        observed_block,
        column(action),
        column(np.float32(0)),
        observed_block.obs,
        column(np.bool_(False)),
        column(np.bool_(False)),
        [column(leaf) for leaf in aux],
    )
    return (brain.weights, count), act, (brain.weights, state, block.plain(), count, count)
