"""Settings that reproduce a published table or show a method at its best, as plain data.

Everything that a preset changes from the defaults is written in it. ``published`` holds the rows of the paper's table
that its total return is printed beside; where a number is exact and not published, its name says so.
"""

from quickstudy.errors import unknown
from quickstudy.presets.base import Preset
from quickstudy.presets.gradient import GRADIENT
from quickstudy.presets.memory import MEMORY
from quickstudy.presets.model import MODEL
from quickstudy.presets.value import VALUE
from quickstudy.presets.worlds import WORLDS

PRESETS: dict[str, Preset] = MEMORY | VALUE | GRADIENT | MODEL | WORLDS


def preset(name: str) -> Preset:
    """The preset called ``name``.

    Raises:
        InvalidArgument: there is none; suggests the nearest.
    """
    if name not in PRESETS:
        raise unknown("preset", name, PRESETS)
    return PRESETS[name]


def preset_for(method: str, family: str) -> Preset | None:
    """The first preset of this method and family: where the command line takes its defaults from."""
    return next((p for p in PRESETS.values() if (p.method, p.family) == (method, family)), None)
