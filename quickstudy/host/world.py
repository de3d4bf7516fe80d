"""What a user brings: a world, that is a small class which makes environments and draws tasks."""

import inspect
from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np

from quickstudy.errors import InvalidArgument

DEFAULT_SPLITS = ("train", "validation", "test")


@runtime_checkable
class World(Protocol):
    """A family of tasks over a Gymnasium environment. Any class with these members is one; it need not inherit.

    A frozen dataclass with defaults is best: its fields become options of the command line, and workers can get it.
    A task is a number, an array, or a dictionary (or tuple) of them.

    A task reaches an environment in one of four ways, the first that applies:

    1. ``make(task)`` takes it: a new environment for every task;
    2. the world has ``set_task(env, task)``, called before every reset;
    3. the environment itself (unwrapped) has ``set_task(task)``, called before every reset;
    4. ``env.reset(seed=…, options={"task": task})``.

    Optional members: ``num_streams`` (episodes side by side in one task, 1), ``splits`` (those that ``sample_task``
    knows; train, validation and test), ``yardsticks()`` (a dictionary from a name to a function of the task that
    gives the return of an episode, or of each episode; from the floor to the ceiling).
    """

    @property
    def horizon(self) -> int:
        """Steps after which the clock ends an episode that has not ended before."""
        ...

    @property
    def num_episodes(self) -> int:
        """Episodes in a trial when none ends early."""
        ...

    make: Any
    """``make()`` or ``make(task)``: a new environment, which is no vector environment and never resets itself."""

    def sample_task(self, rng: np.random.Generator, split: str) -> Any:
        """Draw one task of ``split`` from ``rng`` and from nothing else."""
        ...


def require_world(candidate: Any) -> World:
    """``candidate``, if it has what a world needs.

    Raises:
        InvalidArgument: names what is missing or of the wrong kind.
    """
    name = type(candidate).__name__
    missing = [
        member for member in ("make", "sample_task", "horizon", "num_episodes") if not hasattr(candidate, member)
    ]
    if missing:
        raise InvalidArgument(
            f"{name} is no task family, it lacks {', '.join(missing)}: give it make(), sample_task(rng, split), "
            "horizon and num_episodes"
        )
    for member in ("horizon", "num_episodes"):
        value = getattr(candidate, member)
        if not isinstance(value, int) or value < 1:
            raise InvalidArgument(f"{name}.{member} must be a whole number of at least 1, got {value!r}")
    if len(_parameters(candidate.sample_task)) != 2:
        raise InvalidArgument(f"{name}.sample_task must take (rng, split), got {_parameters(candidate.sample_task)}")
    return candidate


def splits_of(world: World) -> tuple[str, ...]:
    """The splits that a world can draw tasks of."""
    return tuple(getattr(world, "splits", DEFAULT_SPLITS))


def makes_from_task(world: World) -> bool:
    """Whether ``make`` takes the task."""
    return bool(_parameters(world.make))


def deliver(world: World, env: Any, task: Any) -> dict[str, Any] | None:
    """Bring ``task`` to an environment that ``world`` made; the options for its reset."""
    if makes_from_task(world):
        return None
    if hasattr(world, "set_task"):
        world.set_task(env, task)  # pyright: ignore[reportAttributeAccessIssue]
        return None
    if hasattr(env.unwrapped, "set_task"):
        env.unwrapped.set_task(task)
        return None
    return {"task": task}


def to_task(task: Any) -> Any:
    """A task as the user's code knows it: scalars as Python numbers, arrays as NumPy arrays."""
    if isinstance(task, Mapping):
        return {name: to_task(value) for name, value in task.items()}
    if isinstance(task, tuple | list):
        values = [to_task(value) for value in task]
        return type(task)(*values) if hasattr(task, "_fields") else type(task)(values)
    array = np.asarray(task)
    return array if array.ndim else array.item()


def _parameters(function: Any) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(function).parameters.values()
    return [p.name for p in parameters if p.kind in kinds and p.default is inspect.Parameter.empty]
