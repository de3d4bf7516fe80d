"""Who looks after seats: this process, or a worker process that can be lost and replaced."""

import abc
import ctypes
import multiprocessing
import pickle
import signal
import weakref
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any, Literal

import numpy as np

from quickstudy.errors import InvalidArgument
from quickstudy.host.seats import Answer, Seats
from quickstudy.host.spaces import Layout
from quickstudy.host.world import World

START_SECONDS = 120.0
"""A worker that starts imports the user's module, and may take this long for its first answer."""


class CrewLost(Exception):
    """A worker process hung or died while it was at work on ``seat``."""

    def __init__(self, seat: int, kind: Literal["hung", "died"], text: str):
        self.seat, self.text = seat, text
        self.kind: Literal["hung", "died"] = kind


class AbstractCrew(abc.ABC):
    """Takes a message to `Seats` and brings its answer; between the two, other crews work."""

    @abc.abstractmethod
    def send(self, method: Literal["begin", "step"], *arguments: Any) -> None:
        """Set to work: call this method of `Seats`."""

    @abc.abstractmethod
    def receive(self) -> Answer:
        """The answer.

        Raises:
            CrewLost: there will be none.
        """

    @abc.abstractmethod
    def restart(self) -> None:
        """Replace what is there by something new; all episodes of its seats are lost."""

    @abc.abstractmethod
    def close(self) -> None:
        """End it."""


class LocalCrew(AbstractCrew):
    """Seats in this process. It notices errors; what hangs or dies takes this process with it."""

    def __init__(self, world: World, layout: Layout):
        self._make = lambda: Seats(world, layout, watch=_pay_no_heed)
        self._seats = self._make()
        self._answer: Answer | None = None

    def send(self, method: Literal["begin", "step"], *arguments: Any) -> None:
        self._answer = getattr(self._seats, method)(*arguments)

    def receive(self) -> Answer:
        assert self._answer is not None
        return self._answer

    def restart(self) -> None:
        self.close()
        self._seats = self._make()

    def close(self) -> None:
        self._seats.close()


class WorkerCrew(AbstractCrew):
    """Seats in a process of its own, started when it is first needed.

    Args:
        world: what makes the environments; it must be picklable.
        layout: their spaces.
        timeout: seconds that the worker may take for one message.
    """

    def __init__(self, world: World, layout: Layout, timeout: float):
        try:
            pickle.dumps(world)
        except Exception as error:
            raise InvalidArgument(
                f"{type(world).__name__} cannot be sent to worker processes ({error}): define it at the top of a "
                "module, or set num_workers=0"
            ) from error
        self._arguments, self._timeout = (world, layout), timeout
        self._process: Any = None
        self._connection: Connection | None = None
        # Which seat the worker is at: written there, read here when it is lost. No lock: one number, one writer.
        self._at = multiprocessing.get_context("spawn").RawValue(ctypes.c_int64, -1)
        self._patience = START_SECONDS
        self._finalizer: weakref.finalize | None = None

    def send(self, method: Literal["begin", "step"], *arguments: Any) -> None:
        if self._process is None:
            self._start()
        assert self._connection is not None
        try:
            self._connection.send((method, arguments))
        except OSError:
            return  # A dead worker; `receive` says so.

    def receive(self) -> Answer:
        assert self._connection is not None
        try:
            if not self._connection.poll(self._patience):
                raise CrewLost(self._at.value, "hung", f"no answer within {self._patience:g} s")
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join(1.0)
            text = f"the worker process ended with exit code {self._process.exitcode}"
            if self._at.value < 0:
                raise InvalidArgument(
                    f"{text} before it made an environment: what {type(self._arguments[0]).__name__} needs must be "
                    "importable there, and a script must start below if __name__ == '__main__'"
                ) from error
            raise CrewLost(self._at.value, "died", text) from error
        self._patience = self._timeout
        return answer

    def restart(self) -> None:
        self.close()
        self._start()

    def close(self) -> None:
        if self._finalizer is not None:
            self._finalizer()
        self._process = self._connection = None

    def _start(self) -> None:
        # A fork would copy JAX's threads in whatever state they are.
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._at.value, self._patience = -1, max(START_SECONDS, self._timeout)
        self._process = context.Process(target=serve, args=(theirs, self._at, *self._arguments), daemon=True)
        self._process.start()
        theirs.close()
        self._finalizer = weakref.finalize(self, _end, self._process, self._connection)


def _pay_no_heed(_: int) -> None:
    """In this process nobody needs to know which seat was at work when it ended."""


def serve(connection: Connection, at: Any, world: World, layout: Layout) -> None:
    """What a worker process does: answer messages until the connection closes."""

    def watch(seat: int) -> None:
        at.value = seat

    # Ctrl-C reaches the whole group; the trainer saves, and ends its workers itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    seats = Seats(world, layout, watch)
    while True:
        try:
            method, arguments = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(getattr(seats, method)(*arguments))


def _end(process: Any, connection: Connection) -> None:
    """Kill a worker: it has nothing to save, and one that hangs would not listen."""
    connection.close()
    process.kill()
    process.join(5.0)


def make_crews(world: World, layout: Layout, num_workers: int, timeout: float) -> Sequence[AbstractCrew]:
    """``num_workers`` worker processes; with 0, this process."""
    if num_workers == 0:
        return [LocalCrew(world, layout)]
    return [WorkerCrew(world, layout, timeout) for _ in range(num_workers)]


def seats_of(crew: int, num_crews: int, num_seats: int) -> np.ndarray:
    """The seats that a crew looks after: every ``num_crews``-th."""
    return np.arange(crew, num_seats, num_crews)
