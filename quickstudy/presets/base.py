"""What a preset is, and the published and exact values that several of them are read against."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Preset:
    """One experiment with all its settings.

    Attributes:
        summary: one line.
        method: name in `quickstudy.catalog`.
        family: name in `quickstudy.catalog`.
        num_steps: meta-updates.
        num_tasks: tasks in a meta-update, for each seed.
        num_test_tasks: held-out tasks in the evaluation, the same for all seeds.
        method_options: what differs from the method's defaults.
        family_options: what differs from the family's defaults.
        num_seeds: independent training runs, compiled as one.
        published: reference values of the total return, by name.
        source: where they are printed.
    """

    summary: str
    method: str
    family: str
    num_steps: int
    num_tasks: int
    num_test_tasks: int
    method_options: dict[str, Any] = field(default_factory=dict)
    family_options: dict[str, Any] = field(default_factory=dict)
    num_seeds: int = 6
    published: dict[str, float] = field(default_factory=dict)
    source: str = ""


DUAN = "Duan et al. 2016, arXiv:1611.02779"

MDP_10_VALUES = {"random": 100.1, "PSRL": 138.1, "BEB": 150.2, "RL²": 156.2, "BEB replanned (exact)": 162.8}

GRID_VALUES = {"posterior sampling (exact)": 32.32, "optimum (exact)": 37.21, "goal known (exact)": 44.29}


def merged(options: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``options`` with ``changes``, which may replace single entries of dictionaries in it."""
    nested = lambda name, value: isinstance(value, dict) and isinstance(options.get(name), dict)
    return options | {name: merged(options[name], x) if nested(name, x) else x for name, x in changes.items()}
