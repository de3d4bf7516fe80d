"""The second verb of evidence: `evaluate` measures adaptation on held-out tasks, with its controls and yardsticks."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, PyTree

from quickstudy.collect.base import AbstractCollector
from quickstudy.errors import InvalidArgument, require_positive
from quickstudy.family import AbstractReference, AbstractYardstick
from quickstudy.finite import first_not_finite, require_finite_experience, require_finite_params
from quickstudy.host.world import to_task
from quickstudy.learner import AbstractEncodingLearner, AbstractLearner
from quickstudy.ops.returns import episode_returns
from quickstudy.statistics import both, mean_estimate
from quickstudy.tasks.base import TaskSplit
from quickstudy.types import Budget, Snapshot, Trajectory, Trial
from quickstudy.unadapted import Unadapted
from quickstudy.yardsticks import CollectedYardstick, HostYardstick

CHUNK = 1024
"""Tasks that are evaluated at once: bounds the memory of an evaluation."""


class Evaluation(eqx.Module):
    """Returns on held-out tasks, ``[S, K, E]`` over seeds, tasks and episodes; NaN where an episode did not end.

    Attributes:
        adapted: the learner as it is.
        unadapted: the same learner, not allowed to learn (`Unadapted`).
        shuffled: only the last episode counts (the others are NaN): it is played in another task than the one
            adapted to. None for trials of a single episode.
        yardsticks: reference policies on the same tasks, ``[K, E]`` each.
        trials: trials of the first few tasks by the first seed, for replay.
        num_blocks: B, how often the learner updated itself, plus one: the episodes fall into as many equal parts.
        tasks: the K tasks.
        codes: what the learner knew of each task when its trial ended, ``[S, K, C]``: `AbstractEncodingLearner.code` of
            the first stream. None for a learner that has none.
    """

    adapted: Float[np.ndarray, "S K E"]
    unadapted: Float[np.ndarray, "S K E"]
    shuffled: Float[np.ndarray, "S K E"] | None
    yardsticks: dict[str, Float[np.ndarray, "K E"]]
    trials: Trial
    num_blocks: int = 1
    tasks: PyTree = None
    codes: Float[np.ndarray, "S K C"] | None = None


def evaluate(
    learner: AbstractLearner,
    params: PyTree,
    collector: AbstractCollector,
    tasks: TaskSplit,
    budget: Budget,
    *,
    num_seeds: int,
    num_tasks: int,
    num_episodes: int,
    key: Key[Array, ""],
    yardsticks: Sequence[AbstractReference] = (),
    num_replays: int = 4,
) -> Evaluation:
    """Measure a trained learner on ``num_tasks`` tasks of a split; all seeds see the same tasks.

    Args:
        learner: what to measure.
        params: its parameters, one set a training seed: every array is ``[S, ...]``.
        collector: where trials come from.
        tasks: a split of the family.
        budget: the trial each task gets.
        num_seeds: S.
        num_tasks: K.
        num_episodes: E, episodes of a trial that count.
        key: decides the tasks, and all randomness in them.
        yardsticks: reference policies to run on the same tasks.
        num_replays: how many trials to keep whole.

    Raises:
        InvalidArgument: a count below 1, or parameters that are not finite.
        NonFinite: a reward or an observation is not finite; names the seed, task, block, step and stream.
    """
    require_positive(num_seeds=num_seeds, num_tasks=num_tasks, num_episodes=num_episodes, **budget.counts)
    require_finite_params(params)
    if budget.fresh_blocks and num_episodes % budget.num_blocks:
        raise InvalidArgument(
            f"num_episodes={num_episodes} must be a multiple of the {budget.num_blocks} fresh blocks of the budget"
        )
    k_tasks, k_trials, k_yardsticks = jax.random.split(key, 3)
    batch = tasks.batch(num_tasks, key=k_tasks)
    chunks = _chunks(batch, num_tasks)
    keys = jax.random.split(k_trials, len(chunks))

    def returns(run: Callable[[PyTree, Key[Array, ""]], Trajectory]) -> Float[np.ndarray, "S K E"]:
        size = math.ceil(num_tasks / len(chunks))
        parts = [
            _returns(run(chunk, keys[i]), budget, num_episodes, first_task=i * size) for i, chunk in enumerate(chunks)
        ]
        return np.concatenate(parts, axis=1)[:, :num_tasks]

    def unadapted(chunk: PyTree, k: Key[Array, ""]) -> Trajectory:
        return _trials(Unadapted(learner), params, collector, chunk, budget, num_seeds, k).trajectory

    shown: list[Trial] = []
    codes: list[np.ndarray] = []

    def adapted(chunk: PyTree, k: Key[Array, ""]) -> Trajectory:
        trials = _trials(learner, params, collector, chunk, budget, num_seeds, k)
        if not shown:
            shown.append(jax.tree.map(lambda x: x[0, :num_replays] if eqx.is_array(x) else x, trials))
        if isinstance(learner, AbstractEncodingLearner):
            codes.append(np.asarray(_codes(learner, params, trials.final)))
        return trials.trajectory

    shuffled = None
    if num_episodes > 1:
        last = returns(lambda c, k: _shuffled(learner, params, collector, c, budget, num_seeds, num_episodes, k))[
            ..., -1:
        ]
        shuffled = np.concatenate([np.full((*last.shape[:2], num_episodes - 1), np.nan), last], -1)
    return Evaluation(
        adapted=returns(adapted),
        unadapted=returns(unadapted),
        shuffled=shuffled,
        yardsticks={
            y.name: _references(y, chunks, collector, budget, num_episodes, k_yardsticks)[:num_tasks]
            for y in yardsticks
        },
        trials=shown[0],
        num_blocks=budget.num_blocks,
        tasks=batch,
        codes=np.concatenate(codes, axis=1)[:, :num_tasks] if codes else None,
    )


def summarize(evaluation: Evaluation, *, confidence: float = 0.95) -> dict[str, Any]:
    """Everything that an evaluation says, as plain data: estimates per episode, total, first and last.

    The regret is against the last yardstick on the same tasks, the normalised score is 0 at the first yardstick's mean
    and 1 at the last one's.
    """
    num_seeds, num_tasks, num_episodes = evaluation.adapted.shape
    summary: dict[str, Any] = {
        "num_seeds": num_seeds,
        "num_tasks": num_tasks,
        "num_episodes": num_episodes,
        "confidence": confidence,
        "adapted": _curve(evaluation.adapted, confidence) | _per_block(evaluation, confidence),
        "unadapted": _curve(evaluation.unadapted, confidence),
        "shuffled": None,
        "yardsticks": [_yardstick_summary(name, x) for name, x in evaluation.yardsticks.items()],
    }
    if evaluation.shuffled is not None:
        summary["shuffled"] = {"last": both(evaluation.shuffled[..., -1], confidence)}
    if len(evaluation.yardsticks) > 1:
        summary |= _against(evaluation, confidence)
    return summary


def _against(evaluation: Evaluation, confidence: float) -> dict[str, Any]:
    """Regret against the ceiling and the score between floor and ceiling."""
    names = list(evaluation.yardsticks)
    floor, ceiling = evaluation.yardsticks[names[0]], evaluation.yardsticks[names[-1]]
    gap = ceiling[None] - evaluation.adapted
    total = np.nansum(evaluation.adapted, -1)
    low, high = np.nansum(floor, -1).mean(), np.nansum(ceiling, -1).mean()
    result: dict[str, Any] = {
        "regret": {
            "reference": names[-1],
            "total": mean_estimate(np.nansum(gap, -1), confidence),
            "per_episode": [mean_estimate(gap[..., e], confidence) for e in range(gap.shape[-1])],
        }
    }
    if high > low:
        score = mean_estimate((total - low) / (high - low), confidence)
        result["normalized_score"] = {"floor": names[0], "ceiling": names[-1], "total": score}
    return result


def _curve(returns: Float[np.ndarray, "S K E"], confidence: float) -> dict[str, Any]:
    per_episode = [both(returns[..., e], confidence) for e in range(returns.shape[-1])]
    return {
        "per_episode": {kind: [estimate[kind] for estimate in per_episode] for kind in ("mean", "iqm")},
        "total": both(np.nansum(returns, -1), confidence),
        "first": per_episode[0],
        "last": per_episode[-1],
    }


def _per_block(evaluation: Evaluation, confidence: float) -> dict[str, Any]:
    """Return of each block, summed over its episodes: what the learner earns after 0, 1, 2, … updates."""
    num_seeds, num_tasks, num_episodes = evaluation.adapted.shape
    per_block, rest = divmod(num_episodes, evaluation.num_blocks)
    if rest or not per_block:
        return {}
    blocks = evaluation.adapted.reshape(num_seeds, num_tasks, evaluation.num_blocks, per_block).sum(-1)
    estimates = [both(blocks[..., b], confidence) for b in range(evaluation.num_blocks)]
    return {"per_block": {kind: [estimate[kind] for estimate in estimates] for kind in ("mean", "iqm")}}


def _yardstick_summary(name: str, returns: Float[np.ndarray, "K E"]) -> dict[str, Any]:
    total = np.nansum(returns, -1)
    error = float(total.std(ddof=1) / np.sqrt(len(total))) if len(total) > 1 else 0.0
    per_episode = [float(x) for x in np.nanmean(returns, axis=0)]
    return {"name": name, "per_episode": per_episode, "total": float(total.mean()), "standard_error": error}


def _trials(
    learner: AbstractLearner,
    params: PyTree,
    collector: AbstractCollector,
    tasks: PyTree,
    budget: Budget,
    num_seeds: int,
    key: Key[Array, ""],
    start: Snapshot | None = None,
) -> Trial:
    """Trials of every seed in the same K tasks, ``[S, K, ...]``, with the same randomness in the environments."""
    batch = jax.tree.map(lambda x: jnp.broadcast_to(x, (num_seeds, *x.shape)), tasks)
    return collector.collect_seeds(learner, params, batch, budget, key=jnp.broadcast_to(key, (num_seeds,)), start=start)


@eqx.filter_jit
def _codes(learner: AbstractEncodingLearner, params: PyTree, final: Snapshot) -> Float[Array, "S K C"]:
    """The code of each task at the end of its trial, by the memory of the first stream."""
    carry = jax.tree.map(lambda x: x[:, :, 0], final.carry)
    num_tasks = final.timestep.first.shape[1]

    def of_seed(params: PyTree, state: PyTree, carry: PyTree) -> Float[Array, "K C"]:
        of_task = lambda state, carry: learner.code(params, state, carry)
        return eqx.filter_vmap(of_task, axis_size=num_tasks)(state, carry)

    return eqx.filter_vmap(of_seed)(params, final.state, carry)


def _shuffled(
    learner: AbstractLearner,
    params: PyTree,
    collector: AbstractCollector,
    tasks: PyTree,
    budget: Budget,
    num_seeds: int,
    num_episodes: int,
    key: Key[Array, ""],
) -> Trajectory:
    """Adapt in one task, then play the last episode in another one, with all that was learned in the first."""
    before, after = _last_episode(budget, num_episodes)
    k_before, k_after = jax.random.split(key)
    start = _trials(learner, params, collector, tasks, before, num_seeds, k_before)
    others = jax.tree.map(lambda x: jnp.roll(x, 1, axis=0), tasks)
    met = start.final._replace(env_state=None)
    end = _trials(learner, params, collector, others, after, num_seeds, k_after, met)
    parts = [jax.tree.map(_steps, part.trajectory) for part in (start, end)]
    return jax.tree.map(lambda *xs: jnp.concatenate(xs, 3), *parts)


def _steps(x: Array) -> Array:
    """``[S, K, B, T, N, ...]`` to ``[S, K, 1, B·T, N, ...]``."""
    return x.reshape(*x.shape[:2], 1, -1, *x.shape[4:])


def _last_episode(budget: Budget, num_episodes: int) -> tuple[Budget, Budget]:
    """``budget`` cut in two before its last episode, or before its last block where that holds whole episodes."""
    length, rest = divmod(budget.steps_per_stream, num_episodes)
    blocks, odd = divmod(length, budget.block_length)
    if not rest and odd and budget.num_blocks > 1 and not budget.block_length % length:
        blocks, odd = 1, 0
    if not rest and not odd:
        return budget._replace(num_blocks=budget.num_blocks - blocks), budget._replace(num_blocks=blocks)
    if not rest and budget.num_blocks == 1:
        return budget._replace(block_length=budget.block_length - length), budget._replace(block_length=length)
    raise InvalidArgument(
        f"budget {tuple(budget)} does not hold num_episodes={num_episodes} episodes of equal length with a block's "
        "border before the last one: give it one block for each episode"
    )


def _returns(
    trajectory: Trajectory, budget: Budget, num_episodes: int, *, first_task: int = 0
) -> Float[np.ndarray, "S K E"]:
    """Returns per episode, averaged over the streams that completed it; refuses experience that is not finite."""
    returns, where = _measured(trajectory, budget, num_episodes)
    require_finite_experience(np.asarray(where), during="evaluate", first_task=first_task)
    return np.asarray(returns)


@eqx.filter_jit
def _measured(
    trajectory: Trajectory, budget: Budget, num_episodes: int
) -> tuple[Float[Array, "S K E"], Int[Array, "S parts 4"]]:
    """Returns per episode, and where the experience is not finite.

    Of a fresh block only its share of the episodes counts: as many from every block, whatever ends early.
    """
    num_parts = budget.num_blocks if budget.fresh_blocks else 1
    share = num_episodes // num_parts

    def one(reward: Float[Array, "B T N"], last: Array) -> Float[Array, " E"]:
        streams = jax.vmap(lambda r, e: episode_returns(r, e, share), in_axes=1)
        parts = [x.reshape(num_parts, -1, x.shape[-1]) for x in (reward, last)]
        return jnp.nanmean(jax.vmap(streams)(*parts), axis=1).ravel()

    returns = jax.vmap(jax.vmap(one))(trajectory.reward, trajectory.terminated | trajectory.truncated)
    return returns, jax.vmap(first_not_finite)(trajectory)


def _references(
    yardstick: AbstractReference,
    chunks: list[PyTree],
    collector: AbstractCollector,
    budget: Budget,
    num_episodes: int,
    key: Key[Array, ""],
) -> Float[np.ndarray, "K E"]:
    """Returns of a reference in all chunks of tasks."""
    keys = jax.random.split(key, (len(chunks), jax.tree.leaves(chunks[0])[0].shape[0]))
    pairs = zip(chunks, keys, strict=True)
    return np.concatenate([_reference(yardstick, c, collector, budget, num_episodes, k) for c, k in pairs])


def _reference(
    yardstick: AbstractReference,
    tasks: PyTree,
    collector: AbstractCollector,
    budget: Budget,
    num_episodes: int,
    keys: Key[Array, " K"],
) -> Float[np.ndarray, "K E"]:
    """Returns of a reference in K tasks, each kind in its own way."""
    if isinstance(yardstick, AbstractYardstick):
        return np.asarray(_yardstick_returns(yardstick, tasks, keys))
    if isinstance(yardstick, CollectedYardstick):
        trials = collector.collect(yardstick.learner, yardstick.params, tasks, budget, key=keys[0])
        return _returns(jax.tree.map(lambda x: x[None], trials.trajectory), budget, num_episodes)[0]
    if isinstance(yardstick, HostYardstick):
        values = jax.tree.map(np.asarray, tasks)
        each = [to_task(jax.tree.map(lambda x, k=k: x[k], values)) for k in range(len(keys))]
        return np.stack([yardstick.returns(task) for task in each])
    raise InvalidArgument(f"yardstick {yardstick.name!r} must be a yardstick, got a {type(yardstick).__name__}")


@eqx.filter_jit
def _yardstick_returns(yardstick: AbstractYardstick, tasks: PyTree, keys: Key[Array, " K"]) -> Float[Array, "K E"]:
    return jax.vmap(lambda task, key: yardstick.returns(task, key=key))(tasks, keys)


def _chunks(tasks: PyTree, num_tasks: int) -> list[PyTree]:
    """The tasks in parts of one size, so that one program serves all; the last part is filled up from the start."""
    num_chunks = math.ceil(num_tasks / CHUNK)
    size = math.ceil(num_tasks / num_chunks)
    order = np.arange(num_chunks * size) % num_tasks
    take = lambda part: jax.tree.map(lambda x: x[part], tasks)
    return [take(part) for part in np.split(order, num_chunks)]
