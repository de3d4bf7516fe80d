"""Environments where they run: each sits in a numbered seat, gets its task, and has its answers checked."""

import pickle
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from quickstudy.host.spaces import Layout, WrongShape
from quickstudy.host.world import World, deliver, makes_from_task

FaultKind = Literal["raised", "hung", "died", "not finite", "wrong shape"]


class NotFinite(ValueError):
    """An environment answered with a number that is not finite."""


class Trouble(NamedTuple):
    """What went wrong in one seat, and whether its step is lost with it."""

    seat: int
    kind: FaultKind
    text: str
    lost_step: bool


class Answer(NamedTuple):
    """What n seats answered: the true successors, and where the next action is chosen (a new episode's start)."""

    next_obs: Float[np.ndarray, "n F"]
    reward: Float[np.ndarray, " n"]
    terminated: Bool[np.ndarray, " n"]
    truncated: Bool[np.ndarray, " n"]
    obs: Float[np.ndarray, "n F"]
    troubles: list[Trouble]

    @classmethod
    def blank(cls, count: int, size: int) -> "Answer":
        """Room for ``count`` seats with observations of ``size`` numbers."""
        flags = lambda: np.zeros(count, bool)
        numbers = lambda: np.zeros((count, size), np.float32)
        return cls(numbers(), np.zeros(count, np.float32), flags(), flags(), numbers(), [])


class Seat:
    """One environment with its task and its clock."""

    def __init__(self, world: World, layout: Layout):
        self._world, self._layout = world, layout
        self._env: Any = None
        self._made_for: bytes | None = None
        self._time = 0

    def begin(self, task: Any, seed: int) -> Float[np.ndarray, " F"]:
        """Reset to ``task`` with ``seed``; the first observation."""
        if makes_from_task(self._world):
            self._make_for(task)
        elif self._env is None:
            self._env = self._world.make()
        raw, _ = self._env.reset(seed=seed, options=deliver(self._world, self._env, task))
        self._time = 0
        return self._encode(raw)

    def step(self, action: np.ndarray | np.generic) -> tuple[Float[np.ndarray, " F"], float, bool, bool]:
        """One action; the true successor, the reward, and how the episode ended if it did."""
        raw, reward, terminated, truncated, _ = self._env.step(self._layout.action.decode(action))
        self._time += 1
        if np.ndim(reward):
            raise WrongShape(f"the reward has shape {np.shape(reward)}, and must be one number")
        if not np.isfinite(reward):
            raise NotFinite(f"the reward is {reward}")
        clock = self._time >= self._world.horizon and not terminated
        return self._encode(raw), float(reward), bool(terminated), bool(truncated) or clock

    def close(self) -> None:
        """Throw the environment away; the next `begin` makes another one."""
        env, self._env = self._env, None
        if env is not None:
            env.close()

    def _make_for(self, task: Any) -> None:
        made_for = pickle.dumps(task)
        if self._env is None or made_for != self._made_for:
            self.close()
            self._env, self._made_for = self._world.make(task), made_for

    def _encode(self, raw: Any) -> Float[np.ndarray, " F"]:
        flat = self._layout.obs.encode(raw)
        if not np.isfinite(flat).all():
            raise NotFinite("the observation holds a number that is not finite")
        return flat


class Seats:
    """Numbered seats that one process looks after. ``watch`` is told which seat is at work."""

    def __init__(self, world: World, layout: Layout, watch: Callable[[int], object]):
        self._world, self._layout, self._watch = world, layout, watch
        self._seats: dict[int, Seat] = {}
        self._tasks: dict[int, Any] = {}

    def begin(self, seats: Sequence[int], tasks: Sequence[Any], seeds: Sequence[int]) -> Answer:
        """Begin an episode in every one of ``seats``."""
        answer = Answer.blank(len(seats), self._layout.obs.size)
        for i, (number, task, seed) in enumerate(zip(seats, tasks, seeds, strict=True)):
            self._seats.setdefault(number, Seat(self._world, self._layout))
            self._tasks[number] = task
            self._begin(i, number, seed, answer)
        return answer

    def step(self, seats: Sequence[int], actions: np.ndarray, seeds: Sequence[int]) -> Answer:
        """One action in every one of ``seats``; those whose episode ends begin the next one with their seed."""
        answer = Answer.blank(len(seats), self._layout.obs.size)
        for i, (number, seed) in enumerate(zip(seats, seeds, strict=True)):
            self._watch(number)
            try:
                obs, reward, terminated, truncated = self._seats[number].step(actions[i])
            except Exception as error:
                answer.troubles.append(self._trouble(number, error, lost_step=True))
                continue
            answer.next_obs[i] = answer.obs[i] = obs
            answer.reward[i], answer.terminated[i], answer.truncated[i] = reward, terminated, truncated
            if terminated or truncated:
                self._begin(i, number, seed, answer)
        return answer

    def close(self) -> None:
        """Close every environment."""
        for seat in self._seats.values():
            seat.close()

    def _begin(self, i: int, number: int, seed: int, answer: Answer) -> None:
        self._watch(number)
        try:
            answer.obs[i] = self._seats[number].begin(self._tasks[number], seed)
        except Exception as error:
            answer.troubles.append(self._trouble(number, error, lost_step=False))

    def _trouble(self, number: int, error: Exception, *, lost_step: bool) -> Trouble:
        """Describe ``error`` and empty the seat: its environment may be in any state."""
        kinds: dict[type, FaultKind] = {NotFinite: "not finite", WrongShape: "wrong shape"}
        where = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"
        try:
            self._seats[number].close()
        except Exception as closing:
            text += f"; closing it failed too: {closing}"
        return Trouble(number, kinds.get(type(error), "raised"), text, lost_step)
