"""One stay in one task: what has been learned, and the steps that the next update will read."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import numpy as np

from quickstudy.ship.brain import Arrays, Block, Brain, Observed

Numbers = np.ndarray | np.generic
"""An array, or one number of a fixed type."""


@dataclasses.dataclass
class Step:
    """One step of experience; the parts that come after the action are None until they are known."""

    obs: np.ndarray
    prev_action: Numbers
    prev_reward: Numbers
    first: Numbers
    action: Numbers
    aux: Arrays
    reward: Numbers | None = None
    terminated: Numbers | None = None
    truncated: Numbers | None = None
    next_obs: np.ndarray | None = None


@dataclasses.dataclass
class Session:
    """All that an agent has in one task.

    Attributes:
        seed: decides all draws of the session.
        state: what updates have taught, as arrays.
        carry: the memory, as arrays.
        prev_action: the last action, as the policy drew it.
        prev_reward: what it earned.
        first: whether the next observation begins an episode.
        num_steps: actions so far.
        num_blocks: updates so far.
        open: the step whose reward or successor is not known yet.
        steps: those that the next update will read.
    """

    seed: int
    state: Arrays
    carry: Arrays
    prev_action: Numbers
    prev_reward: Numbers = np.float32(0)  # noqa: RUF009  (a number cannot be changed)
    first: Numbers = np.bool_(True)  # noqa: RUF009
    num_steps: int = 0
    num_blocks: int = 0
    open: Step | None = None
    steps: list[Step] = dataclasses.field(default_factory=list)

    @classmethod
    def begin(cls, brain: Brain, seed: int) -> "Session":
        """Before the task has shown anything."""
        state, carry = brain.functions.init(brain.weights, np.uint32(seed))
        return cls(seed, state, carry, blank_action(brain))

    def act(self, brain: Brain, obs: np.ndarray) -> np.ndarray:
        """The next action, encoded, for the flat observation ``obs``."""
        self.close_step(brain, obs)
        observed = Observed(brain.leaves(obs), self.prev_action, self.prev_reward, self.first)
        action, carry, aux = brain.functions.act(
            brain.weights, self.state, self.carry, tuple(observed), np.uint32(self.seed), np.uint32(self.num_steps)
        )
        action = np.asarray(action)
        self.carry = carry
        self.open = Step(obs, self.prev_action, self.prev_reward, self.first, action, aux if brain.learns else [])
        self.num_steps += 1
        return action

    def observe(
        self, brain: Brain, reward: float, terminated: bool, truncated: bool, next_obs: np.ndarray | None
    ) -> None:
        """What the open step's action led to."""
        step = self.open
        assert step is not None
        step.reward, step.terminated, step.truncated = np.float32(reward), np.bool_(terminated), np.bool_(truncated)
        last = step.terminated | step.truncated
        self.prev_action, self.prev_reward, self.first = step.action, step.reward, last
        if next_obs is not None or last:
            # Where an episode ended unseen, its last known observation has to do.
            self.close_step(brain, step.obs if next_obs is None else next_obs)

    def close_step(self, brain: Brain, next_obs: np.ndarray) -> None:
        """Store the open step, if there is one, and learn when a block is full."""
        if self.open is None:
            return
        self.open.next_obs = next_obs
        if brain.learns:
            self.steps.append(self.open)
        self.open = None
        if len(self.steps) == brain.block_length * brain.num_streams:
            block = block_of(brain, self.steps).plain()
            self.state = brain.functions.update(
                brain.weights, self.state, block, np.uint32(self.seed), np.uint32(self.num_blocks)
            )
            self.steps = []
            self.num_blocks += 1


def blank_action(brain: Brain) -> np.ndarray:
    """The previous action at the start of a trial."""
    action = brain.layout.action
    return np.zeros(action.encoded_shape, np.float32 if action.num_actions is None else np.int32)


def block_of(brain: Brain, steps: list[Step]) -> Block:
    """Steps in the order in which they were taken, as N streams of T steps: ``[T, N, ...]``."""

    def column(values: Iterable[Any]) -> np.ndarray:
        stacked = np.stack([np.asarray(value) for value in values])
        return stacked.reshape((brain.num_streams, brain.block_length, *stacked.shape[1:])).swapaxes(0, 1)

    named = lambda name: column(getattr(step, name) for step in steps)
    terminated, truncated = named("terminated"), named("truncated")
    if brain.cut_streams:
        truncated[-1] = ~terminated[-1]
    return Block(
        Observed(brain.leaves(named("obs")), named("prev_action"), named("prev_reward"), named("first")),
        named("action"),
        named("reward"),
        brain.leaves(named("next_obs")),
        terminated,
        truncated,
        [column(leaves) for leaves in zip(*(step.aux for step in steps), strict=True)],
    )
