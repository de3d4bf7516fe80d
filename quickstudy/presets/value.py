"""Methods that learn action values: MKTN with its ablations, and what it is measured against."""

from dataclasses import dataclass, field, replace
from typing import Any

from quickstudy.presets.base import DUAN, GRID_VALUES, MDP_10_VALUES, Preset, merged

HALVES: dict[str, dict[str, Any]] = {
    "knowledge-only": {"inner": {"head": False}},
    "random-features": {"features": "random", "prior_precision": 1e-2},
}
"""What each leaves of MKTN's two parts, by name. Features that are not learned are small, so heads have to be large."""

MKTN_ABLATIONS: dict[str, dict[str, Any]] = {
    "isotropic-prior": {"prior": "isotropic"},
    "no-guidance": {"inner": {"guidance": 0.01}},
    "gradient": {"inner": {"form": "gradient"}},
    "block-5": {"inner": {"block_length": 5}},
    "block-episode": {"inner": {"block_length": 0}},
}
"""What else may be taken away from MKTN, or changed, by name."""


def with_parts(name: str, whole: Preset, ablations: dict[str, dict[str, Any]]) -> dict[str, Preset]:
    """A preset of MKTN, and with what each of ``ablations`` changes of it, by name."""
    part = lambda what, changes: replace(
        whole, summary=f"{whole.summary}; ablation: {what}", method_options=merged(whole.method_options, changes)
    )
    return {name: whole} | {f"{name}-{what}": part(what, changes) for what, changes in ablations.items()}


CART_POLE_DQN: dict[str, Any] = {
    "width": 128,
    "block_length": 4,
    "capacity": 20_000,
    "epsilon_steps": 4000,
    "rule": {"num_gradient_steps": 4, "num_return_steps": 3, "learning_rate": 5e-4, "target_rate": 0.005},
}
"""DQN's settings there: four steps of Adam after every four steps of the task."""


@dataclass(frozen=True)
class Valued:
    """How a family is learned by methods that learn action values.

    Attributes:
        family: name in `quickstudy.catalog`.
        num_steps: meta-updates of the methods that are meta-trained.
        num_tasks: tasks in each of them.
        num_test_tasks: held-out tasks in the evaluation, for each seed.
        mktn: what differs from MKTN's defaults, and `trial_factor`, which says how many steps the others get.
        scratch: by name the options of methods that learn from scratch in every task.
        fine_tuned: what differs from the defaults of DQN that is fine-tuned.
        family_options: what differs from the family's defaults.
        published: reference values of the total return, by name.
        source: where they are printed.
    """

    family: str
    num_steps: int
    num_tasks: int
    num_test_tasks: int
    mktn: dict[str, Any]
    scratch: dict[str, dict[str, Any]]
    fine_tuned: dict[str, Any] = field(default_factory=dict)
    family_options: dict[str, Any] = field(default_factory=dict)
    published: dict[str, float] = field(default_factory=dict)
    source: str = ""

    def preset(self, method: str, what: str, options: dict[str, Any], *, num_steps: int | None = None) -> Preset:
        """A method in this family."""
        return Preset(
            summary=f"{method} on {self.family}: {what}",
            method=method,
            family=self.family,
            num_steps=self.num_steps if num_steps is None else num_steps,
            num_tasks=self.num_tasks,
            num_test_tasks=self.num_test_tasks,
            method_options=options,
            family_options=self.family_options,
            published=self.published,
            source=self.source,
        )

    def beside(self, cell: str) -> dict[str, Preset]:
        """MKTN, its halves and what else it is measured against; fine-tuned DQN takes as many environment steps."""
        mktn = self.preset("mktn", "knowledge of all tasks, and a head for each", self.mktn)
        return {
            **with_parts(f"{cell}-mktn", mktn, HALVES),
            f"{cell}-fine-tuned-dqn": self.preset(
                "fine-tuned-dqn",
                "one network for all tasks, then in each",
                self.fine_tuned,
                num_steps=self.num_steps * self.mktn["trial_factor"],
            ),
            **{
                f"{cell}-{name}": self.preset(name, "from scratch", options, num_steps=1)
                for name, options in self.scratch.items()
            },
        }


