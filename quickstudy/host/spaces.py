"""Gymnasium's spaces as what networks take, and back.

Observations become float32 arrays: a Box as it is, an image (a Box of bytes) in [0, 1], Discrete, MultiDiscrete and
MultiBinary one-hot, Dict and Tuple as a dictionary of those. Actions become either one choice among A (Discrete,
MultiDiscrete, MultiBinary) or a vector in [-1, 1] (a bounded Box, scaled linearly to its bounds).

A layout is plain data and goes to JSON and back, so that an agent can be run where no environment is.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from quickstudy.errors import InvalidArgument

MAX_CHOICES = 4096
"""Combinations of a MultiDiscrete action that one categorical policy is asked to choose from."""


class WrongShape(ValueError):
    """An environment answered with something that its own space does not hold."""


@dataclasses.dataclass(frozen=True)
class ObsPart:
    """One array of an observation.

    Attributes:
        path: keys that lead to it through Dict and Tuple spaces; empty for an observation of one part.
        kind: ``"box"``, ``"image"`` (bytes, divided by 255) or ``"choices"`` (whole numbers, one-hot).
        shape: of the raw value.
        sizes: how many values each whole number may take.
        starts: the smallest value of each.
    """

    path: tuple[str, ...]
    kind: Literal["box", "image", "choices"]
    shape: tuple[int, ...]
    sizes: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()

    @property
    def encoded_shape(self) -> tuple[int, ...]:
        """Shape of what networks see."""
        return (sum(self.sizes),) if self.kind == "choices" else self.shape

    def encode(self, raw: Any) -> Float[np.ndarray, " F"]:
        """The raw value, flat.

        Raises:
            WrongShape: it is no value of the space.
        """
        try:
            value = np.asarray(raw, np.float32 if self.kind != "choices" else None)
        except (TypeError, ValueError) as error:
            raise WrongShape(f"{self._name} is not numeric: {error}") from error
        if value.shape != self.shape:
            raise WrongShape(f"{self._name} has shape {value.shape}, and its space says {self.shape}")
        if self.kind == "choices":
            return self._one_hot(value.reshape(-1))
        return value.reshape(-1) / np.float32(255) if self.kind == "image" else value.reshape(-1)

    def _one_hot(self, value: np.ndarray) -> Float[np.ndarray, " F"]:
        encoded, begin = np.zeros(sum(self.sizes), np.float32), 0
        for number, size, start in zip(value, self.sizes, self.starts, strict=True):
            if not 0 <= number - start < size or number != int(number):
                raise WrongShape(f"{self._name} holds {number}, and its space {start} to {start + size - 1}")
            encoded[begin + int(number) - start] = 1
            begin += size
        return encoded

    @property
    def _name(self) -> str:
        return f"the observation's {'/'.join(self.path)!r}" if self.path else "the observation"


@dataclasses.dataclass(frozen=True)
class ObsLayout:
    """All arrays of an observation, one after the other in a flat vector of `size` numbers."""

    parts: tuple[ObsPart, ...]

    @property
    def size(self) -> int:
        """Length of an encoded observation."""
        return sum(math.prod(part.encoded_shape) for part in self.parts)

    def encode(self, raw: Any) -> Float[np.ndarray, " F"]:
        """A raw observation as one flat vector.

        Raises:
            WrongShape: it is no value of the space.
        """
        return np.concatenate([part.encode(_at(raw, part.path)) for part in self.parts])

    def decode(self, flat: Float[np.ndarray, "*axes F"]) -> Any:
        """Flat vectors as the pytree that networks see: one array, or a dictionary of them, ``[*axes, ...]``."""
        tree, begin = {}, 0
        for part in self.parts:
            end = begin + math.prod(part.encoded_shape)
            value = flat[..., begin:end].reshape((*flat.shape[:-1], *part.encoded_shape))
            if not part.path:
                return value
            _put(tree, part.path, value)
            begin = end
        return tree


@dataclasses.dataclass(frozen=True)
class ActionLayout:
    """One action.

    Attributes:
        kind: ``"box"`` or ``"choices"``.
        shape: of the raw action.
        dtype: of the raw action.
        low: lower bounds of a box, flat.
        high: upper bounds of a box, flat.
        sizes: how many values each whole number may take.
        starts: the smallest value of each.
    """

    kind: Literal["box", "choices"]
    shape: tuple[int, ...]
    dtype: str
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    sizes: tuple[int, ...] = ()
    starts: tuple[int, ...] = ()

    @property
    def num_actions(self) -> int | None:
        """How many combinations of choices there are; None for a box."""
        return math.prod(self.sizes) if self.kind == "choices" else None

    @functools.cached_property
    def _bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """Lower bounds, and half of the widths."""
        low = np.asarray(self.low)
        return low, (np.asarray(self.high) - low) / 2

    @property
    def encoded_shape(self) -> tuple[int, ...]:
        """Shape of what a policy draws."""
        return () if self.kind == "choices" else (len(self.low),)

    def decode(self, action: np.ndarray | np.generic) -> Any:
        """What a policy drew as an action of the space: choices unravelled, a vector clipped and scaled."""
        if self.kind == "choices":
            numbers = np.asarray(np.unravel_index(int(action), self.sizes)) + np.asarray(self.starts)
            if not self.shape:
                return int(numbers[0])
        else:
            low, half = self._bounds
            numbers = low + (np.asarray(action, np.float64).clip(-1.0, 1.0) + 1.0) * half
        return numbers.reshape(self.shape).astype(self.dtype)


@dataclasses.dataclass(frozen=True)
class Layout:
    """Observations and actions of one environment."""

    obs: ObsLayout
    action: ActionLayout

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Layout":
        """What `to_json` wrote."""
        parts = (ObsPart(**_tuples(part)) for part in values["obs"]["parts"])
        return cls(ObsLayout(tuple(parts)), ActionLayout(**_tuples(values["action"])))


def layout_of(observation_space: Any, action_space: Any) -> Layout:
    """The layout of an environment with these two Gymnasium spaces.

    Raises:
        InvalidArgument: a space that the networks cannot take; says which ones they can.
    """
    return Layout(ObsLayout(tuple(_obs_parts(observation_space, ()))), _action_layout(action_space))


def _obs_parts(space: Any, path: tuple[str, ...]) -> Sequence[ObsPart]:
    from gymnasium import spaces

    if isinstance(space, spaces.Dict):
        return [part for key, inner in space.items() for part in _obs_parts(inner, (*path, str(key)))]
    if isinstance(space, spaces.Tuple):
        return [part for i, inner in enumerate(space) for part in _obs_parts(inner, (*path, str(i)))]
    if isinstance(space, spaces.Box):
        image = space.dtype == np.uint8 and bool((space.low == 0).all() and (space.high == 255).all())
        return [ObsPart(path, "image" if image else "box", tuple(space.shape))]
    sizes, starts = _choices(space, "observation_space")
    return [ObsPart(path, "choices", tuple(space.shape), sizes, starts)]


def _action_layout(space: Any) -> ActionLayout:
    from gymnasium import spaces

    if not isinstance(space, spaces.Box):
        sizes, starts = _choices(space, "action_space")
        if math.prod(sizes) > MAX_CHOICES:
            raise InvalidArgument(
                f"action_space {space} has {math.prod(sizes):,} combinations, more than the {MAX_CHOICES:,} that one "
                "policy chooses from: wrap the environment so that it takes fewer, or a Box"
            )
        return ActionLayout("choices", tuple(space.shape), str(space.dtype), sizes=sizes, starts=starts)
    low, high = (np.asarray(bound, np.float64).reshape(-1) for bound in (space.low, space.high))
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise InvalidArgument(
            f"action_space {space} has no finite bounds, and actions in [-1, 1] are scaled to them: wrap the "
            "environment in gymnasium.wrappers.RescaleAction, or give its Box bounds"
        )
    return ActionLayout("box", tuple(space.shape), str(space.dtype), low=tuple(low.tolist()), high=tuple(high.tolist()))


def _choices(space: Any, name: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """How many values each whole number of a discrete space takes, and the smallest of each."""
    from gymnasium import spaces

    if isinstance(space, spaces.Discrete):
        return (int(space.n),), (int(space.start),)
    if isinstance(space, spaces.MultiDiscrete):
        return tuple(np.ravel(space.nvec).tolist()), tuple(np.ravel(space.start).tolist())
    if isinstance(space, spaces.MultiBinary):
        count = math.prod(space.shape)
        return (2,) * count, (0,) * count
    known = "Box, Discrete, MultiDiscrete and MultiBinary"
    nested = ", and Dict and Tuple of those" if name == "observation_space" else ""
    raise InvalidArgument(f"{name} {space} cannot be used: the networks take {known}{nested}; wrap the environment")


def _at(raw: Any, path: tuple[str, ...]) -> Any:
    for key in path:
        try:
            raw = raw[key] if isinstance(raw, Mapping) else raw[int(key)]
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise WrongShape(f"the observation has no part {'/'.join(path)!r}") from error
    return raw


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for key in path[:-1]:
        tree = tree.setdefault(key, {})
    tree[path[-1]] = value


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON's lists as the tuples that they were."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
