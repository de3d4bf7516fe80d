"""What a learner's model predicted of the trials that followed, against what happened: data, and lines of the report.

Predictions of a stored trial are recomputed by the states that the learner had in it: see `quickstudy.retracing`.
"""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Num, PyTree

from quickstudy.envs.replay import plain
from quickstudy.learner import AbstractLearner, AbstractPredictingLearner
from quickstudy.nets.features import flat_obs
from quickstudy.retracing import episode_starts, padded, retrace
from quickstudy.types import Trajectory

NUM_STEPS = 50
"""Steps of an episode that are predicted from its first observation."""
STANDS_STILL = 1e-10
"""A component whose mean squared change is no larger never changes: what is left of it is rounding."""


def predictions(learner: AbstractLearner, params: PyTree, trajectory: Trajectory) -> list[dict[str, Any]]:
    """What ``learner`` predicted of the first stream of K trials, and what happened, as plain data.

    Args:
        learner: what acted.
        params: its parameters, of one training seed.
        trajectory: the trials, ``[K, B, T, N, ...]``.

    Returns:
        For each trial a dictionary; nothing at all for a learner that does not predict. Numbers that are not finite
        are None.

        ``errors``: one for every step of the stream. The squared error of the predicted change of the observation, by
        the state before the step's block, in units of the mean square of the true changes over the trial, and averaged
        over the components that do change: to predict no change at all would err by 1 on average.

        ``starts``: the steps at which the n episodes begin.

        ``episodes``: for each of them at most `NUM_STEPS` steps. ``observed``, the flattened observations, one row
        more than steps; ``predicted``, where the actions lead from the first of them by what was known when the
        episode began (its block, if it began inside one), with no further observation; ``rewards`` and
        ``predicted_rewards``, one for each step.
    """
    if not isinstance(learner, AbstractPredictingLearner):
        return []
    starts = episode_starts(trajectory)
    said = jax.tree.map(np.asarray, _predicted(learner, params, trajectory, jnp.asarray(padded(starts))))
    return [_entry(begun, *(part[trial] for part in said)) for trial, begun in enumerate(starts)]


@eqx.filter_jit
def _predicted(
    learner: AbstractPredictingLearner, params: PyTree, trajectory: Trajectory, starts: Int[Array, "K E"]
) -> tuple[
    Float[Array, "K L F"],
    Float[Array, "K L F"],
    Float[Array, "K L"],
    Float[Array, "K L F"],
    Float[Array, "K E H F"],
    Float[Array, "K E H"],
]:
    """Of L steps observations, next ones, rewards and predicted next ones; of E episodes H predicted steps."""

    def one_step(state: PyTree, block: Trajectory) -> Float[Array, "T F"]:
        one = lambda obs, action: learner.predict(params, state, obs, action[None])[0][0]
        return jax.vmap(one)(*jax.tree.map(lambda x: x[:, 0], (block.timestep.obs, block.action)))

    num_trials, _, length = trajectory.reward.shape[:3]
    states, next_obs = retrace(learner, params, trajectory, starts // length, one_step)
    in_line = lambda x: x.reshape(num_trials, -1, *x.shape[3:])
    stream = jax.tree.map(lambda x: in_line(x[:, :, :, 0]), trajectory._replace(aux=None))

    def rollout(
        obs: PyTree, actions: Num[Array, "L ..."], start: Int[Array, ""], state: PyTree
    ) -> tuple[Float[Array, "H F"], Float[Array, " H"]]:
        ahead = jnp.minimum(start + jnp.arange(min(NUM_STEPS, len(actions))), len(actions) - 1)
        return learner.predict(params, state, jax.tree.map(lambda x: x[start], obs), actions[ahead])

    of_trial = eqx.filter_vmap(rollout, in_axes=(None, None, 0, eqx.if_array(0)))
    rollouts = eqx.filter_vmap(of_trial)(stream.timestep.obs, stream.action, starts, states)
    flat = lambda obs: jax.vmap(jax.vmap(flat_obs))(obs)
    return flat(stream.timestep.obs), flat(stream.next_obs), stream.reward, in_line(next_obs), *rollouts


def _entry(
    starts: list[int],
    obs: Float[np.ndarray, "L F"],
    next_obs: Float[np.ndarray, "L F"],
    rewards: Float[np.ndarray, " L"],
    next_predicted: Float[np.ndarray, "L F"],
    predicted: Float[np.ndarray, "E H F"],
    predicted_rewards: Float[np.ndarray, "E H"],
) -> dict[str, Any]:
    """One trial as plain data."""
    episodes = []
    for i, (start, border) in enumerate(itertools.pairwise([*starts, len(rewards)])):
        length = min(border - start, NUM_STEPS)
        first, happened = obs[start : start + 1], slice(start, start + length)
        parts = {
            "observed": np.concatenate([first, next_obs[happened]]),
            "predicted": np.concatenate([first, predicted[i, :length]]),
            "rewards": rewards[happened],
            "predicted_rewards": predicted_rewards[i, :length],
        }
        episodes.append({name: _finite(plain(part)) for name, part in parts.items()})
    errors = [float(f"{error:.4g}") for error in _errors(obs, next_obs, next_predicted)]
    return {"errors": _finite(errors), "starts": starts, "episodes": episodes}


def _errors(
    obs: Float[np.ndarray, "L F"], next_obs: Float[np.ndarray, "L F"], predicted: Float[np.ndarray, "L F"]
) -> Float[np.ndarray, " L"]:
    """Squared errors of the predicted changes, in units of what they are on average; NaN where nothing changes."""
    obs, next_obs, predicted = (x.astype(np.float64) for x in (obs, next_obs, predicted))
    scale = np.square(next_obs - obs).mean(axis=0)
    moves = scale > STANDS_STILL
    if not moves.any():
        return np.full(len(obs), np.nan)
    return (np.square(predicted - next_obs)[:, moves] / scale[moves]).mean(axis=1)


def _finite(numbers: Any) -> Any:
    """Nested floats with None for those that are not finite, which JSON has no word for."""
    if isinstance(numbers, list):
        return [_finite(number) for number in numbers]
    return numbers if np.isfinite(numbers) else None
