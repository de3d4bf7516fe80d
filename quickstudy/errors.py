"""The library's own errors: each one a single message that names what was wrong, its value and the mend."""

import difflib
from collections.abc import Iterable


class QuickstudyError(Exception):
    """Base of every error that a user can cause and mend. The command line prints it without a traceback."""


class InvalidArgument(QuickstudyError, ValueError):
    """An argument has a value that cannot work."""


class NonFinite(QuickstudyError, FloatingPointError):
    """Training, or the experience of an agent, holds a number that is not finite."""


class CheckpointError(QuickstudyError):
    """A checkpoint cannot be read, or does not belong to what it is loaded into."""


class EnvironmentFailed(QuickstudyError, RuntimeError):
    """Environments failed more often than they may be restarted."""


class OutOfOrder(QuickstudyError, RuntimeError):
    """An agent was asked for something that the step before does not allow."""


class RunExists(QuickstudyError, FileExistsError):
    """The run directory already holds a run."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InvalidArgument:
    """The error for a name that is none of ``known``, with the nearest one suggested."""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}? " if near else ""
    return InvalidArgument(f"unknown {kind} {name!r}: {hint}known: {', '.join(known)}")


def require_positive(**counts: object) -> None:
    """Raise `InvalidArgument` for the first of the named counts that is not a whole number of at least 1."""
    for name, value in counts.items():
        if not isinstance(value, int) or value < 1:
            raise InvalidArgument(f"{name} must be a whole number of at least 1, got {value!r}")


def require_counts(owner: object, *fields: str, prefix: str = "") -> None:
    """`require_positive` for fields of ``owner``; messages call them ``prefix`` and their name."""
    require_positive(**{prefix + field: getattr(owner, field) for field in fields})


def require_within(interval: str, owner: object, *fields: str, prefix: str = "") -> None:
    """Raise `InvalidArgument` for the first of ``owner``'s fields that lies outside ``interval``.

    Args:
        interval: such as ``(0, 1]`` or ``[0, inf)``.
        owner: what has the fields.
        fields: their names.
        prefix: what messages put before a name.
    """
    low, high = (float(end) for end in interval[1:-1].split(","))
    rule = {"(0, inf)": "be positive", "[0, inf)": "be at least 0"}.get(interval, f"lie in {interval}")
    for field in fields:
        value = getattr(owner, field)
        above = value >= low if interval[0] == "[" else value > low
        below = value <= high if interval[-1] == "]" else value < high
        if not (above and below):
            raise InvalidArgument(f"{prefix}{field} must {rule}, got {value}")
