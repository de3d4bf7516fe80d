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
COMPILED = "quickstudy.envs.gymnax:Gymnax"
"""The family that ``--gymnax-id`` and ``--vary`` stand for."""


def is_outside(name: str) -> bool:
    """Whether ``name`` says where a family lies, instead of being in the catalogue."""
    return ":" in name


def gym_id_as_family(args: Sequence[str]) -> list[str]:
    """``--gym-id ID --vary RANGES`` (or ``--gymnax-id``) in a command line, written as the family and its options."""
    gym_id, rest = take_option("--gym-id", args)
    gymnax_id, rest = take_option("--gymnax-id", rest)
    vary, rest = take_option("--vary", rest)
    if gym_id and gymnax_id:
        raise InvalidArgument(f"--gym-id {gym_id} and --gymnax-id {gymnax_id} are two families: give one")
    if gym_id:
        options = {"--family": VARIED, "--family.world.gym-id": gym_id, "--family.world.vary": vary}
    elif gymnax_id:
        options = {"--family": COMPILED, "--family.gymnax-id": gymnax_id, "--family.vary": vary}
    elif vary:
        raise InvalidArgument(f"--vary {vary} needs --gym-id ID or --gymnax-id ID: it says whose numbers vary")
    else:
        return rest
    return rest + [word for flag, value in options.items() if value is not None for word in (flag, value)]


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
    if name == VARIED:
        called = family.world.gym_id
    elif name == COMPILED:
        called = family.gymnax_id
    else:
        called = name.rpartition(":")[2]
    return called.replace("/", "-").replace(":", "-")


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
