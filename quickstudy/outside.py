"""Families from outside: ``my_module:MyFamily`` on the command line, in a configuration, or from Python.

Nothing of JAX is imported until the family is made.
"""

import dataclasses
import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from quickstudy.errors import InvalidArgument, unknown

if TYPE_CHECKING:
    from quickstudy.family import AbstractFamily

VARIED = "quickstudy.host.varied:Varied"
"""The family that ``--gym-id`` and ``--vary`` stand for."""


def is_outside(name: str) -> bool:
    """Whether ``name`` says where a family lies, instead of being in the catalogue."""
    return ":" in name


def gym_id_as_family(args: Sequence[str]) -> list[str]:
    """``--gym-id ID --vary RANGES`` in a command line, written as the family and the options that they stand for."""
    rest, values = list(args), dict[str, str]()
    for flag in ("--gym-id", "--vary"):
        value, rest = take_option(flag, rest)
        if value is not None:
            values[flag] = value
    if "--gym-id" not in values:
        if values:
            raise InvalidArgument(f"--vary {values['--vary']} needs --gym-id ID: it says whose numbers vary")
        return rest
    options = {"--family": VARIED, "--family.world.gym-id": values["--gym-id"]}
    if "--vary" in values:
        options["--family.world.vary"] = values["--vary"]
    return rest + [word for option in options.items() for word in option]


def take_option(flag: str, args: Sequence[str]) -> tuple[str | None, list[str]]:
    """The value of ``flag`` in a command line (None if it is not there), and the other words."""
    words = list(args)
    for i, word in enumerate(words):
        if word == flag and i + 1 < len(words):
            return words[i + 1], words[:i] + words[i + 2 :]
        if word.startswith(f"{flag}="):
            return word.partition("=")[2], words[:i] + words[i + 1 :]
    return None, words


def load_outside(name: str) -> Callable[[], "AbstractFamily"]:
    """What makes the family ``module:name`` with its defaults.

    The current directory is searched too. What lies there may be an `AbstractFamily` or a `World`, as a class or as a
    function without arguments that makes one.

    Raises:
        InvalidArgument: the module cannot be imported, or there is no such name in it.
    """
    module_name, _, attribute = name.partition(":")
    target = _find(name, module_name, attribute)

    def make() -> "AbstractFamily":
        from quickstudy.family import AbstractFamily
        from quickstudy.host.family import HostFamily
        from quickstudy.host.world import require_world

        try:
            made = target()
        except TypeError as error:
            raise InvalidArgument(
                f"{name} cannot be made without arguments ({error}): give every field a default"
            ) from error
        if isinstance(made, AbstractFamily):
            return made
        if not dataclasses.is_dataclass(made):
            raise InvalidArgument(f"{name} must be a dataclass, so that a run can store its options: decorate it")
        return HostFamily(require_world(made))

    return make


def short_name(name: str, family: Any) -> str:
    """What a family is called in the name of a run directory."""
    gym_id = getattr(getattr(family, "world", None), "gym_id", None) if name == VARIED else None
    return (gym_id or name.rpartition(":")[2]).replace("/", "-").replace(":", "-")


def _find(name: str, module_name: str, attribute: str) -> Callable[[], Any]:
    here = os.getcwd()  # noqa: PTH109  (an entry of sys.path)
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name != module_name.partition(".")[0] and error.name != module_name:
            raise
        raise InvalidArgument(
            f"--family {name}: there is no module {module_name!r}: run from the directory that holds it, or install it"
        ) from error
    if not hasattr(module, attribute):
        public = [known for known, value in vars(module).items() if isinstance(value, type)]
        raise unknown(f"class of module {module_name}", attribute, public)
    target = getattr(module, attribute)
    if not callable(target):
        raise InvalidArgument(f"--family {name}: {attribute} is a {type(target).__name__}; give the class itself")
    return target
