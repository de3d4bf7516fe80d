"""Arrays as safetensors, everything else as JSON; nothing is pickled, so nothing that is loaded can run code."""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from quickstudy.errors import CheckpointError
from quickstudy.run_directory import write_json
from quickstudy.ship.brain import Arrays
from quickstudy.ship.session import Session, Step

WEIGHTS = "weights.safetensors"
SESSION = "session.safetensors"
SESSION_FACTS = "session.json"


def write_arrays(file: Path, arrays: Mapping[str, Any]) -> None:
    """Store named arrays."""
    from safetensors.numpy import save_file

    save_file({name: np.array(value, order="C") for name, value in arrays.items()}, file)


def read_arrays(file: Path) -> dict[str, np.ndarray]:
    """The named arrays of a file.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file} cannot be read ({error}): save the agent again") from error


def read_weights(path: Path) -> dict[str, np.ndarray]:
    """The named weights in an agent's directory.

    Raises:
        CheckpointError: they are missing, damaged or not finite.
    """
    arrays = read_arrays(path / WEIGHTS)
    for name, array in arrays.items():
        if np.issubdtype(array.dtype, np.inexact) and not np.isfinite(array).all():
            raise CheckpointError(f"{path / WEIGHTS}: {name} holds a number that is not finite: save the agent again")
    return arrays


def read_description(file: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        CheckpointError: it is missing or damaged.
    """
    try:
        return dict(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} cannot be read ({error}): save the agent again") from error


def write_session(path: Path, session: Session | None) -> None:
    """Store a session in an agent's directory; None removes the one that is there."""
    (path / SESSION_FACTS).unlink(missing_ok=True)
    if session is None:
        (path / SESSION).unlink(missing_ok=True)
        return
    steps = session.steps + ([] if session.open is None else [session.open])
    arrays = {"prev_action": session.prev_action, "prev_reward": session.prev_reward, "first": session.first}
    arrays |= _numbered("state", session.state) | _numbered("carry", session.carry)
    for i, step in enumerate(steps):
        known = {f.name: getattr(step, f.name) for f in dataclasses.fields(step) if f.name != "aux"}
        arrays |= {f"steps/{i}/{name}": value for name, value in known.items() if value is not None}
        arrays |= _numbered(f"steps/{i}/aux", step.aux)
    write_arrays(path / SESSION, arrays)
    facts = {name: getattr(session, name) for name in ("seed", "num_steps", "num_blocks")}
    write_json(path / SESSION_FACTS, facts | {"num_stored": len(steps), "open": session.open is not None})


def read_session(path: Path) -> Session | None:
    """The session in an agent's directory; None if there is none.

    Raises:
        CheckpointError: it is damaged.
    """
    if not (path / SESSION_FACTS).exists():
        return None
    facts, arrays = read_description(path / SESSION_FACTS), read_arrays(path / SESSION)
    try:
        steps = [_step(arrays, f"steps/{i}/") for i in range(facts["num_stored"])]
        return Session(
            facts["seed"],
            _listed("state", arrays),
            _listed("carry", arrays),
            arrays["prev_action"],
            arrays["prev_reward"],
            arrays["first"],
            facts["num_steps"],
            facts["num_blocks"],
            steps.pop() if facts["open"] else None,
            steps,
        )
    except KeyError as error:
        raise CheckpointError(f"{path} holds a session without {error}: save the agent again") from error


def _step(arrays: Mapping[str, np.ndarray], prefix: str) -> Step:
    names = [field.name for field in dataclasses.fields(Step) if field.name != "aux"]
    known: dict[str, Any] = {name: arrays[prefix + name] for name in names if prefix + name in arrays}
    return Step(aux=_listed(f"{prefix}aux", arrays), **known)


def _numbered(name: str, leaves: Arrays) -> dict[str, Any]:
    return {f"{name}/{i}": leaf for i, leaf in enumerate(leaves)}


def _listed(name: str, arrays: Mapping[str, np.ndarray]) -> Arrays:
    count = sum(1 for key in arrays if key.startswith(f"{name}/"))
    return [arrays[f"{name}/{i}"] for i in range(count)]
