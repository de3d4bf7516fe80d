"""Settings that reproduce a published table or show a method at its best, as plain data.

Everything that a preset changes from the defaults is written in it. ``published`` holds the rows of the paper's table
that its total return is printed beside; where a number is exact and not published, its name says so.
"""

from dataclasses import dataclass, field
from typing import Any

from quickstudy.errors import unknown


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

BANDIT_PPO = {
    "learning_rate": 3e-3,
    "final_learning_rate": 1e-4,
    "entropy_weight": 0.02,
    "gamma": 1.0,
    "trace": 0.95,
}

MDP_10_VALUES = {"random": 100.1, "PSRL": 138.1, "BEB": 150.2, "RL²": 156.2, "BEB replanned (exact)": 162.8}

GRID_VALUES = {"posterior sampling (exact)": 32.32, "optimum (exact)": 37.21, "goal known (exact)": 44.29}

ASSOCIATIVE = {"width": 32, "associative": True}

LONG_BANDIT_PPO = {
    "learning_rate": 3e-3,
    "final_learning_rate": 1e-4,
    "entropy_weight": 0.02,
    "gamma": 0.97,
    "trace": 0.9,
    "value_weight": 0.1,
    "num_minibatches": 8,
}

MDP_PPO = {
    "learning_rate": 5e-3,
    "final_learning_rate": 1e-4,
    "entropy_weight": 0.05,
    "gamma": 0.97,
    "trace": 0.6,
    "value_weight": 0.2,
    "num_minibatches": 8,
}


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


@dataclass(frozen=True)
class Planned:
    """How a family is learned by methods that plan through a model: the same planner and steps for all of them.

    Attributes:
        family: name in `quickstudy.catalog`.
        planner: what differs from the planner's defaults.
        num_steps: meta-updates.
        num_gradient_steps: steps of Adam in a meta-update.
        train_length: steps of a trial of meta-training; 0 for the family's.
        num_test_tasks: held-out tasks in the evaluation, for each seed.
    """

    family: str
    planner: dict[str, Any]
    num_steps: int
    num_gradient_steps: int
    train_length: int = 0
    num_test_tasks: int = 256


PLANNED = {
    "rotated-point": Planned("rotated-point-navigation", {"horizon": 6}, 20, 200),
    "cart-pole": Planned("cart-pole", {"horizon": 20}, 14, 300, 100, 64),
    "pendulum": Planned("pendulum", {"horizon": 20, "correlation": 0.7}, 14, 300, 100, 64),
}

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
    acting = {"planner": planned.planner, "train_length": planned.train_length}
    fitting = {"anneal_steps": planned.num_steps, "num_gradient_steps": planned.num_gradient_steps}
    return Preset(
        summary=f"{name} on {planned.family}: planning through a learned model",
        method=method,
        family=planned.family,
        num_steps=planned.num_steps,
        num_tasks=32,
        num_test_tasks=planned.num_test_tasks,
        method_options=options | {"acting": acting, "fitting": fitting},
    )


GRID_MKTN: dict[str, Any] = {"anneal_steps": 120, "train_block_length": 5}

MKTN_ABLATIONS: dict[str, dict[str, Any]] = {
    "knowledge-only": {"inner": {"head": False}},
    "random-features": {"features": "random"},
    "isotropic-prior": {"prior": "isotropic"},
    "no-guidance": {"inner": {"guidance": 0.01}},
    "gradient": {"inner": {"form": "gradient"}},
    "block-5": {"inner": {"block_length": 5}},
    "block-episode": {"inner": {"block_length": 0}},
}
"""What each takes away from MKTN, by name."""


def _on_grid(method: str, what: str, options: dict[str, Any], *, num_steps: int = 120) -> Preset:
    """A value learner on VariBAD's grid."""
    return Preset(
        summary=f"{method} on VariBAD's grid: {what}",
        method=method,
        family="grid-navigation",
        num_steps=num_steps,
        num_tasks=64,
        num_test_tasks=1024,
        method_options=options,
        published=GRID_VALUES,
        source="setting: Zintgraf et al. 2020, arXiv:1910.08348",
    )


