"""An exported agent, read: StableHLO programs and weights. Neither networks nor methods are imported for it."""

import functools
import shutil
from pathlib import Path

import numpy as np

from quickstudy.errors import CheckpointError
from quickstudy.host.spaces import Layout
from quickstudy.ship.brain import Brain, Functions
from quickstudy.ship.store import WEIGHTS, read_description, read_weights

EXPORT = "export.json"
PROGRAMS = ("init.stablehlo", "act.stablehlo", "update.stablehlo")
FORMAT = 1


def read_export(path: Path) -> Brain:
    """The brain that ``quickstudy export`` wrote.

    Raises:
        CheckpointError: something is missing or damaged.
    """
    import jax
    import jax.export

    description = read_description(path / EXPORT)
    if description.get("format") != FORMAT:
        raise CheckpointError(
            f"{path / EXPORT} has format {description.get('format')!r}, and this version reads {FORMAT}"
        )
    try:
        programs = [jax.export.deserialize(bytearray((path / name).read_bytes())) for name in PROGRAMS]
    except Exception as error:
        raise CheckpointError(
            f"{path} holds a program that cannot be read ({error}): export the agent again"
        ) from error
    weights = read_weights(path)
    return Brain(
        functions=Functions(*(jax.jit(program.call) for program in programs)),
        weights=[jax.numpy.asarray(np.asarray(weights[name])) for name in description["weights"]],
        layout=Layout.from_json(description["layout"]),
        obs_dtypes=tuple(description["obs_dtypes"]),
        block_length=description["block_length"],
        num_streams=description["num_streams"],
        cut_streams=description["cut_streams"],
        learns=description["learns"],
        write=functools.partial(_copy, path),
    )


def _copy(source: Path, target: Path) -> None:
    if source.resolve() != target.resolve():
        for name in (EXPORT, WEIGHTS, *PROGRAMS):
            shutil.copyfile(source / name, target / name)
