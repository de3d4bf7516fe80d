"""The data that moves between the parts, and the axes it is laid out on.

Axes, everywhere, in this order::

    S  training seeds     independent runs of one experiment
    K  tasks              members of the family, one trial each
    B  blocks             an update of the learner stands between two blocks
    T  steps in a block
    N  parallel streams   of experience in one task

Inside a task arrays are ``[B, T, N, ...]``, in a batch of tasks ``[K, B, T, N, ...]``. Code is written for one
task, one stream, one example; the engine maps it.

A **trial** is one learner's lifetime in one task; it spans episodes. ``terminated`` means that the Markov decision
process ended (the future is worth 0), ``truncated`` that a clock ended the episode (the future goes on at
``next_obs``), ``first`` that an observation begins an episode.
"""

from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Bool, Float, PyTree

Obs = PyTree[Array]
Action = Array
Info = dict[str, Any]


class Spec(NamedTuple):
    """What an agent needs to know of a task family to build its networks.

    Attributes:
        obs: shapes and dtypes of one observation, as a pytree of `jax.ShapeDtypeStruct`.
        action: shape and dtype of one action.
        num_actions: how many discrete actions there are; None for continuous actions, which lie in [-1, 1].
    """

    obs: PyTree[jax.ShapeDtypeStruct]
    action: jax.ShapeDtypeStruct
    num_actions: int | None


class EnvStep(NamedTuple):
    """What an environment answers to one action. It never resets itself: ``obs`` is the true successor."""

    obs: Obs
    reward: Float[Array, ""]
    terminated: Bool[Array, ""]
    truncated: Bool[Array, ""]


class TimeStep(NamedTuple):
    """What a stream shows when its learner must choose an action.

    ``prev_action`` and ``prev_reward`` are zero at the start of a trial and survive the border of an episode:
    ``first`` marks that border, and a learner that adapts across episodes needs all three.
    """

    obs: Obs
    prev_action: Action
    prev_reward: Float[Array, "*axes"]
    first: Bool[Array, "*axes"]


class Trajectory(NamedTuple):
    """Steps of experience, ``[..., T, N]``; ``aux`` is whatever the learner's ``act`` wished to keep."""

    timestep: TimeStep
    action: Action
    reward: Float[Array, "*axes"]
    next_obs: Obs
    terminated: Bool[Array, "*axes"]
    truncated: Bool[Array, "*axes"]
    aux: PyTree[Array]


class Budget(NamedTuple):
    """How much experience a trial holds: ``num_blocks`` blocks of ``block_length`` steps in ``num_streams`` streams.

    With ``fresh_blocks`` every block begins with freshly reset environments, and its last step is marked truncated: the
    rollouts of one policy, as gradient methods need them where episodes may end early. The learner lives on.
    """

    num_blocks: int
    block_length: int
    num_streams: int = 1
    fresh_blocks: bool = False

    @property
    def counts(self) -> dict[str, int]:
        """The three counts by name."""
        return {name: getattr(self, name) for name in ("num_blocks", "block_length", "num_streams")}

    @property
    def steps_per_stream(self) -> int:
        """Environment steps that one stream takes in a trial."""
        return self.num_blocks * self.block_length

    @property
    def num_steps(self) -> int:
        """Environment steps of a trial over all streams: what methods are compared at."""
        return self.steps_per_stream * self.num_streams


class Budgets(NamedTuple):
    """The trials of a method in a family: those it is trained on, and those it is measured on."""

    train: Budget
    test: Budget


class Snapshot(NamedTuple):
    """A trial between two blocks: stop here, store it, go on later.

    Attributes:
        state: the learner's per-task state.
        carry: the learner's per-stream memory, ``[N, ...]``.
        timestep: what each stream shows next, ``[N, ...]``.
        env_state: the environments' states, ``[N, ...]``.
    """

    state: PyTree
    carry: PyTree[Array]
    timestep: TimeStep
    env_state: PyTree


class Transitions(NamedTuple):
    """Transitions, one a row.

    Attributes:
        obs: where the action was taken, flattened.
        action: which one, ``[*axes, C, ...]``.
        reward: what it paid.
        next_obs: where it led: the true successor, also where an episode ended.
        discount: 0 where the task terminated, 1 elsewhere.
        last: 1 where an episode ended, in either way.
        weight: 1 for a transition, 0 for a row that is empty.
    """

    obs: Float[Array, "*axes C F"]
    action: Array
    reward: Float[Array, "*axes C"]
    next_obs: Float[Array, "*axes C F"]
    discount: Float[Array, "*axes C"]
    last: Float[Array, "*axes C"]
    weight: Float[Array, "*axes C"]


class Trial(NamedTuple):
    """One learner's lifetime in a task.

    Attributes:
        task: the task it happened in, ``[...]`` (``[K, ...]`` in a batch).
        trajectory: everything that was experienced, ``[B, T, N, ...]``.
        carry: the per-stream memory at the start of every block, ``[B, N, ...]``.
        info: what ``update`` reported at the end of every block, ``[B, ...]``.
        final: where the trial stopped.
    """

    task: PyTree
    trajectory: Trajectory
    carry: PyTree[Array]
    info: Info
    final: Snapshot
