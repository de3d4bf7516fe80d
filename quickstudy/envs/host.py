"""A Gymnasium environment as a family's ``env``: what the host collector steps."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from quickstudy.errors import InvalidArgument
from quickstudy.host.absent import AbsentWorld
from quickstudy.host.spaces import Layout, layout_of
from quickstudy.host.world import World, makes_from_task, require_world, splits_of, to_task
from quickstudy.types import Spec


class HostEnv(eqx.Module):
    """The environment of a `World`, stepped outside of JAX. It has a spec like any other; only a collector runs it."""

    world: World
    layout: Layout

    @classmethod
    def of(cls, world: Any) -> "HostEnv":
        """Look at an environment of ``world`` to learn its spaces.

        Raises:
            InvalidArgument: the world lacks something, or has spaces that the networks cannot take.
        """
        if isinstance(world, AbsentWorld):
            return cls(world, world.layout)
        try:
            layout = _look_once(world)
        except TypeError as error:
            if "unhashable" not in str(error):
                raise
            layout = _look(world)
        return cls(world, layout)

    @property
    def spec(self) -> Spec:
        """Shapes of encoded observations and actions."""
        return spec_of(self.layout)


def spec_of(layout: Layout) -> Spec:
    """What a layout means to networks."""
    blank = layout.obs.decode(np.zeros(layout.obs.size, np.float32))
    obs = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, jnp.float32), blank)
    dtype = jnp.float32 if layout.action.num_actions is None else jnp.int32
    return Spec(obs, jax.ShapeDtypeStruct(layout.action.encoded_shape, dtype), layout.action.num_actions)


def _look(candidate: Any) -> Layout:
    world = require_world(candidate)
    env: Any = world.make(_any_task(world)) if makes_from_task(world) else world.make()
    if not hasattr(env, "observation_space") or hasattr(env, "num_envs"):
        raise InvalidArgument(
            f"{type(world).__name__}.make must return one gymnasium.Env, got {type(env).__name__}: "
            "the collector makes as many as it needs"
        )
    try:
        return layout_of(env.observation_space, env.action_space)
    finally:
        env.close()


_look_once = functools.lru_cache(maxsize=64)(_look)


def _any_task(world: World) -> Any:
    return to_task(world.sample_task(np.random.default_rng(0), splits_of(world)[0]))
