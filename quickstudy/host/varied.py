"""A family out of any registered Gymnasium environment, by varying some of its numbers.

``--gym-id Pendulum-v1 --vary m=0.5:2.0,l=0.5:1.5`` is this world with two options set. No JAX: workers import it.
"""

import dataclasses
import functools
import inspect
from typing import Any, NamedTuple

import numpy as np

from quickstudy.errors import InvalidArgument, require_positive, unknown


class Range(NamedTuple):
    """One number that varies: uniform on [low, high]; out of distribution from there to ``beyond``."""

    low: float
    high: float
    beyond: float

    def ends(self, split: str) -> tuple[float, float]:
        """The interval that a split draws from."""
        if split != "ood":
            return self.low, self.high
        return (self.high, self.beyond) if self.beyond > self.high else (self.beyond, self.low)


@dataclasses.dataclass(frozen=True)
class Varied:
    """Tasks differ in constructor arguments or attributes of one environment.

    A name that the environment's constructor takes is given to it; any other is an attribute of the (unwrapped)
    environment, with dots to reach into it, set after it is made. An attribute that the constructor has already used to
    compute another one has no effect: ``quickstudy check`` tells.
    """

    gym_id: str = "Pendulum-v1"
    """A registered environment, as for `gymnasium.make`."""
    vary: str = "m=0.5:2.0,l=0.5:1.5"
    """name=low:high, or name=low:high:beyond with the far end of the out-of-distribution range (default: half as wide
    again), separated by commas."""
    num_episodes: int = 2
    """Episodes in a trial."""
    max_steps: int | None = None
    """Steps in an episode, if not as many as the environment is registered with."""

    splits = ("train", "validation", "test", "ood")

    def __post_init__(self):
        require_positive(num_episodes=self.num_episodes)
        if self.max_steps is not None:
            require_positive(max_steps=self.max_steps)
        parse_ranges(self.vary)

    @property
    def horizon(self) -> int:
        """Steps in an episode."""
        steps = self.max_steps or _spec(self.gym_id).max_episode_steps
        if steps is None:
            raise InvalidArgument(f"{self.gym_id} is registered without a clock: give max_steps")
        return steps

    def make(self, task: dict[str, float]) -> Any:
        """A new environment of ``task``."""
        import gymnasium

        taken = _constructor_arguments(self.gym_id)
        given = {name: value for name, value in task.items() if name in taken}
        env = gymnasium.make(self.gym_id, max_episode_steps=self.horizon, disable_env_checker=True, **given)
        for name, value in task.items():
            if name not in taken:
                _set(self.gym_id, env.unwrapped, name, value)
        return env

    def sample_task(self, rng: np.random.Generator, split: str) -> dict[str, float]:
        """One number for each name that varies; in the ``ood`` split all of them lie beyond their range."""
        return {name: float(rng.uniform(*r.ends(split))) for name, r in parse_ranges(self.vary).items()}


@functools.lru_cache(maxsize=64)
def parse_ranges(text: str) -> dict[str, Range]:
    """The ranges of ``name=low:high[:beyond],…``.

    Raises:
        InvalidArgument: the text is of another form, or a range is empty.
    """
    ranges: dict[str, Range] = {}
    for part in text.split(","):
        name, equals, values = part.strip().partition("=")
        try:
            low, high, *more = (float(value) for value in values.split(":"))
            (beyond,) = more or (high + (high - low) / 2,)
        except ValueError as error:
            raise InvalidArgument(f"vary {text!r}: {part!r} must be name=low:high or name=low:high:beyond") from error
        if not equals or not name or name in ranges:
            raise InvalidArgument(f"vary {text!r}: {part!r} must give a name of its own, as in m=0.5:2.0")
        if not low < high or low <= beyond <= high:
            raise InvalidArgument(f"vary {text!r}: {part!r} needs low < high, and beyond outside of them")
        ranges[name] = Range(low, high, beyond)
    return ranges


@functools.lru_cache(maxsize=64)
def _spec(gym_id: str) -> Any:
    import gymnasium

    try:
        return gymnasium.spec(gym_id)
    except (gymnasium.error.Error, ImportError) as error:
        raise InvalidArgument(f"gym_id {gym_id!r} cannot be made: {error}") from error


@functools.lru_cache(maxsize=64)
def _constructor_arguments(gym_id: str) -> frozenset[str]:
    from gymnasium.envs.registration import load_env_creator

    entry_point = _spec(gym_id).entry_point
    creator = load_env_creator(entry_point) if isinstance(entry_point, str) else entry_point
    return frozenset(inspect.signature(creator).parameters)


def _set(gym_id: str, env: Any, name: str, value: float) -> None:
    *path, last = name.split(".")
    target = functools.reduce(lambda inner, part: getattr(inner, part, None), path, env)
    if not hasattr(target, last):
        numbers = [n for n, v in vars(env).items() if isinstance(v, int | float) and not isinstance(v, bool)]
        raise unknown(f"argument or attribute of {gym_id}", name, {*numbers, *_constructor_arguments(gym_id)})
    setattr(target, last, value)
