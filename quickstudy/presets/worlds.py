"""Worlds of other libraries, at budgets that two cores have."""

from typing import Any

from quickstudy.presets.base import Preset


def _in_world(
    summary: str,
    family: str,
    *,
    num_steps: int,
    num_test_tasks: int,
    ppo: dict[str, float],
    method: str = "rl2",
    network: dict[str, Any],
    **world: Any,
) -> Preset:
    """32 tasks a meta-update and two seeds, on two workers; ``world`` is what differs from the world's defaults."""
    return Preset(
        summary=summary,
        method=method,
        family=family,
        num_steps=num_steps,
        num_tasks=32,
        num_test_tasks=num_test_tasks,
        num_seeds=2,
        method_options={
            "width": 64,
            **network,
            "ppo": {"anneal_steps": num_steps, "trace": 0.95, "num_minibatches": 8, **ppo},
        },
        family_options={"num_workers": 2, "world": world},
    )


_CHEETAH: dict[str, Any] = {
    "family": "half-cheetah-vel",
    "num_steps": 300,
    "num_test_tasks": 64,
    "ppo": {
        "learning_rate": 2e-3,
        "final_learning_rate": 2e-4,
        "gamma": 0.97,
        "entropy_weight": 0.003,
    },
}

WORLDS = {
    "meta-world-reach": _in_world(
        "RL² on Meta-World's ML1 reach with a bonus for success, 2 episodes of 100 steps",
        "meta-world-ml1",
        num_steps=120,
        num_test_tasks=50,
        network={"readout": 64},
        ppo={
            "learning_rate": 3e-3,
            "final_learning_rate": 1e-4,
            "gamma": 0.95,
            "entropy_weight": 0.0,
        },
        horizon=100,
        success_bonus=10.0,
    ),
    "half-cheetah-vel": _in_world(
        "RL² on HalfCheetah-Vel, 2 episodes of 200 steps, at what two cores do in an hour",
        network={"readout": 64, "standardize": True},
        **_CHEETAH,
    ),
    "half-cheetah-vel-multitask": _in_world(
        "One policy without memory on HalfCheetah-Vel, trained as long: what not adapting is worth",
        method="multitask-ppo",
        network={"standardize": True},
        **_CHEETAH,
    ),
}
