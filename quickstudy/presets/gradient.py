"""Methods that learn by gradient, at equal numbers of environment steps."""

from dataclasses import dataclass, field
from typing import Any

from quickstudy.presets.base import Preset


@dataclass(frozen=True)
class Rollouts:
    """How a family is learned by gradient: as many environment steps for every method.

    Attributes:
        family: name in `quickstudy.catalog`.
        block_steps: steps of all rollouts between two updates.
        num_tasks: tasks in a meta-update.
        env_steps: of meta-training, for each seed.
        step_size: α of the inner loop.
        entropy_weight: at the start, for all methods whose outer loop is Adam.
        family_options: what differs from the family's defaults; a trial of the evaluation has three updates.
        inner: what differs from the defaults of the inner loop.
        methods: what differs for some methods, by name.
    """

    family: str
    block_steps: int
    num_tasks: int
    env_steps: int
    step_size: float
    entropy_weight: float = 0.0
    family_options: dict[str, Any] = field(default_factory=dict)
    inner: dict[str, Any] = field(default_factory=dict)
    methods: dict[str, dict[str, Any]] = field(default_factory=dict)


ADAM = {"num_epochs": 3, "learning_rate": 2e-3, "max_grad_norm": 0.5}

BY_ADAM = {name: {"outer": "clipped", "ascent": ADAM} for name in ("maml", "fomaml")}
"""MAML's outer loop where the paper has no settings: by trust region it lost all its entropy on bandits."""

ROLLOUTS = {
    "point": Rollouts("point-navigation", 2000, 20, 16_000_000, 0.1),
    "sparse-point": Rollouts(
        "sparse-point-navigation",
        400,
        40,
        9_600_000,
        0.1,
        family_options={"num_episodes": 4},
        methods={"mpo": {"first_block_weight": 1.0, "credit": 1.0}, **BY_ADAM},
    ),
    "rotated-point": Rollouts(
        "rotated-point-navigation",
        400,
        40,
        5_120_000,
        0.1,
        0.05,
        methods={"fine-tuned-ppo": {"task_ppo": {"learning_rate": 3e-3}}, **BY_ADAM},
    ),
    "point-one": Rollouts("point-navigation", 100, 100, 8_000_000, 0.1, inner={"num_streams": 1}),
    "bandit-updates": Rollouts(
        "bernoulli-bandit",
        40,
        200,
        1_920_000,
        1.0,
        0.05,
        {"num_pulls": 160},
        {"block_length": 40, "num_streams": 1},
        BY_ADAM,
    ),
    "grid-updates": Rollouts("grid-navigation", 300, 40, 7_200_000, 1.0, 0.1, methods=BY_ADAM),
}

GRADIENT_METHODS: dict[str, tuple[int, dict[str, Any]]] = {
    "mpo": (4, {"inner": {"num_updates": 3}, "ascent": ADAM}),
    "maml": (2, {"inner": {}}),
    "fomaml": (2, {"inner": {"first_order": True}}),
    "promp": (2, {"inner": {}, "ascent": ADAM}),
    "reptile": (4, {"inner": {"num_updates": 3}}),
    "meta-sgd": (2, {"inner": {}, "ascent": ADAM}),
    "anil": (2, {"inner": {}, "ascent": ADAM}),
    "cavia": (2, {"inner": {}, "ascent": ADAM}),
    "e-maml": (2, {"inner": {}, "ascent": ADAM}),
    "fine-tuned-ppo": (1, {"inner": {}, "ascent": ADAM}),
    "oracle-ppo": (1, {"inner": {}, "ascent": ADAM}),
    "scratch-ppo": (4, {"inner": {}}),
}
"""Blocks of a trial of meta-training, and what each method changes of its defaults, in all families."""


def _by_gradient(cell: str, method: str) -> Preset:
    """A gradient method in a family, at the family's number of environment steps."""
    rollouts, (num_blocks, options) = ROLLOUTS[cell], GRADIENT_METHODS[method]
    options = options | rollouts.methods.get(method, {})
    num_steps = rollouts.env_steps // (rollouts.num_tasks * num_blocks * rollouts.block_steps)
    alpha = rollouts.step_size * (10.0 if method == "cavia" else 1.0)
    later = alpha / 2 if num_blocks == 2 else alpha  # trained for one update: later ones are half as long (Finn et al.)
    method_options = options | {
        "inner": {"step_size": alpha, "later_step_size": later} | options["inner"] | rollouts.inner
    }
    if "ascent" in options:
        method_options["ascent"] = options["ascent"] | {
            "anneal_steps": num_steps,
            "entropy_weight": rollouts.entropy_weight,
        }
    return Preset(
        summary=f"{method} on {rollouts.family}: returns after 0, 1, 2 and 3 updates",
        method=method,
        family=rollouts.family,
        num_steps=1 if method == "scratch-ppo" else num_steps,
        num_tasks=rollouts.num_tasks,
        num_test_tasks=512,
        method_options=method_options,
        family_options=rollouts.family_options,
    )


GRADIENT = {f"{cell}-{method}": _by_gradient(cell, method) for cell in ROLLOUTS for method in GRADIENT_METHODS}
