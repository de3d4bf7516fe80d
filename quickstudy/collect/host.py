"""The collector of Gymnasium environments: K tasks × N streams, stepped together on the host."""

import math
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Key, PyTree

from quickstudy import programs
from quickstudy.collect.base import AbstractCollector
from quickstudy.envs.host import HostEnv
from quickstudy.errors import InvalidArgument, require_positive
from quickstudy.host.pool import Fault, Pool
from quickstudy.host.spaces import ObsLayout
from quickstudy.host.world import to_task
from quickstudy.learner import AbstractLearner
from quickstudy.parallel import to_default_device
from quickstudy.trial import first_timestep
from quickstudy.types import Budget, Info, Snapshot, Spec, TimeStep, Trajectory, Trial


class InFlight(NamedTuple):
    """What is left of environments that cannot be stored: whether each was in the middle of an episode, ``[N]``."""

    unfinished: Bool[Array, "*axes N"]


class HostCollector(AbstractCollector):
    """Runs trials of Gymnasium environments, in this process or in workers; the same `Trial` as `GraphCollector`.

    A trial can go on where it stopped if every stream stood between two episodes; in the middle of one it cannot,
    because a Gymnasium environment cannot be stored.

    Args:
        env: the environment of a world.
        num_workers: worker processes; 0 steps the environments in this process.
        timeout: seconds that one worker may take for one step of its environments.
        max_restarts: faults that are mended before the collector gives up (see `Pool`).
        max_envs: environments that are alive at once; more tasks than fit are run in groups.
    """

    env: HostEnv
    max_envs: int
    pool: Pool

    def __init__(
        self,
        env: HostEnv,
        *,
        num_workers: int = 0,
        timeout: float = 60.0,
        max_restarts: int = 10,
        max_envs: int = 256,
    ):
        require_positive(max_envs=max_envs)
        self.env, self.max_envs = env, max_envs
        self.pool = Pool(env.world, env.layout, num_workers=num_workers, timeout=timeout, max_restarts=max_restarts)

    @property
    def spec(self) -> Spec:
        """The environment's spec."""
        return self.env.spec

    @property
    def faults(self) -> list[Fault]:
        """Every failure of an environment so far."""
        return self.pool.faults

    def close(self) -> None:
        """End the worker processes; the next trial starts new ones."""
        self.pool.close()

    def collect(
        self,
        learner: AbstractLearner,
        params: PyTree,
        tasks: PyTree,
        budget: Budget,
        *,
        key: Key[Array, ""],
        start: Snapshot | None = None,
    ) -> Trial:
        """One trial in each of K tasks."""
        learner, params, tasks, key, start = to_default_device((learner, params, tasks, key, start))
        _check_start(start, budget)
        num_tasks = jax.tree.leaves(tasks)[0].shape[0]
        keys = jax.random.split(key, num_tasks)
        size = max(1, self.max_envs // budget.num_streams)
        if num_tasks <= size:
            return self._collect(learner, params, tasks, keys, start, budget)
        groups = np.array_split(np.arange(num_tasks), math.ceil(num_tasks / size))
        take = lambda tree, group: jax.tree.map(lambda x: x[group] if eqx.is_array(x) else x, tree)
        parts = (take((tasks, keys, start), group) for group in groups)
        trials = [self._collect(learner, params, t, k, s, budget) for t, k, s in parts]
        return jax.tree.map(lambda *xs: _join(xs), *trials)

    def collect_seeds(
        self,
        learner: AbstractLearner,
        params: PyTree,
        tasks: PyTree,
        budget: Budget,
        *,
        key: Key[Array, " S"],
        start: Snapshot | None = None,
    ) -> Trial:
        """One trial in each of K tasks for each of S sets of parameters, one set after the other."""
        whole = to_default_device((params, tasks, key, start))
        trials = []
        for seed in range(key.shape[0]):
            params, tasks, k, begin = jax.tree.map(lambda x, s=seed: x[s] if eqx.is_array(x) else x, whole)
            trials.append(self.collect(learner, params, tasks, budget, key=k, start=begin))
        arrays, static = eqx.partition(trials, eqx.is_array)
        return eqx.combine(programs.stack(arrays, 0), static[0])

    def _collect(
        self,
        learner: AbstractLearner,
        params: PyTree,
        tasks: PyTree,
        keys: Key[Array, " K"],
        start: Snapshot | None,
        budget: Budget,
    ) -> Trial:
        trial_keys = programs.trial_keys(keys, budget)
        first = self._begin(tasks, np.asarray(trial_keys.seeds))
        if start is None:
            snapshot = Snapshot(*programs.begin(learner, params, trial_keys.init, budget.num_streams), first, None)
        else:
            snapshot = _lives_on(start, first)
        blocks = []
        for block in range(budget.num_blocks):
            k_block = programs.block_keys(trial_keys.blocks[block], budget)
            if k_block.begin is not None:
                snapshot = _lives_on(snapshot, self._begin(tasks, np.asarray(k_block.begin)))
            carry = snapshot.carry
            snapshot, trajectory, info = self._block(learner, params, snapshot, k_block, budget)
            blocks.append((trajectory, carry, info))
        trajectory, carry, info = programs.stack(blocks, 1)
        final = snapshot._replace(
            timestep=jax.tree.map(jnp.asarray, snapshot.timestep),
            env_state=InFlight(jnp.asarray(~np.asarray(snapshot.timestep.first))),
        )
        return Trial(tasks, trajectory, carry, info, final)

    def _begin(self, tasks: PyTree, seeds: np.ndarray) -> TimeStep:
        """Reset every environment to its task, with seeds ``[K, N]``; what the streams show first, ``[K, N, ...]``."""
        shape = seeds.shape
        values = jax.tree.map(np.asarray, tasks)
        one_a_task = [to_task(jax.tree.map(lambda x, k=k: x[k], values)) for k in range(shape[0])]
        one_a_seat = [task for task in one_a_task for _ in range(shape[1])]
        obs = self.pool.begin(one_a_seat, seeds.reshape(-1))
        return jax.tree.map(np.asarray, first_timestep(_decode(self.env.layout.obs, obs, shape), self.spec, shape))

    def _block(
        self,
        learner: AbstractLearner,
        params: PyTree,
        snapshot: Snapshot,
        keys: programs.BlockKeys,
        budget: Budget,
    ) -> tuple[Snapshot, Trajectory, Info]:
        """T steps in every environment, then the update."""
        arrays, static = programs.split_static((learner, params))
        state, state_static = programs.split_static(snapshot.state)
        act = programs.acting(static, state_static)
        seeds = np.asarray(keys.seeds)
        carry, timestep, steps, kept = snapshot.carry, snapshot.timestep, [], []
        pool, layout = self.pool, self.env.layout.obs
        for t in range(budget.block_length):
            action, carry, aux = act(arrays, state, carry, timestep, keys.act, np.int32(t))
            after, record = _step(pool, layout, timestep, np.asarray(action), seeds[t])
            steps.append(record)
            kept.append(aux)
            timestep = after
        # The host's part is stacked on the host: one transfer a block.
        trajectory: Trajectory = jax.tree.map(lambda *xs: jnp.asarray(np.stack(xs, 1)), *steps)
        trajectory = trajectory._replace(aux=programs.stack(kept, 1))
        if budget.fresh_blocks:
            cut = ~trajectory.terminated[:, -1]
            trajectory = trajectory._replace(truncated=trajectory.truncated.at[:, -1].set(cut))
        new_state, info = programs.update(learner, params, snapshot.state, trajectory, keys.update)
        return Snapshot(new_state, carry, timestep, None), trajectory, info


# Functions, not methods: a bound method of an `eqx.Module` costs 0.1 ms a call, and these are called at every step.
def _step(
    pool: Pool, layout: ObsLayout, timestep: TimeStep, action: Any, seeds: np.ndarray
) -> tuple[TimeStep, Trajectory]:
    """One action in every environment: what the streams show next, and the record of this step."""
    shape = seeds.shape
    answer = pool.step(action.reshape(-1, *action.shape[2:]), seeds.reshape(-1))
    flags: Any = (answer.reward, answer.terminated, answer.truncated)
    reward, terminated, truncated = (x.reshape(shape) for x in flags)
    next_obs = _decode(layout, answer.next_obs, shape)
    record = Trajectory(timestep, action, reward, next_obs, terminated, truncated, None)
    return TimeStep(_decode(layout, answer.obs, shape), action, reward, terminated | truncated), record


def _decode(layout: ObsLayout, obs: np.ndarray, shape: tuple[int, ...]) -> Any:
    return layout.decode(obs.reshape(*shape, -1))


def _lives_on(old: Snapshot, first: TimeStep) -> Snapshot:
    """The agent of ``old`` where new episodes have begun."""
    return old._replace(timestep=old.timestep._replace(obs=first.obs, first=first.first))


def _check_start(start: Snapshot | None, budget: Budget) -> None:
    """Refuse a snapshot whose environments would have to be stored."""
    if start is None or start.env_state is None:
        return
    if not isinstance(start.env_state, InFlight):
        raise InvalidArgument(
            f"start.env_state is of a compiled environment ({type(start.env_state).__name__}): set it to None to let "
            "the agent live on in new episodes"
        )
    unfinished = np.asarray(start.env_state.unfinished)
    if unfinished.any() and not budget.fresh_blocks:
        raise InvalidArgument(
            f"start stopped in the middle of an episode in {int(unfinished.sum())} of {unfinished.size} streams, and a "
            "Gymnasium environment cannot be stored: stop where episodes end, or set start.env_state to None to begin "
            "new ones"
        )


def _join(parts: Any) -> Any:
    return jnp.concatenate(parts) if eqx.is_array(parts[0]) else parts[0]
