"""Methods that plan through a learned model."""

from dataclasses import dataclass, field
from typing import Any

from quickstudy.presets.base import Preset


@dataclass(frozen=True)
class Planned:
    """How a family is learned by methods that plan through a model: the same planner and steps for all of them.

    Attributes:
        family: name in `quickstudy.catalog`.
        planner: what differs from the planner's defaults.
        num_steps: meta-updates.
        num_gradient_steps: steps of the optimiser in a meta-update.
        collecting: what differs from the defaults of how data are collected.
        num_test_tasks: held-out tasks in the evaluation, for each seed.
        width: units in a layer of the models.
    """

    family: str
    planner: dict[str, Any]
    num_steps: int
    num_gradient_steps: int
    collecting: dict[str, Any] = field(default_factory=dict)
    num_test_tasks: int = 256
    width: int = 32


PLANNED = {
    "rotated-point": Planned("rotated-point-navigation", {"horizon": 6}, 20, 200),
    "rotated-point-short": Planned("rotated-point-navigation", {"horizon": 6}, 5, 600),
    "cart-pole": Planned("cart-pole", {"horizon": 20, "num_iterations": 1}, 14, 300, {"train_length": 100}, 16),
    "swing-up": Planned(
        "cart-pole-swing-up",
        {"horizon": 60, "num_iterations": 1, "correlation": 0.95},
        14,
        600,
        {"train_length": 125},
        16,
    ),
    "pendulum": Planned(
        "pendulum", {"horizon": 20, "num_iterations": 1, "correlation": 0.7}, 14, 600, {"train_length": 100}, 24
    ),
    "mountain-car": Planned(
        "mountain-car",
        {"horizon": 120, "num_iterations": 1, "spread": 0.8, "correlation": 0.95},
        14,
        600,
        {"train_length": 150, "epsilon": 0.5, "hold": 20},
        8,
    ),
    "reacher": Planned(
        "reacher",
        {"horizon": 12, "num_iterations": 1, "correlation": 0.7},
        14,
        600,
        num_test_tasks=96,
        width=64,
    ),
}
"""By cell, a family and how long it is learned; ``short`` ones say how few steps are enough."""

MODEL_METHODS: dict[str, tuple[str, dict[str, Any]]] = {
    "mml": ("mml", {}),
    "mml-unadapted": ("mml", {"inner": {"adapts": False}}),
    "grbal": ("grbal", {}),
    "rebal": ("rebal", {}),
}
"""Methods with a model, and what each changes of its defaults, in all families."""


def _by_model(cell: str, name: str) -> Preset:
    """A method that plans through a model, in a family, at the family's number of environment steps."""
    planned, (method, options) = PLANNED[cell], MODEL_METHODS[name]
    acting = {"planner": planned.planner, **planned.collecting}
    network = {"width": planned.width}
    fitting = {"anneal_steps": planned.num_steps, "num_gradient_steps": planned.num_gradient_steps}
    return Preset(
        summary=f"{name} on {planned.family}: planning through a learned model",
        method=method,
        family=planned.family,
        num_steps=planned.num_steps,
        num_tasks=32,
        num_test_tasks=planned.num_test_tasks,
        method_options=options | {"network": network, "acting": acting, "fitting": fitting},
    )


BY_MEMORY: dict[str, tuple[int, int, dict[str, float]]] = {
    "rotated-point": (100, 128, {}),
    "rotated-point-short": (25, 128, {}),
    "cart-pole": (70, 16, {"gamma": 0.97}),
    "swing-up": (70, 16, {"gamma": 0.95, "learning_rate": 2e-3, "entropy_weight": 0.0}),
    "pendulum": (70, 16, {}),
    "mountain-car": (70, 16, {}),
    "reacher": (70, 128, {"gamma": 0.95, "learning_rate": 2e-3, "entropy_weight": 0.0}),
}
"""Meta-updates of RL², and full trials in each: twenty times the environment steps of the methods with a model; and
what differs from its outer loop elsewhere."""


def _by_memory(cell: str) -> Preset:
    """RL² in a family, at twenty times the environment steps."""
    planned, (num_steps, num_tasks, changes) = PLANNED[cell], BY_MEMORY[cell]
    ppo = {"final_learning_rate": 1e-4, "anneal_steps": num_steps, "gamma": 0.99, "trace": 0.95, "num_minibatches": 8}
    ppo |= {"entropy_weight": 0.01} | changes
    return Preset(
        summary=f"RL² on {planned.family}, at twenty times the environment steps of planning through a learned model",
        method="rl2",
        family=planned.family,
        num_steps=num_steps,
        num_tasks=num_tasks,
        num_test_tasks=planned.num_test_tasks,
        method_options={"width": 32, "associative": True, "readout": 64, "ppo": ppo},
    )


MODEL = {f"{cell}-{name}": _by_model(cell, name) for cell in PLANNED for name in MODEL_METHODS} | {
    f"{cell}-rl2": _by_memory(cell) for cell in BY_MEMORY
}
