"""Messages of the library's own errors."""

from types import SimpleNamespace

import pytest

from quickstudy.errors import (
    CheckpointError,
    InvalidArgument,
    NonFinite,
    QuickstudyError,
    RunExists,
    require_counts,
    require_positive,
    require_within,
    unknown,
)


def test_an_unknown_name_gets_the_nearest_known_one_suggested():
    error = unknown("family", "grid-navigaton", ["bandit", "grid-navigation"])
    assert isinstance(error, InvalidArgument)
    assert str(error) == (
        "unknown family 'grid-navigaton': did you mean 'grid-navigation'? known: bandit, grid-navigation"
    )


def test_a_name_like_no_other_gets_the_list_alone():
    assert str(unknown("family", "zzz", ["b", "a"])) == "unknown family 'zzz': known: a, b"


@pytest.mark.parametrize("value", [0, -3, 2.0, "4", None])
def test_counts_must_be_whole_and_positive(value):
    with pytest.raises(InvalidArgument, match="num_tasks must be a whole number of at least 1, got"):
        require_positive(num_seeds=1, num_tasks=value)


def test_good_counts_pass():
    require_positive(num_seeds=1, num_tasks=1000)


@pytest.mark.parametrize(
    ("interval", "inside", "outside", "rule"),
    [
        ("(0, inf)", 0.1, 0, "be positive"),
        ("[0, inf)", 0, -0.1, "be at least 0"),
        ("(0, 1]", 1, 0, r"lie in \(0, 1\]"),
        ("[0, 1)", 0, 1, r"lie in \[0, 1\)"),
        ("[0, 1]", 1, float("nan"), r"lie in \[0, 1\]"),
    ],
)
def test_fields_must_lie_within_their_interval(interval, inside, outside, rule):
    require_within(interval, SimpleNamespace(rate=inside), "rate")
    with pytest.raises(InvalidArgument, match=f"ppo.rate must {rule}, got {outside}"):
        require_within(interval, SimpleNamespace(rate=outside), "rate", prefix="ppo.")


def test_counts_of_an_owner_are_named_with_their_prefix():
    require_counts(SimpleNamespace(steps=1), "steps")
    with pytest.raises(InvalidArgument, match=r"ppo\.steps must be a whole number of at least 1, got 0"):
        require_counts(SimpleNamespace(steps=0), "steps", prefix="ppo.")


@pytest.mark.parametrize(
    ("error", "builtin"), [(InvalidArgument, ValueError), (NonFinite, FloatingPointError), (RunExists, FileExistsError)]
)
def test_errors_are_also_the_builtin_ones(error, builtin):
    assert issubclass(error, QuickstudyError)
    assert issubclass(error, builtin)
    assert issubclass(CheckpointError, QuickstudyError)
