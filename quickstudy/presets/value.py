"""Methods that learn action values: MKTN with its ablations, and what it is measured against."""

from typing import Any

from quickstudy.presets.base import DUAN, GRID_VALUES, MDP_10_VALUES, Preset

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


VALUE = {
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
}
