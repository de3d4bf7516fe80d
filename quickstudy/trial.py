"""The engine: one learner's lifetime in one task, compiled as a whole."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key, PyTree

from quickstudy.envs.base import AbstractEnv
from quickstudy.errors import InvalidArgument
from quickstudy.learner import AbstractLearner
from quickstudy.types import Budget, Snapshot, Spec, TimeStep, Trajectory, Trial


def filter_scan(step: Callable[[Any, Any], tuple[Any, Any]], init: PyTree, xs: PyTree) -> tuple[PyTree, PyTree]:
    """`jax.lax.scan` over a carry that may hold non-array leaves (a module's activation functions, say).

    The non-array leaves must come out of ``step`` as they went in; those of the outputs are the last step's.
    """
    arrays, static = eqx.partition(init, eqx.is_array)
    outputs_static: PyTree = None

    def body(arrays: PyTree, x: PyTree) -> tuple[PyTree, PyTree]:
        nonlocal outputs_static
        carry, out = step(eqx.combine(arrays, static), x)
        new_arrays, new_static = eqx.partition(carry, eqx.is_array)
        if not eqx.tree_equal(static, new_static):
            raise InvalidArgument("a scanned step changed a non-array leaf of its carry; keep such leaves constant")
        out_arrays, outputs_static = eqx.partition(out, eqx.is_array)
        return new_arrays, out_arrays

    final, outputs = jax.lax.scan(body, arrays, xs)
    return eqx.combine(final, static), eqx.combine(outputs, outputs_static)


def begin_trial(
    learner: AbstractLearner, params: PyTree, env: AbstractEnv, task: PyTree, num_streams: int, *, key: Key[Array, ""]
) -> Snapshot:
    """A fresh learner and ``num_streams`` freshly reset environments of ``task``."""
    k_init, k_reset = jax.random.split(key)
    env_state, obs = jax.vmap(lambda k: env.reset(task, key=k))(jax.random.split(k_reset, num_streams))
    timestep = first_timestep(obs, env.spec, (num_streams,))
    return fresh_agent(learner, params, timestep, key=k_init)._replace(env_state=env_state)


def fresh_agent(learner: AbstractLearner, params: PyTree, timestep: TimeStep, *, key: Key[Array, ""]) -> Snapshot:
    """A fresh learner that is shown ``timestep``, ``[N, ...]``, with no environments."""
    carry = jax.tree.map(
        lambda x: jnp.broadcast_to(x, (*timestep.first.shape, *jnp.shape(x))), learner.init_carry(params)
    )
    return Snapshot(learner.init(params, key=key), carry, timestep, None)


def first_timestep(obs: PyTree[Array | np.ndarray], spec: Spec, axes: tuple[int, ...] = ()) -> TimeStep:
    """What a trial shows first: ``obs``, ``[*axes, ...]``, and no action or reward before it."""
    return TimeStep(obs, zeros_of(spec.action, axes), jnp.zeros(axes), jnp.ones(axes, bool))


def zeros_of(shapes: PyTree[jax.ShapeDtypeStruct], axes: tuple[int, ...] = ()) -> PyTree[Array]:
    """Zeros of these shapes, under leading ``axes``."""
    return jax.tree.map(lambda x: jnp.zeros((*axes, *x.shape), x.dtype), shapes)


def run_trial(
    learner: AbstractLearner,
    params: PyTree,
    env: AbstractEnv,
    task: PyTree,
    budget: Budget,
    *,
    key: Key[Array, ""],
    start: Snapshot | None = None,
) -> Trial:
    """Run ``learner`` in ``task`` for ``budget``, from scratch or from where an earlier trial stopped.

    An episode that ends is followed by a new one of the same task; the learner's state and carry live on.

    Args:
        learner: what acts and learns.
        params: its meta-learned parameters.
        env: the compiled environment.
        task: one task of the family.
        budget: blocks, steps in a block, streams.
        key: randomness of the learner and the environment.
        start: ``Trial.final`` of an earlier trial: go on from there. With its ``env_state`` set to None the agent
            lives on, with all it learned, and the environments begin a new episode (of this task, or another one).

    Returns:
        The trial, with arrays ``[B, T, N, ...]``.
    """
    k_begin, k_run = jax.random.split(key)
    if start is None or start.env_state is None:
        fresh = begin_trial(learner, params, env, task, budget.num_streams, key=k_begin)
        start = fresh if start is None else _lives_on(start, fresh)

    def stream_step(state: PyTree, carry: PyTree, timestep: TimeStep, env_state: PyTree, key: Key[Array, ""]) -> Any:
        k_act, k_step, k_reset = jax.random.split(key, 3)
        action, carry, aux = learner.act(params, state, carry, timestep, key=k_act)
        env_state, out = env.step(task, env_state, action, key=k_step)
        last = out.terminated | out.truncated
        fresh = env.reset(task, key=k_reset)
        env_state, obs = jax.tree.map(lambda new, old: jnp.where(last, new, old), fresh, (env_state, out.obs))
        record = Trajectory(timestep, action, out.reward, out.obs, out.terminated, out.truncated, aux)
        return (carry, TimeStep(obs, action, out.reward, last), env_state), record

    def block(snapshot: Snapshot, key: Key[Array, ""]) -> tuple[Snapshot, Any]:
        if budget.fresh_blocks:
            key, k_fresh = jax.random.split(key)
            fresh = begin_trial(learner, params, env, task, budget.num_streams, key=k_fresh)
            snapshot = _lives_on(snapshot, fresh)
        k_steps, k_update = jax.random.split(key)
        step_keys = jax.random.split(k_steps, (budget.block_length, budget.num_streams))

        def step(streams: Any, keys: Key[Array, " N"]) -> Any:
            return jax.vmap(lambda *xs: stream_step(snapshot.state, *xs))(*streams, keys)

        streams, trajectory = filter_scan(step, tuple(snapshot[1:]), step_keys)
        if budget.fresh_blocks:
            cut = ~trajectory.terminated[-1]
            trajectory = trajectory._replace(truncated=trajectory.truncated.at[-1].set(cut))
        state, info = learner.update(params, snapshot.state, trajectory, key=k_update)
        return Snapshot(state, *streams), (trajectory, snapshot.carry, info)

    final, (trajectory, carry, info) = filter_scan(block, start, jax.random.split(k_run, budget.num_blocks))
    return Trial(task, trajectory, carry, info, final)


def _lives_on(old: Snapshot, fresh: Snapshot) -> Snapshot:
    """The agent of ``old`` in the freshly reset environments of ``fresh``."""
    timestep = old.timestep._replace(obs=fresh.timestep.obs, first=fresh.timestep.first)
    return Snapshot(old.state, old.carry, timestep, fresh.env_state)