PRESETS = {
    "bandit-10-5": Preset(
        summary="RL² on 10 pulls of 5 Bernoulli arms (RL², table 1)",
        method="rl2",
        family="bernoulli-bandit",
        num_steps=800,
        num_tasks=1024,
        num_test_tasks=102_400,
        method_options={"readout": 64, "ppo": {**BANDIT_PPO, "anneal_steps": 800}},
        family_options={"num_arms": 5, "num_pulls": 10},
        published={"random": 5.0, "Gittins": 6.6, "Thompson": 5.7, "UCB1": 6.7, "RL²": 6.7, "optimum (exact)": 6.660},
        source=DUAN,
    ),
    "bandit-10-10": Preset(
        summary="RL² on 10 pulls of 10 Bernoulli arms (RL², table 1)",
        method="rl2",
        family="bernoulli-bandit",
        num_steps=1000,
        num_tasks=1024,
        num_test_tasks=102_400,
        method_options={"readout": 64, "ppo": {**BANDIT_PPO, "anneal_steps": 1000}},
        family_options={"num_arms": 10, "num_pulls": 10},
        published={"random": 5.0, "Gittins": 6.6, "Thompson": 5.5, "UCB1": 6.7, "RL²": 6.7, "optimum (exact)": 6.714},
        source=DUAN,
    ),
    "bandit-100-5": Preset(
        summary="RL² on 100 pulls of 5 Bernoulli arms (RL², table 1)",
        method="rl2",
        family="bernoulli-bandit",
        num_steps=360,
        num_tasks=256,
        num_test_tasks=20_480,
        method_options={**ASSOCIATIVE, "readout": 64, "ppo": {**LONG_BANDIT_PPO, "anneal_steps": 360}},
        family_options={"num_arms": 5, "num_pulls": 100},
        published={"random": 49.9, "Gittins": 78.3, "Thompson": 74.7, "UCB1": 78.0, "RL²": 78.7, "optimum (≈)": 78.74},
        source=DUAN,
    ),
    "bandit-100-10": Preset(
        summary="RL² on 100 pulls of 10 Bernoulli arms (RL², table 1)",
        method="rl2",
        family="bernoulli-bandit",
        num_steps=300,
        num_tasks=256,
        num_test_tasks=20_480,
        method_options={**ASSOCIATIVE, "readout": 64, "ppo": {**LONG_BANDIT_PPO, "anneal_steps": 300}},
        family_options={"num_arms": 10, "num_pulls": 100},
        published={"random": 49.9, "Gittins": 82.8, "Thompson": 76.7, "UCB1": 82.4, "RL²": 83.5, "optimum (≈)": 83.85},
        source=DUAN,
    ),
    # Novelty: the search must not leave out the cells that never paid in training.
    "dark-room": Preset(
        summary="RL² in the 9×9 dark room, 10 episodes of 20 steps",
        method="rl2",
        family="dark-room",
        num_steps=240,
        num_tasks=128,
        num_test_tasks=4096,
        method_options={
            **ASSOCIATIVE,
            "readout": 64,
            "novelty_weight": 0.9,
            "ppo": {
                "anneal_steps": 240,
                "learning_rate": 4e-3,
                "final_learning_rate": 1e-4,
                "gamma": 0.97,
                "trace": 0.95,
                "entropy_weight": 0.05,
                "num_minibatches": 8,
            },
        },
        source="setting: Laskin et al. 2022, arXiv:2210.14215",
    ),
    "mdp-10": Preset(
        summary="RL² in random MDPs, 10 episodes (RL², table 2)",
        method="rl2",
        family="random-mdp",
        num_steps=200,
        num_tasks=256,
        num_test_tasks=4096,
        method_options={**ASSOCIATIVE, "readout": 128, "ppo": {**MDP_PPO, "anneal_steps": 200}},
        family_options={"num_episodes": 10},
        published=MDP_10_VALUES,
        source=DUAN,
    ),
    "mdp-25": Preset(
        summary="RL² in random MDPs, 25 episodes (RL², table 2)",
        method="rl2",
        family="random-mdp",
        num_steps=360,
        num_tasks=128,
        num_test_tasks=4096,
        method_options={
            **ASSOCIATIVE,
            "readout": 128,
            "ppo": {**MDP_PPO, "gamma": 0.985, "trace": 0.9, "anneal_steps": 360},
        },
        family_options={"num_episodes": 25},
        published={"random": 250.2, "PSRL": 408.8, "BEB": 427.8, "RL²": 445.7, "BEB replanned (exact)": 459.6},
        source=DUAN,
    ),
    "grid-navigation": Preset(
        summary="RL² on VariBAD's grid, 4 episodes of 15 steps",
        method="rl2",
        family="grid-navigation",
        num_steps=800,
        num_tasks=256,
        num_test_tasks=4096,
        method_options={"ppo": {"anneal_steps": 800, "learning_rate": 3e-3, "final_learning_rate": 1e-4}},
        published=GRID_VALUES,
        source="setting: Zintgraf et al. 2020, arXiv:1910.08348",
    ),
    "grid-mktn": _on_grid("mktn", "4 episodes of 15 steps", GRID_MKTN),
    **{f"grid-mktn-{name}": _on_grid("mktn", name, GRID_MKTN | options) for name, options in MKTN_ABLATIONS.items()},
    "mdp-10-mktn": Preset(
        summary="MKTN in random MDPs, 10 episodes",
        method="mktn",
        family="random-mdp",
        num_steps=100,
        num_tasks=64,
        num_test_tasks=512,
        method_options={
            "num_features": 64,
            "anneal_steps": 100,
            "trial_factor": 1,
            "train_block_length": 5,
            "epsilon": 0.5,
            "inner": {"capacity": 100, "noise": 0.6, "gamma": 0.8, "spread": 0.5},
        },
        family_options={"num_episodes": 10},
        published=MDP_10_VALUES,
        source=DUAN,
    ),
    "point-mktn": Preset(
        summary="MKTN on MAML's point navigation, 4 episodes of at most 100 steps",
        method="mktn",
        family="point-navigation",
        num_steps=80,
        num_tasks=32,
        num_test_tasks=512,
        method_options={
            "anneal_steps": 80,
            "trial_factor": 1,
            "train_block_length": 5,
            "epsilon": 0.5,
            "num_gradient_steps": 300,
            "lesson_rows": 64,
            "inner": {"block_length": 5, "capacity": 400, "noise": 0.02, "spread": 0.3},
        },
    ),
    "grid-dqn": _on_grid("dqn", "from scratch", {"epsilon_steps": 60}, num_steps=1),
    "grid-fine-tuned-dqn": _on_grid("fine-tuned-dqn", "one network for all tasks, then in each", {}),
    "grid-r-max": _on_grid("r-max", "from scratch", {"max_reward": 1.0}, num_steps=1),
    **{f"{cell}-{method}": _by_gradient(cell, method) for cell in ROLLOUTS for method in GRADIENT_METHODS},
    **{f"{cell}-{name}": _by_model(cell, name) for cell in PLANNED for name in MODEL_METHODS},
}


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
