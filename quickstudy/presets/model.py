"""Methods that plan through a learned model."""

from dataclasses import dataclass, field, replace
from typing import Any

from quickstudy.presets.base import Preset, merged


@dataclass(frozen=True)
class Planned:
    """How a family is learned by methods that plan through a model: the same planner and data for all of them.

    Attributes:
        family: name in `quickstudy.catalog`.
        planner: what differs from the planner's defaults.
        num_steps: meta-updates.
        num_gradient_steps: steps of the optimiser in a meta-update.
        collecting: what differs from the defaults of how data are collected.
        num_test_tasks: held-out tasks in the evaluation, for each seed.
        width: units in a layer of the models.
        num_tasks: tasks in a meta-update.
        mml: what else differs of MML.
    """

    family: str
    planner: dict[str, Any]
    num_steps: int
    num_gradient_steps: int
    collecting: dict[str, Any] = field(default_factory=dict)
    num_test_tasks: int = 256
    width: int = 32
    num_tasks: int = 32
    mml: dict[str, Any] = field(default_factory=dict)


FINE = {"fitting": {"num_gradient_steps": 3000, "batch_size": 16}}
"""Many small steps, more than returns need: for a code that says what hardly moves the state."""

REFINED = FINE | {"inner": {"refines": True}}
"""That, and the models have their say about the code."""

PLANNED = {
    "rotated-point": Planned("rotated-point-navigation", {"horizon": 6}, 20, 200),
    "cart-pole": Planned(
        "cart-pole",
        {"horizon": 20, "num_iterations": 1},
        14,
        300,
        {"train_length": 100},
        num_test_tasks=16,
        mml=merged(
            REFINED,
            {"network": {"min_log_std": -7.0}, "fitting": {"learning_rate": 0.003, "num_gradient_steps": 6000}},
        ),
    ),
    "swing-up": Planned(
        "cart-pole-swing-up",
        {"horizon": 60, "num_iterations": 1, "correlation": 0.95},
        14,
        600,
        {"train_length": 125},
        num_test_tasks=16,
        mml=REFINED,
    ),
    "pendulum": Planned(
        "pendulum",
        {"horizon": 35, "num_iterations": 1, "correlation": 0.7},
        14,
        600,
        {"train_length": 100},
        num_test_tasks=24,
    ),
    "mountain-car": Planned(
        "mountain-car",
        {"horizon": 120, "num_iterations": 1, "spread": 0.8, "correlation": 0.95},
        14,
        600,
        {"train_length": 150, "epsilon": 0.5, "hold": 20},
        num_test_tasks=8,
    ),
    "reacher": Planned(
        "reacher",
        {"horizon": 12, "num_iterations": 1, "correlation": 0.7},
        14,
        600,
        num_test_tasks=96,
        width=64,
        mml=FINE,
    ),
}
PLANNED |= {
    "rotated-point-short": replace(PLANNED["rotated-point"], num_steps=4, num_gradient_steps=600, num_tasks=4),
    "cart-pole-short": replace(PLANNED["cart-pole"], num_steps=4, num_gradient_steps=1000, num_tasks=8, mml={}),
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
    shared = {"network": network, "acting": acting, "fitting": fitting}
    return Preset(
        summary=f"{name} on {planned.family}: planning through a learned model",
        method=method,
        family=planned.family,
        num_steps=planned.num_steps,
        num_tasks=planned.num_tasks,
        num_test_tasks=planned.num_test_tasks,
        method_options=merged(shared, options | (planned.mml if name == "mml" else {})),
    )


@dataclass(frozen=True)
class Remembered:
    """How a family is learned by RL², in twenty times the environment steps of the methods with a model.

    Attributes:
        num_steps: meta-updates.
        num_tasks: tasks in each of them, with the family's whole trial.
        gamma: discount over the trial.
        ppo: what else differs of the outer loop from `_by_memory`.
        mortal: whether termination ends what an action is credited with.
    """

    num_steps: int
    num_tasks: int
    gamma: float
    ppo: dict[str, Any] = field(default_factory=dict)
    mortal: bool = False


BY_MEMORY = {
    "rotated-point": Remembered(100, 128, 0.9),
    "rotated-point-short": Remembered(20, 16, 0.9, {"num_epochs": 12}),
    "cart-pole": Remembered(70, 16, 0.98, mortal=True),
    "cart-pole-short": Remembered(10, 8, 0.98, {"num_epochs": 16}, mortal=True),
    "swing-up": Remembered(70, 16, 0.97, mortal=True),
    "pendulum": Remembered(140, 8, 0.95, {"learning_rate": 1e-3}),
    "mountain-car": Remembered(70, 16, 0.99),
    "reacher": Remembered(70, 128, 0.9, {"num_epochs": 4, "num_minibatches": 16}),
}
"""By cell; settings were chosen on validation tasks."""


def _by_memory(cell: str) -> Preset:
    """RL² in a family."""
    planned, remembered = PLANNED[cell], BY_MEMORY[cell]
    ppo = {"final_learning_rate": 1e-4, "anneal_steps": remembered.num_steps, "gamma": remembered.gamma, "trace": 0.9}
    ppo |= {"entropy_weight": 0.0, "num_epochs": 8, "num_minibatches": 8} | remembered.ppo
    return Preset(
        summary=f"RL² on {planned.family}, at twenty times the environment steps of planning through a learned model",
        method="rl2",
        family=planned.family,
        num_steps=remembered.num_steps,
        num_tasks=remembered.num_tasks,
        num_test_tasks=planned.num_test_tasks,
        method_options={"width": 64, "readout": 64, "standardize": True, "mortal": remembered.mortal, "ppo": ppo},
    )


MODEL = {f"{cell}-{name}": _by_model(cell, name) for cell in PLANNED for name in MODEL_METHODS} | {
    f"{cell}-rl2": _by_memory(cell) for cell in BY_MEMORY
}
