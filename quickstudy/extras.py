"""Libraries that not everyone needs: imported when they are used, with one clear error where they are missing."""

import importlib
from types import ModuleType

from quickstudy.errors import InvalidArgument


def import_extra(module: str, *, extra: str, purpose: str) -> ModuleType:
    """The module, which the extra ``quickstudy[extra]`` installs.

    Raises:
        InvalidArgument: it is not installed; says what for, and how it is.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise
        raise InvalidArgument(f"{purpose} needs an extra: pip install 'quickstudy[{extra}]'") from error
