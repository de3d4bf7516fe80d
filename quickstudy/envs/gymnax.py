"""Families out of Gymnax's compiled environments: their parameters are the tasks.

``--gymnax-id Pendulum-v1 --vary m=0.5:2.0,l=0.5:1.5`` is this family with two options set.

Source of the environments: Lange 2022, https://github.com/RobertTLange/gymnax. Both of its interfaces will do, that of
0.0.9 and that of 1.0.
"""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.envs.base import AbstractEnv
from quickstudy.envs.replay import reward_replay
from quickstudy.errors import InvalidArgument, require_positive, unknown
from quickstudy.extras import import_extra
from quickstudy.family import AbstractFamily
from quickstudy.host.varied import parse_ranges
from quickstudy.tasks.base import AbstractTaskDistribution, SplitName
from quickstudy.types import Action, Budget, EnvStep, Obs, Spec, Trajectory
from quickstudy.yardsticks import PolicyYardstick

NEVER = 2**30
"""Steps that Gymnax's own clock is set to: the family's clock, which truncates, is there before."""


class VariedState(NamedTuple):
    """Gymnax's state, and the steps of the episode."""

    inner: PyTree
    time: Int[Array, ""]


class GymnaxEnv(AbstractEnv[dict[str, Array], VariedState]):
    """An environment of Gymnax, whose parameters the task replaces. Actions in [−1, 1] are scaled to its bounds."""

    gymnax_id: str
    horizon: int

    @property
    def spec(self) -> Spec:
        inner, params = _made(self.gymnax_id)
        obs = jax.eval_shape(lambda key: _cast(inner.reset_env(key, params)[0]), jax.random.key(0))
        space = inner.action_space(params)
        if hasattr(space, "n"):
            return Spec(obs, jax.ShapeDtypeStruct((), jnp.int32), int(space.n))
        if not np.isfinite([np.min(space.low), np.max(space.high)]).all():
            raise InvalidArgument(
                f"the actions of {self.gymnax_id} have no finite bounds, and cannot be scaled to them"
            )
        return Spec(obs, jax.ShapeDtypeStruct(tuple(space.shape), jnp.float32), None)

    def reset(self, task: dict[str, Array], *, key: Key[Array, ""]) -> tuple[VariedState, Obs]:
        inner, params = self._of(task)
        obs, state = inner.reset_env(key, params)
        return VariedState(state, jnp.zeros((), jnp.int32)), _cast(obs)

    def step(
        self, task: dict[str, Array], state: VariedState, action: Action, *, key: Key[Array, ""]
    ) -> tuple[VariedState, EnvStep]:
        inner, params = self._of(task)
        space = inner.action_space(_made(self.gymnax_id)[1])
        if not hasattr(space, "n"):
            action = space.low + (jnp.clip(action, -1.0, 1.0) + 1) / 2 * (jnp.asarray(space.high) - space.low)
        obs, after, reward, terminated, _ = inner.step_env(key, state.inner, action, params)
        # Constants of Python and weak types become what they were at the reset.
        after = jax.tree.map(lambda new, old: jnp.asarray(new, jnp.result_type(old)), after, state.inner)
        time, terminated = state.time + 1, jnp.asarray(terminated, bool)
        truncated = (time >= self.horizon) & ~terminated
        return VariedState(after, time), EnvStep(_cast(obs), jnp.asarray(reward, jnp.float32), terminated, truncated)

    def _of(self, task: dict[str, Array]) -> tuple[Any, Any]:
        inner, params = _made(self.gymnax_id)
        return inner, params.replace(**task, max_steps_in_episode=NEVER)


class VariedParams(AbstractTaskDistribution[dict[str, Array]]):
    """Each number uniform between its ends."""

    ends: dict[str, tuple[float, float]]

    def sample(self, *, key: Key[Array, ""]) -> dict[str, Array]:
        keys = jax.random.split(key, len(self.ends))
        draws = zip(keys, self.ends.items(), strict=True)
        return {name: jax.random.uniform(k, minval=low, maxval=high) for k, (name, (low, high)) in draws}


class Gymnax(AbstractFamily):
    """Tasks differ in real-valued parameters of one environment of Gymnax."""

    gymnax_id: str = "Pendulum-v1"
    """A registered environment, as for ``gymnax.make``."""
    vary: str = "m=0.5:2.0,l=0.5:1.5"
    """name=low:high, or name=low:high:beyond with the far end of the out-of-distribution range, separated by commas."""
    num_episodes: int = 2  # pyright: ignore[reportIncompatibleMethodOverride]
    """Episodes in a trial."""
    max_steps: int | None = None
    """Steps in an episode, if not as many as its parameters say."""

    def __check_init__(self):
        require_positive(num_episodes=self.num_episodes)
        if self.max_steps is not None:
            require_positive(max_steps=self.max_steps)
        _, params = _made(self.gymnax_id)
        numbers = [f.name for f in dataclasses.fields(params) if isinstance(getattr(params, f.name), float)]
        for name in parse_ranges(self.vary):
            if name not in numbers:
                raise unknown(f"real-valued parameter of {self.gymnax_id}", name, numbers)

    @property
    def env(self) -> GymnaxEnv:
        return GymnaxEnv(self.gymnax_id, self._horizon)

    @property
    def budget(self) -> Budget:
        """One block an episode."""
        return Budget(self.num_episodes, self._horizon)

    def distribution(self, split: SplitName) -> VariedParams:
        return VariedParams({name: span.ends(split) for name, span in parse_ranges(self.vary).items()})

    def yardsticks(self) -> tuple[PolicyYardstick]:
        """Random alone: what the rest could be, Gymnax does not say."""
        random = RandomLearner.for_spec(self.env.spec)
        return (PolicyYardstick("random", random, self.env, self.budget, self.num_episodes),)

    def task_features(self, task: dict[str, Array]) -> Float[Array, " F"]:
        """Each number, scaled from its range to [−1, 1]."""
        ranges = parse_ranges(self.vary)
        return jnp.stack([2 * (task[name] - r.low) / (r.high - r.low) - 1 for name, r in ranges.items()])

    @property
    def feature_names(self) -> tuple[str, ...]:
        return tuple(parse_ranges(self.vary))

    def replay(self, task: dict[str, Array], trajectory: Trajectory) -> dict[str, Any]:
        return reward_replay(task, trajectory)

    @property
    def _horizon(self) -> int:
        _, params = _made(self.gymnax_id)
        return self.max_steps or int(params.max_steps_in_episode)


@functools.lru_cache(maxsize=64)
def _made(gymnax_id: str) -> tuple[Any, Any]:
    """The environment and its default parameters."""
    gymnax = import_extra("gymnax", extra="gymnax", purpose=f"--gymnax-id {gymnax_id}")
    if gymnax_id not in gymnax.registered_envs:
        raise unknown("environment of Gymnax", gymnax_id, gymnax.registered_envs)
    return gymnax.make(gymnax_id)


def _cast(obs: PyTree) -> Obs:
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), obs)
