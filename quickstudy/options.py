"""Hyperparameters as plain data: what a configuration file holds, and how an object is made of it again."""

import dataclasses
from typing import Any, TypeVar

from quickstudy.errors import InvalidArgument, unknown

T = TypeVar("T")


def to_options(module: Any) -> dict[str, Any]:
    """The fields of a dataclass as JSON values, nested ones as nested dictionaries."""
    return {field.name: _plain(getattr(module, field.name)) for field in dataclasses.fields(module)}


def with_options(module: T, options: dict[str, Any]) -> T:
    """``module`` with some fields replaced; a nested dictionary replaces fields of a nested dataclass.

    Raises:
        InvalidArgument: a name is no field of the dataclass, or a value is of the wrong type.
    """
    known = {field.name: field.type for field in dataclasses.fields(module)}  # pyright: ignore[reportArgumentType]
    changes = {}
    for name, value in options.items():
        if name not in known:
            raise unknown(f"option of {type(module).__name__}", name, known)
        old = getattr(module, name)
        if dataclasses.is_dataclass(old) and isinstance(value, dict):
            value = with_options(old, value)
        elif isinstance(value, list):
            value = tuple(value)
        elif isinstance(old, float) and type(value) is int:
            value = float(value)
        elif old is not None and value is not None and type(old) is not type(value):
            raise InvalidArgument(
                f"option {name} of {type(module).__name__} must be a {type(old).__name__}, got {value!r}"
            )
        changes[name] = value
    return dataclasses.replace(module, **changes)  # pyright: ignore[reportArgumentType]


def _plain(value: Any) -> Any:
    return to_options(value) if dataclasses.is_dataclass(value) else value
