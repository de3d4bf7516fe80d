"""How many programs JAX compiles."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax.monitoring

_events: list[str] = []
jax.monitoring.register_event_duration_secs_listener(lambda event, duration, **_: _events.append(event))


@contextmanager
def compilations() -> Iterator[list[str]]:
    """A list that holds, after the block, one entry for each program that was compiled or read from the cache."""
    found: list[str] = []
    start = len(_events)
    yield found
    found.extend(event for event in _events[start:] if event == "/jax/core/compile/backend_compile_duration")