VALUED = {
    "grid": Valued(
        family="grid-navigation",
        num_steps=120,
        num_tasks=64,
        num_test_tasks=512,
        mktn={"anneal_steps": 120, "trial_factor": 2, "train_block_length": 5},
        scratch={"dqn": {"epsilon_steps": 60}, "r-max": {"max_reward": 1.0}},
        published=GRID_VALUES,
        source="setting: Zintgraf et al. 2020, arXiv:1910.08348",
    ),
    "dark-room": Valued(
        family="dark-room",
        num_steps=60,
        num_tasks=16,
        num_test_tasks=128,
        mktn={
            "width": 128,
            "num_features": 96,
            "anneal_steps": 60,
            "average_decay": 0.9,
            "trial_factor": 3,
            "epsilon": 1.0,
            "tries": "rare",
            "hindsight": 0.8,
            "num_lessons": 64,
            "inner": {
                "capacity": 600,
                "noise": 0.03,
                "gamma": 0.8,
                "spread": 0.0,
                "optimism": 1.0,
                "num_sweeps": 4,
                "damping": 0.5,
            },
        },
        scratch={"dqn": {"epsilon_steps": 200}, "r-max": {"max_reward": 1.0}},
    ),
    "mdp-10": Valued(
        family="random-mdp",
        num_steps=100,
        num_tasks=64,
        num_test_tasks=512,
        mktn={
            "num_features": 64,
            "anneal_steps": 100,
            "trial_factor": 1,
            "train_block_length": 5,
            "epsilon": 0.5,
            "average_decay": 0.9,
            "inner": {
                "capacity": 100,
                "noise": 1.0,
                "gamma": 0.8,
                "spread": 0.0,
                "optimism": 0.5,
                "regression": "fixed-point",
            },
        },
        scratch={"dqn": {"epsilon_steps": 50}, "r-max": {"max_reward": 4.0}},
        family_options={"num_episodes": 10},
        published=MDP_10_VALUES,
        source=DUAN,
    ),
    "cart-pole": Valued(
        family="cart-pole",
        num_steps=40,
        num_tasks=32,
        num_test_tasks=128,
        mktn={
            "anneal_steps": 40,
            "trial_factor": 1,
            "train_block_length": 5,
            "epsilon": 0.3,
            "num_gradient_steps": 200,
            "lesson_rows": 64,
            "rows": "leverage",
            "inner": {
                "block_length": 5,
                "capacity": 400,
                "noise": 0.3,
                "spread": 0.1,
                "gamma": 0.95,
                "num_sweeps": 6,
                "damping": 0.5,
            },
        },
        scratch={"dqn": CART_POLE_DQN},
        fine_tuned={
            "task": CART_POLE_DQN | {"block_length": 20, "epsilon": 0.2, "epsilon_steps": 200, "capacity": 1000},
            "rule": {"num_gradient_steps": 500, "num_return_steps": 3, "learning_rate": 5e-4},
        },
    ),
}
"""By cell, families with few actions."""

POINT = Preset(
    summary="MKTN on MAML's point navigation, 4 episodes of at most 100 steps",
    method="mktn",
    family="point-navigation",
    num_steps=80,
    num_tasks=32,
    num_test_tasks=512,
    method_options={
        "num_features": 64,
        "anneal_steps": 80,
        "trial_factor": 1,
        "train_block_length": 5,
        "epsilon": 0.5,
        "num_gradient_steps": 300,
        "lesson_rows": 64,
        "inner": {"block_length": 5, "capacity": 400, "noise": 0.01, "spread": 0.3, "gamma": 0.1},
    },
)
"""MKTN where actions are continuous. Every reward says how far the goal is, so the next few are worth looking at."""

OF_FAMILIES = {name: preset for cell, valued in VALUED.items() for name, preset in valued.beside(cell).items()}

VALUE = (
    OF_FAMILIES
    | with_parts("grid-mktn", OF_FAMILIES["grid-mktn"], MKTN_ABLATIONS)
    | with_parts("dark-room-mktn", OF_FAMILIES["dark-room-mktn"], {"no-hindsight": {"hindsight": 0.0}})
    | with_parts("point-mktn", POINT, merged(HALVES, {"random-features": {"prior_precision": 10.0}}))
)
