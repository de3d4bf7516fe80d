"""Many environments as one: stepped together, each with its task, faults reported and mended."""

import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Integer

from quickstudy.errors import EnvironmentFailed, InvalidArgument
from quickstudy.host.crews import AbstractCrew, CrewLost, make_crews, seats_of
from quickstudy.host.seats import Answer, FaultKind, Trouble
from quickstudy.host.spaces import Layout
from quickstudy.host.world import World


class EnvironmentFault(UserWarning):
    """An environment failed and was replaced; the text says which, in which task, with which seed, at which step."""


class Fault(NamedTuple):
    """One failure of one environment.

    Attributes:
        kind: it raised, hung, died (its process did), or answered with a number that is not finite or a wrong shape.
        env: its number; task k and stream n have ``k * num_streams + n``.
        task: what it was doing.
        seed: the seed of the reset that began its episode.
        step: steps of the trial that were taken before.
        text: the error itself.
    """

    kind: FaultKind
    env: int
    task: Any
    seed: int
    step: int
    text: str

    def __str__(self) -> str:
        return (
            f"environment {self.env} {_VERBS[self.kind]} at step {self.step} of its trial "
            f"(task {self.task}, seed {self.seed}): {self.text}"
        )


_VERBS: dict[FaultKind, str] = {
    "raised": "raised",
    "hung": "hung",
    "died": "died",
    "not finite": "answered with a number that is not finite",
    "wrong shape": "answered with a wrong shape",
}


