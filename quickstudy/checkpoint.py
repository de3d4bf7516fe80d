"""Checkpoints through Orbax: everything that training changes, stored so that a killed run goes on bit for bit.

A checkpoint is one directory named after its step, with two Orbax items: ``state``, the bytes of all arrays of a
pytree one after the other (one array in OCDBT: one read, which fails as a whole or not at all), and ``structure``,
JSON that says what they are (a checksum; each array's tree path, shape, dtype). Orbax writes under a temporary name
and renames when all is there, so a process killed at any moment leaves whole checkpoints only. Neither format can
hold code, and nothing is ever unpickled. Leaves that are no arrays (activation functions, Python
numbers) are not stored: they come from the freshly initialised state that a checkpoint is restored into.
"""

import re
import shutil
import warnings
import zlib
from pathlib import Path
from typing import Any, TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from quickstudy.errors import CheckpointError, require_positive

_FORMAT = 1


class Checkpointer:
    """Writes and reads the checkpoints of one run.

    Saving goes on in the background; the next call and `close` wait for it. Several processes may read a directory
    that one process writes.

    Args:
        directory: where the checkpoints lie, one subdirectory a step. Created by the first `save`.
        keep: how many of the newest checkpoints are kept.

    Raises:
        InvalidArgument: if ``keep`` is below 1.
    """

    def __init__(self, directory: Path, keep: int = 2):
        require_positive(keep=keep)
        self._directory = Path(directory).absolute()
        self._keep = keep
        self._orbax: Any = None
        self._current: int | None = None
        self._wrote = False

    def save(self, step: int, state: PyTree) -> None:
        """Store ``state`` as the checkpoint of ``step``, and remove the oldest ones and any of a later step.

        A step that this object has just saved or restored is not written again: the step determines the state.

        Raises:
            CheckpointError: if this checkpoint or the one before cannot be written (a full disk, for example).
        """
        self._finish()
        if step == self._current:
            return
        arrays = [(path, leaf) for path, leaf in _flatten(state)[0] if _is_array(leaf)]
        content = np.concatenate([_to_bytes(leaf) for _, leaf in arrays])
        leaves = [_describe(path, leaf) for path, leaf in arrays]
        structure = {"format": _FORMAT, "crc32": zlib.crc32(content.data), "leaves": leaves}
        try:
            if not self._wrote:
                self._remove_unfinished()
            self._write(step, content, structure)
        except Exception as error:
            raise self._unwritable(error) from error
        self._current, self._wrote = step, True

    def latest_step(self) -> int | None:
        """The step of the newest complete checkpoint; None if there is none. Its contents are not looked at."""
        self._finish()
        return next(iter(self._steps()), None)

    def restore(self, like: PyTree, step: int | None = None) -> PyTree:
        """The stored state, with its arrays bit for bit, placed as those of ``like`` are.

        Args:
            like: a freshly initialised state: it gives the structure, the shapes and every leaf that is no array.
            step: which checkpoint. By default the newest; if that is damaged, the newest whole one, with a warning.

        Raises:
            CheckpointError: if there is no such checkpoint, none that can be read, or if it holds a state of another
                structure than ``like``.
        """
        self._finish()
        steps = self._steps()
        if not steps:
            raise CheckpointError(f"{self._directory} holds no checkpoint: check the path, or train first")
        if step is not None and step not in steps:
            raise CheckpointError(f"{self._directory} holds no checkpoint of step {step}: it has {_listed(steps)}")
        damage: list[str] = []
        for candidate in steps if step is None else [step]:
            try:
                state = self._read(candidate, like)
            except _DamagedError as error:
                damage.append(f"step {candidate}: {error}")
                continue
            if damage:
                message = f"{self._directory}: damaged checkpoint, {'; '.join(damage)}; going back to step {candidate}"
                warnings.warn(message, stacklevel=2)
            self._current = candidate
            return state
        others = [other for other in steps if step is not None and other != step]
        mend = f"other steps there: {_listed(others)}" if others else "it cannot be resumed: start a new run"
        raise CheckpointError(f"{self._directory} holds no checkpoint that can be read, {'; '.join(damage)}; {mend}")

    def close(self) -> None:
        """Wait until the last checkpoint is on disk."""
        try:
            self._finish()
        finally:
            if self._orbax is not None:
                self._orbax.close()
                self._orbax = None

    def __enter__(self) -> "Checkpointer":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _steps(self) -> list[int]:
        """The steps of the complete checkpoints, newest first; Orbax names incomplete ones otherwise."""
        if not self._directory.is_dir():
            return []
        names = (entry.name for entry in self._directory.iterdir() if entry.is_dir())
        return sorted((int(name) for name in names if re.fullmatch(r"0|[1-9][0-9]*", name)), reverse=True)

    def _open(self) -> Any:
        """Orbax's checkpointer, imported at first use because the import takes a second."""
        if self._orbax is None:
            import orbax.checkpoint as ocp

            self._orbax = ocp.AsyncCheckpointer(ocp.CompositeCheckpointHandler())
        return self._orbax

    def _write(self, step: int, content: np.ndarray, structure: dict[str, Any]) -> None:
        import orbax.checkpoint as ocp

        self._directory.mkdir(parents=True, exist_ok=True)
        items = ocp.args.Composite(
            state=ocp.args.StandardSave({"bytes": content}), structure=ocp.args.JsonSave(structure)
        )
        self._open().save(self._directory / str(step), args=items, force=True)

    def _finish(self) -> None:
        """Wait for the checkpoint being written, then remove those that it makes superfluous."""
        if self._orbax is None:
            return
        try:
            self._orbax.wait_until_finished()
        except Exception as error:
            self._current = None
            raise self._unwritable(error) from error
        if self._wrote and self._current is not None:
            steps = self._steps()
            kept = [step for step in steps if step <= self._current][: self._keep]
            for step in set(steps) - set(kept):
                shutil.rmtree(self._directory / str(step), ignore_errors=True)

    def _remove_unfinished(self) -> None:
        """Remove what a killed process left. Only the writer may: to a reader it may be another's work in progress."""
        for path in self._directory.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(path, ignore_errors=True)

    def _unwritable(self, error: Exception) -> CheckpointError:
        return CheckpointError(f"cannot write a checkpoint to {self._directory}: {_first_line(error)}")

    def _read(self, step: int, like: PyTree) -> PyTree:
        """The state of one step; `_DamagedError` if it cannot be read, `CheckpointError` if it does not fit."""
        stored = self._read_structure(step)
        leaves, treedef = _flatten(like)
        arrays = [(path, leaf) for path, leaf in leaves if _is_array(leaf)]
        self._check_fits(stored["leaves"], [_describe(path, leaf) for path, leaf in arrays], step)
        blanks = [_to_host(leaf) for _, leaf in arrays]
        content = self._read_content(step, sum(blank.nbytes for blank in blanks))
        if zlib.crc32(content.data) != stored["crc32"]:
            raise _DamagedError("its checksum is wrong")
        parts = np.split(content, np.cumsum([blank.nbytes for blank in blanks])[:-1])
        values = (part.view(blank.dtype).reshape(blank.shape) for part, blank in zip(parts, blanks, strict=True))
        return treedef.unflatten(_as(leaf, next(values)) if _is_array(leaf) else leaf for _, leaf in leaves)

    def _read_structure(self, step: int) -> dict[str, Any]:
        import orbax.checkpoint as ocp

        items = ocp.args.Composite(structure=ocp.args.JsonRestore())
        try:
            structure = self._open().restore(self._directory / str(step), args=items)["structure"]
            if structure["format"] != _FORMAT:
                raise ValueError(f"format {structure['format']!r} instead of {_FORMAT}")
            leaves = [{field: leaf[field] for field in ("path", "shape", "dtype")} for leaf in structure["leaves"]]
            return {"crc32": structure["crc32"], "leaves": leaves}
        except Exception as error:
            raise _DamagedError(f"its structure cannot be read ({_first_line(error)})") from error

    def _read_content(self, step: int, size: int) -> np.ndarray:
        import orbax.checkpoint as ocp

        items = ocp.args.Composite(state=ocp.args.StandardRestore({"bytes": np.zeros(size, np.uint8)}))
        try:
            return self._open().restore(self._directory / str(step), args=items)["state"]["bytes"]
        except Exception as error:
            raise _DamagedError(f"its arrays cannot be read ({_first_line(error)})") from error

    def _check_fits(self, stored: list[dict[str, Any]], here: list[dict[str, Any]], step: int) -> None:
        stored_types = {entry["path"]: _type_name(entry) for entry in stored}
        here_types = {entry["path"]: _type_name(entry) for entry in here}
        for path in here_types | stored_types:
            there, wanted = stored_types.get(path, "missing"), here_types.get(path, "missing")
            if there != wanted:
                raise CheckpointError(
                    f"the checkpoint {self._directory / str(step)} is of another state: leaf {path} is {there} in the "
                    f"checkpoint and {wanted} here; use the method and the options of the run's config.json"
                )


