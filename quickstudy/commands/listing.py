"""``quickstudy list``: what there is."""

from collections.abc import Sequence

import tyro

from quickstudy.catalog import FAMILIES, METHODS, FamilyEntry
from quickstudy.presets import PRESETS


def main(args: Sequence[str]) -> None:
    """Print methods, families and presets with a line each."""
    tyro.cli(_nothing, args=args, prog="quickstudy list", description=main.__doc__)
    sections = {
        "methods": {name: entry.summary for name, entry in METHODS.items()},
        "families": {name: _described(entry) for name, entry in FAMILIES.items()},
        "presets": {name: entry.summary for name, entry in PRESETS.items()},
    }
    width = max(len(name) for section in sections.values() for name in section)
    for title, section in sections.items():
        print(title)
        for name, summary in section.items():
            print(f"  {name:<{width}}  {summary}")


def _described(entry: FamilyEntry) -> str:
    return f"{entry.summary} (extra: quickstudy[{entry.extra}])" if entry.extra else entry.summary


def _nothing() -> None:
    """No options."""