class Pool:
    """Environments that are stepped together.

    A step that fails is not invented: it counts as a truncation, with reward 0 and the last observation as its
    successor; its environment is made anew (its worker, if that is what failed) and begins the next episode of its
    task. All other environments go on as if nothing had happened, except those that shared a lost worker, which are
    truncated too.

    Args:
        world: makes the environments.
        layout: their spaces.
        num_workers: worker processes; 0 steps them in this process.
        timeout: seconds that one worker may take for one step of its environments.
        max_restarts: faults, over the whole life of the pool, that are mended before it gives up.
    """

    def __init__(self, world: World, layout: Layout, *, num_workers: int, timeout: float, max_restarts: int):
        if num_workers < 0:
            raise InvalidArgument(f"num_workers must be at least 0 (0: no worker processes), got {num_workers}")
        if not timeout > 0:
            raise InvalidArgument(f"timeout must be positive (seconds), got {timeout}")
        if max_restarts < 0:
            raise InvalidArgument(f"max_restarts must be at least 0 (0: none), got {max_restarts}")
        self.faults: list[Fault] = []
        self._crews: Sequence[AbstractCrew] = make_crews(world, layout, num_workers, timeout)
        self._max_restarts = max_restarts
        self._size = layout.obs.size
        self._tasks: Sequence[Any] = ()
        self._seeds = self._steps = np.zeros(0, np.int64)
        self._obs = np.zeros((0, self._size), np.float32)

    def begin(self, tasks: Sequence[Any], seeds: Integer[np.ndarray, " M"]) -> Float[np.ndarray, "M F"]:
        """Begin an episode in M environments, one a task (equal tasks are equal entries); the first observations.

        Raises:
            EnvironmentFailed: more faults than the pool may mend.
        """
        self._tasks, self._seeds = tasks, np.array(seeds, np.int64)
        self._steps = np.zeros(len(tasks), np.int64)
        self._obs = np.zeros((len(tasks), self._size), np.float32)
        for index, crew in enumerate(self._crews):
            self._send_begin(crew, self._seats(index))
        for index, crew in enumerate(self._crews):
            self._settle(index, crew, self._seats(index))
        return self._obs.copy()

    def step(self, actions: np.ndarray, seeds: Integer[np.ndarray, " M"]) -> Answer:
        """One action in every environment; those whose episode ends begin the next one with their seed.

        Raises:
            EnvironmentFailed: more faults than the pool may mend.
        """
        answer = Answer.blank(len(self._tasks), self._size)
        for index, crew in enumerate(self._crews):
            seats = self._seats(index)
            crew.send("step", seats.tolist(), actions[seats], seeds[seats].tolist())
        for index, crew in enumerate(self._crews):
            seats = self._seats(index)
            try:
                part = crew.receive()
            except CrewLost as lost:
                part, reset = self._without(crew, seats, lost), seats
                self._seeds[seats] = seeds[seats]
            else:
                reset = self._take(seats, part, seeds)
            for whole, piece in zip(answer[:5], part[:5], strict=True):
                whole[seats] = piece
            if len(reset):
                self._send_begin(crew, reset)
                self._settle(index, crew, reset)
                answer.obs[reset] = self._obs[reset]
        self._steps += 1
        return answer

    def close(self) -> None:
        """End the workers and close the environments."""
        for crew in self._crews:
            crew.close()

    def _seats(self, index: int) -> np.ndarray:
        return seats_of(index, len(self._crews), len(self._tasks))

    def _take(self, seats: np.ndarray, part: Answer, seeds: np.ndarray) -> np.ndarray:
        """Turn lost steps into truncations, remember where the episodes stand; the seats that must begin anew."""
        for trouble in part.troubles:
            if trouble.lost_step:
                self._record(trouble)
                i = int(np.flatnonzero(seats == trouble.seat)[0])
                part.next_obs[i], part.truncated[i] = self._obs[trouble.seat], True
        last = part.terminated | part.truncated
        self._seeds[seats[last]] = seeds[seats[last]]
        self._obs[seats] = part.obs
        for trouble in part.troubles:
            if not trouble.lost_step:
                self._record(trouble)
        return np.array([trouble.seat for trouble in part.troubles], int)

    def _without(self, crew: AbstractCrew, seats: np.ndarray, lost: CrewLost) -> Answer:
        """What a lost crew's seats answer: truncations."""
        self._record_lost(crew, seats, lost)
        part = Answer.blank(len(seats), self._size)
        part.next_obs[:], part.truncated[:] = self._obs[seats], True
        return part

    def _send_begin(self, crew: AbstractCrew, seats: np.ndarray) -> None:
        crew.send("begin", seats.tolist(), [self._tasks[seat] for seat in seats], self._seeds[seats].tolist())

    def _settle(self, index: int, crew: AbstractCrew, seats: np.ndarray) -> None:
        """Receive the answer to ``begin``, and ask again, with another seed, until all ``seats`` have begun."""
        while len(seats):
            try:
                answer = crew.receive()
            except CrewLost as lost:
                self._record_lost(crew, seats, lost)
                seats = self._seats(index)
            else:
                for trouble in answer.troubles:
                    self._record(trouble)
                self._obs[seats] = answer.obs
                seats = np.array([trouble.seat for trouble in answer.troubles], int)
            if len(seats):
                self._seeds[seats] = (self._seeds[seats] + 1) % 2**32
                self._send_begin(crew, seats)

    def _record_lost(self, crew: AbstractCrew, seats: np.ndarray, lost: CrewLost) -> None:
        seat = lost.seat if lost.seat in seats else int(seats[0])
        self._record(Trouble(seat, lost.kind, lost.text, lost_step=True))
        crew.restart()

    def _record(self, trouble: Trouble) -> None:
        """Count a fault and say what happened.

        Raises:
            EnvironmentFailed: it is one too many.
        """
        seat = trouble.seat
        fault = Fault(
            trouble.kind, seat, self._tasks[seat], int(self._seeds[seat]), int(self._steps[seat]), trouble.text
        )
        self.faults.append(fault)
        if len(self.faults) > self._max_restarts:
            self.close()
            raise EnvironmentFailed(
                f"{fault}; this is fault {len(self.faults)}, and max_restarts={self._max_restarts} are mended: "
                "mend the environment (reset it with this seed and task), or raise max_restarts"
            )
        warnings.warn(f"{fault}; replaced ({len(self.faults)} of {self._max_restarts})", EnvironmentFault, stacklevel=2)