class _DamagedError(Exception):
    """One checkpoint cannot be read; an older one may."""


def _flatten(state: PyTree) -> tuple[list[tuple[str, Any]], Any]:
    leaves, treedef = jax.tree_util.tree_flatten_with_path(state)
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in leaves], treedef


def _is_array(leaf: Any) -> TypeGuard[jax.Array | np.ndarray | np.generic]:
    return isinstance(leaf, jax.Array | np.ndarray | np.generic)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _describe(path: str, leaf: jax.Array | np.ndarray | np.generic) -> dict[str, Any]:
    return {"path": path, "shape": list(leaf.shape), "dtype": str(leaf.dtype)}


def _type_name(entry: dict[str, Any]) -> str:
    return f"{entry['dtype']}[{','.join(str(size) for size in entry['shape'])}]"


def _to_host(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _to_bytes(leaf: Any) -> np.ndarray:
    return np.ascontiguousarray(_to_host(leaf)).reshape(-1).view(np.uint8)


def _as(leaf: Any, value: np.ndarray) -> Any:
    """``value`` as the kind of array that ``leaf`` is, on its devices: what was compiled for one serves the other."""
    if not isinstance(leaf, jax.Array):
        return value[()] if isinstance(leaf, np.generic) else value
    if _is_key(leaf):
        array = jax.random.wrap_key_data(jnp.array(value), impl=jax.random.key_impl(leaf))
    elif leaf.weak_type:
        array = leaf.at[...].set(value)  # the one public way to keep a type weak
    else:
        array = jnp.array(value)
    return jax.device_put(array, leaf.sharding) if leaf.committed else array


def _listed(steps: list[int]) -> str:
    return ", ".join(str(step) for step in sorted(steps))


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
