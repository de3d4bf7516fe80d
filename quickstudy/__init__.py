"""quickstudy: meta-reinforcement learning on JAX.

Train once on a family of tasks, then master a new member of it within a few episodes. A **learner** is what an agent
does inside one task, a **meta-algorithm** is what happens to its parameters across tasks; everything else moves data
between them. Names are imported when they are first used, so ``import quickstudy`` costs nothing.
"""

import importlib
from typing import Any

_HOMES = {
    "quickstudy.adaptation": ("Adapted", "adapt"),
    "quickstudy.algorithms.baselines.continuous": ("DDPG", "SAC", "DeterministicRule", "EntropyRule"),
    "quickstudy.algorithms.baselines.dqn": ("DQN", "FineTunedDQN", "QLearningRule"),
    "quickstudy.algorithms.baselines.multitask": ("MultiTaskPPO",),
    "quickstudy.algorithms.baselines.random": ("RandomLearner",),
    "quickstudy.algorithms.context.rl2": ("RL2",),
    "quickstudy.algorithms.gradient.anil": ("ANIL",),
    "quickstudy.algorithms.gradient.cavia": ("CAVIA",),
    "quickstudy.algorithms.gradient.emaml": ("EMAML",),
    "quickstudy.algorithms.gradient.fine_tuning": ("FineTunedPPO", "FromScratch"),
    "quickstudy.algorithms.gradient.learner": ("InnerLoop",),
    "quickstudy.algorithms.gradient.maml": ("MAML",),
    "quickstudy.algorithms.gradient.meta_sgd": ("MetaSGD",),
    "quickstudy.algorithms.gradient.mpo": ("MPO",),
    "quickstudy.algorithms.gradient.outer": ("ClippedAscent", "TrustRegion"),
    "quickstudy.algorithms.gradient.promp": ("ProMP",),
    "quickstudy.algorithms.gradient.reptile": ("Reptile",),
    "quickstudy.algorithms.model.grbal": ("GrBAL",),
    "quickstudy.algorithms.model.learner": ("Acting",),
    "quickstudy.algorithms.model.mml": ("MML",),
    "quickstudy.algorithms.model.parts": ("Correction", "Fitting", "ModelNetwork"),
    "quickstudy.algorithms.model.rebal": ("ReBAL",),
    "quickstudy.algorithms.ppo": ("PPO",),
    "quickstudy.algorithms.transfer.mktn": ("MKTN",),
    "quickstudy.algorithms.transfer.parts": ("InnerNetwork",),
    "quickstudy.checkpoint": ("Checkpointer",),
    "quickstudy.collect.base": ("AbstractCollector",),
    "quickstudy.collect.graph": ("GraphCollector",),
    "quickstudy.collect.host": ("HostCollector",),
    "quickstudy.envs.bandit": ("BernoulliBandit", "GaussianBandit"),
    "quickstudy.envs.base": ("AbstractEnv",),
    "quickstudy.envs.control.cart_pole": ("CartPole",),
    "quickstudy.envs.control.cart_pole_swing_up": ("CartPoleSwingUp",),
    "quickstudy.envs.control.mountain_car": ("MountainCar",),
    "quickstudy.envs.control.pendulum": ("Pendulum",),
    "quickstudy.envs.control.reacher": ("Reacher",),
    "quickstudy.envs.darkroom": ("DarkKeyToDoor", "DarkRoom"),
    "quickstudy.envs.gridworld": ("GridNavigation",),
    "quickstudy.envs.host": ("HostEnv",),
    "quickstudy.envs.point": ("PointNavigation", "RotatedPointNavigation", "SparsePointNavigation"),
    "quickstudy.envs.tabular": ("RandomMDP",),
    "quickstudy.errors": (
        "CheckpointError",
        "EnvironmentFailed",
        "InvalidArgument",
        "NonFinite",
        "OutOfOrder",
        "QuickstudyError",
        "RunExists",
    ),
    "quickstudy.evaluation": ("Evaluation", "evaluate", "summarize"),
    "quickstudy.family": ("AbstractFamily", "AbstractMappedFamily", "AbstractYardstick", "StateMap"),
    "quickstudy.host.family": ("HostFamily",),
    "quickstudy.host.world": ("World",),
    "quickstudy.learner": (
        "AbstractBelievingLearner",
        "AbstractEncodingLearner",
        "AbstractLearner",
        "AbstractPredictingLearner",
    ),
    "quickstudy.meta": ("AbstractMetaAlgorithm", "MetaState", "NoMeta"),
    "quickstudy.nets.task_policy": ("PolicyNetwork",),
    "quickstudy.planning.shooting": ("Planner",),
    "quickstudy.ship.agent": ("Agent",),
    "quickstudy.ship.loading": ("load",),
    "quickstudy.tasks.base": ("AbstractTaskDistribution", "TaskSplit"),
    "quickstudy.tasks.finite": ("FiniteTasks",),
    "quickstudy.train": ("TrainState", "meta_train"),
    "quickstudy.trial": ("run_trial",),
    "quickstudy.types": ("Budget", "Budgets", "EnvStep", "Snapshot", "Spec", "TimeStep", "Trajectory", "Trial"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'quickstudy' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
