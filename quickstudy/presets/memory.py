"""RL² where it was published, and on the grids."""

from quickstudy.presets.base import DUAN, GRID_VALUES, MDP_10_VALUES, Preset

BANDIT_PPO = {
    "learning_rate": 3e-3,
    "final_learning_rate": 1e-4,
    "entropy_weight": 0.02,
    "gamma": 1.0,
    "trace": 0.95,
}

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


MEMORY = {
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
}
