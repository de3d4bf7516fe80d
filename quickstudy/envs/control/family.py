"""What the families with hidden physics share: the trial, the splits, and a yardstick that knows the physics."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from quickstudy.algorithms.baselines.oracle_planner import OraclePlannerYardstick
from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.envs.base import AbstractObservedEnv
from quickstudy.envs.control.physics import PhysicalTasks
from quickstudy.errors import unknown
from quickstudy.family import AbstractFamily, AbstractYardstick
from quickstudy.planning.shooting import Planner
from quickstudy.tasks.base import SPLITS, SplitName
from quickstudy.types import Action, Budget, Obs
from quickstudy.yardsticks import PolicyYardstick

Controller = Callable[[Obs], Action]
"""A policy of one task: the action for an observation."""
Design = Callable[[Any], Controller]
"""From a task to its controller."""


class ControllerYardstick(AbstractYardstick):
    """A controller that is designed for the task, its physics known, and run for ``num_episodes`` episodes.

    ``design(task)`` gives the controller; what it computes there it computes once a task.
    """

    name: str
    design: Design
    env: AbstractObservedEnv
    horizon: int
    num_episodes: int

    def returns(self, task: PyTree, *, key: Key[Array, ""]) -> Float[Array, " E"]:
        """The return of each episode."""
        control = self.design(task)

        def step(carry: tuple[PyTree, Obs, Bool[Array, ""]], k: Key[Array, ""]) -> tuple[PyTree, Float[Array, ""]]:
            state, obs, alive = carry
            state, out = self.env.step(task, state, control(obs), key=k)
            return (state, out.obs, alive & ~out.terminated), jnp.where(alive, out.reward, 0.0)

        def episode(k: Key[Array, ""]) -> Float[Array, ""]:
            k_reset, k_steps = jax.random.split(k)
            start = (*self.env.reset(task, key=k_reset), jnp.ones((), bool))
            return jnp.sum(jax.lax.scan(step, start, jax.random.split(k_steps, self.horizon))[1])

        return jax.vmap(episode)(jax.random.split(key, self.num_episodes))


class AbstractControl(AbstractFamily):
    """What these families share: they differ in their dynamics and in the parameters of their tasks."""

    horizon: eqx.AbstractVar[int]

    @property
    @abc.abstractmethod
    def env(self) -> AbstractObservedEnv:
        """The dynamics."""

    @property
    @abc.abstractmethod
    def physics(self) -> PhysicalTasks:
        """The parameters that differ, over the training range."""

    @property
    @abc.abstractmethod
    def planner(self) -> Planner:
        """What plans well enough here with the true dynamics; the presets of methods with a model plan so too."""

    @property
    def budget(self) -> Budget:
        """One stream; a block holds one full episode."""
        return Budget(num_blocks=self.num_episodes, block_length=self.horizon, num_streams=1)

    @property
    def default_task(self) -> Any:
        """The task with every parameter at its default."""
        return self.physics.default

    @property
    @abc.abstractmethod
    def controller(self) -> tuple[str, Design]:
        """What the yardstick is called that knows the physics, and how its controller is designed for a task."""

    def yardsticks(self) -> tuple[AbstractYardstick, ...]:
        """Uniformly random actions, `planner` with the true dynamics, and `controller`."""
        env, budget, num_episodes = self.env, self.budget, self.num_episodes
        return (
            PolicyYardstick("random", RandomLearner.for_spec(env.spec), env, budget, num_episodes),
            OraclePlannerYardstick(env=env, budget=budget, num_episodes=num_episodes, planner=self.planner),
            self.controller_yardstick(*self.controller),
        )

    def controller_yardstick(self, name: str, design: Design) -> AbstractYardstick:
        """The controllers that ``design`` makes of tasks."""
        return ControllerYardstick(name, design, self.env, self.horizon, self.num_episodes)

    def distribution(self, split: SplitName) -> PhysicalTasks:
        """Tasks of ``split``."""
        if split not in SPLITS:
            raise unknown("split", split, SPLITS)
        physics = self.physics
        return PhysicalTasks(physics.task, physics.parameters, ood=split == "ood")

    def task_features(self, task: Any) -> Float[Array, " F"]:
        """Every parameter, about −1 to 1 over the training range."""
        return self.physics.features(task)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return self.physics.feature_names
