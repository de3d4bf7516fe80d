"""Messages of the library's own errors."""

import pytest

from quickstudy.errors import (
    CheckpointError,
    InvalidArgument,
    NonFinite,
    QuickstudyError,
    RunExists,
    require_positive,
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
    ("error", "builtin"), [(InvalidArgument, ValueError), (NonFinite, FloatingPointError), (RunExists, FileExistsError)]
)
def test_errors_are_also_the_builtin_ones(error, builtin):
    assert issubclass(error, QuickstudyError)
    assert issubclass(error, builtin)
    assert issubclass(CheckpointError, QuickstudyError)
