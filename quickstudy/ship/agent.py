"""The object that acts: one for every method, in which adaptation happens by itself."""

from pathlib import Path
from typing import Any, SupportsFloat

import numpy as np

from quickstudy.errors import InvalidArgument, OutOfOrder
from quickstudy.host.spaces import WrongShape
from quickstudy.ship.brain import Brain
from quickstudy.ship.session import Session
from quickstudy.ship.store import read_session, write_session


class Agent:
    """A trained agent, in the user's own loop.

    As in::

        agent = quickstudy.load("runs/…")
        agent.begin_task()
        action = agent.act(observation)                    # as the environment gives it, and takes it
        agent.observe(reward, terminated, truncated)
        agent.end_task()

    Memory, posterior and gradient steps go on by themselves: it learns from every step, across the episodes of the
    task, and updates after every ``block_length`` of them. `session` gives another agent with the same weights and a
    task of its own. `save` stores the agent with all that it has learned in the task.
    """

    def __init__(self, brain: Brain, session: Session | None = None):
        self._brain, self._session = brain, session

    @property
    def block_length(self) -> int:
        """Steps between two updates of what it has learned; methods that learn in their memory need none."""
        return self._brain.block_length * self._brain.num_streams

    @property
    def num_steps(self) -> int:
        """Actions in this task so far."""
        return 0 if self._session is None else self._session.num_steps

    def session(self) -> "Agent":
        """Another agent with the same weights and compiled functions, in no task yet."""
        return Agent(self._brain)

    def begin_task(self, seed: int = 0) -> None:
        """Forget the task before, if there was one, and begin another one; ``seed`` decides what is drawn in it.

        Raises:
            InvalidArgument: ``seed`` is no whole number in [0, 2³²).
        """
        if not isinstance(seed, int) or not 0 <= seed < 2**32:
            raise InvalidArgument(f"seed must be a whole number in [0, 2³²), got {seed!r}")
        self._session = Session.begin(self._brain, seed)

    def act(self, observation: Any) -> Any:
        """The action for an observation; both are as the environment knows them.

        Raises:
            OutOfOrder: no task has begun, or the action before has not been observed.
            InvalidArgument: the observation is none of the space that the agent was trained in.
        """
        session = self._in_task("act")
        if session.open is not None and session.open.reward is None:
            raise OutOfOrder("act was called twice: tell the agent first what came of its action, by observe")
        return self._brain.layout.action.decode(session.act(self._brain, self._encode(observation)))

    def observe(
        self,
        reward: SupportsFloat,
        terminated: bool | np.bool_,
        truncated: bool | np.bool_,
        observation: Any = None,
    ) -> None:
        """What came of the last action.

        Args:
            reward: what it earned.
            terminated: the task's end was reached: the future of this episode is worth nothing.
            truncated: a clock ended the episode.
            observation: what was seen after the action. At the end of an episode it is the only chance to show it; in
                the middle of one the next `act` shows it anyway.

        Raises:
            OutOfOrder: there is no action to observe.
            InvalidArgument: the reward is not finite, or the observation is none of the space.
        """
        session = self._in_task("observe")
        if session.open is None or session.open.reward is not None:
            raise OutOfOrder("observe was called without an action: call act first")
        if not np.isfinite(float(reward)):
            raise InvalidArgument(f"reward must be a finite number, got {reward!r}")
        next_obs = None if observation is None else self._encode(observation)
        session.observe(self._brain, float(reward), bool(terminated), bool(truncated), next_obs)

    def end_task(self) -> None:
        """Forget the task.

        Raises:
            OutOfOrder: no task has begun.
        """
        self._in_task("end_task")
        self._session = None

    def save(self, path: str | Path) -> None:
        """Store the agent in the directory ``path``: weights, description, and what it has learned if it is in a task.

        Raises:
            InvalidArgument: there is a file in the way, or something else than an agent.
        """
        path = Path(path)
        if path.is_file() or (path.is_dir() and any(path.iterdir()) and not (path / "weights.safetensors").exists()):
            raise InvalidArgument(f"{path} is in the way and holds no agent: choose another path")
        path.mkdir(parents=True, exist_ok=True)
        self._brain.write(path)
        write_session(path, self._session)

    def export(self, path: str | Path) -> None:
        """Write the agent to the directory ``path`` as StableHLO programs that need none of this library's methods.

        What it has learned in its task goes with it.

        Raises:
            InvalidArgument: there is a file in the way, or something else than an export.
        """
        from quickstudy.ship.export import export

        export(self._brain, Path(path))
        write_session(Path(path), self._session)

    @classmethod
    def restore(cls, brain: Brain, path: Path) -> "Agent":
        """An agent with the session that `save` stored in ``path``, if there is one."""
        return cls(brain, read_session(path))

    def _in_task(self, method: str) -> Session:
        if self._session is None:
            raise OutOfOrder(f"{method} was called outside of a task: call begin_task first")
        return self._session

    def _encode(self, observation: Any) -> np.ndarray:
        try:
            return self._brain.layout.obs.encode(observation)
        except WrongShape as error:
            raise InvalidArgument(f"observation {observation!r} does not fit: {error}") from error
