"""An environment that shows its task: what an agent could earn that had nothing to find out."""

from typing import Any

import jax
from jaxtyping import Array, Key, PyTree

from quickstudy.envs.base import AbstractEnv
from quickstudy.family import AbstractFamily
from quickstudy.types import Action, EnvStep, Spec


class ShownTask(AbstractEnv[PyTree, PyTree]):
    """A family's environment with the task's features beside every observation: ``{"obs": …, "task": [F]}``."""

    family: AbstractFamily

    @property
    def spec(self) -> Spec:
        spec, features = self.family.env.spec, shape_of_features(self.family)
        return spec._replace(obs={"obs": spec.obs, "task": jax.ShapeDtypeStruct(features.shape, features.dtype)})

    def reset(self, task: PyTree, *, key: Key[Array, ""]) -> tuple[PyTree, Any]:
        state, obs = self._env.reset(task, key=key)
        return state, self._show(task, obs)

    def step(self, task: PyTree, state: PyTree, action: Action, *, key: Key[Array, ""]) -> tuple[PyTree, EnvStep]:
        state, out = self._env.step(task, state, action, key=key)
        return state, out._replace(obs=self._show(task, out.obs))

    @property
    def _env(self) -> AbstractEnv:
        env = self.family.env
        # A Gymnasium environment shows its task by `HostFamily.showing_task`.
        assert isinstance(env, AbstractEnv)
        return env

    def _show(self, task: PyTree, obs: PyTree) -> dict[str, PyTree]:
        return {"obs": obs, "task": self.family.task_features(task)}


def shape_of_features(family: AbstractFamily) -> jax.ShapeDtypeStruct:
    """What `task_features` of a compiled family give, without drawing a task."""
    tasks = family.tasks("train")
    task = jax.eval_shape(lambda key: tasks.sample(key=key), jax.random.key(0))
    return jax.eval_shape(family.task_features, task)
