"""RL² in worlds of other libraries, at budgets that two cores have."""

from quickstudy.presets.base import Preset

WORLDS = {
    "meta-world-reach": Preset(
        summary="RL² on Meta-World's ML1 reach, 2 episodes of 100 steps",
        method="rl2",
        family="meta-world-ml1",
        num_steps=120,
        num_tasks=32,
        num_test_tasks=50,
        num_seeds=2,
        method_options={
            "width": 64,
            "readout": 64,
            "ppo": {
                "learning_rate": 3e-3,
                "final_learning_rate": 1e-4,
                "anneal_steps": 120,
                "gamma": 0.95,
                "trace": 0.95,
                "entropy_weight": 0.0,
                "num_minibatches": 8,
            },
        },
        family_options={"num_workers": 2, "world": {"horizon": 100}},
    ),
    "half-cheetah-vel": Preset(
        summary="RL² on HalfCheetah-Vel, 2 episodes of 200 steps, at what two cores do in minutes",
        method="rl2",
        family="half-cheetah-vel",
        num_steps=100,
        num_tasks=32,
        num_test_tasks=64,
        num_seeds=2,
        method_options={
            "width": 64,
            "readout": 64,
            "ppo": {
                "learning_rate": 2e-3,
                "final_learning_rate": 2e-4,
                "anneal_steps": 100,
                "gamma": 0.97,
                "trace": 0.95,
                "entropy_weight": 0.003,
                "num_minibatches": 8,
            },
        },
        family_options={"num_workers": 2},
    ),
}
