"""Dark rooms: larger grids in which the agent sees only where it stands, and finding out takes several episodes.

Source: Algorithm Distillation, Laskin et al. 2022 (arXiv:2210.14215); where an episode starts also agrees with the
reimplementation in the ``toymeta`` package (the middle in the dark room, anywhere in key-to-door).
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from quickstudy.algorithms.baselines.key_door_search import KeyDoorSampling
from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.envs.base import AbstractEnv
from quickstudy.envs.grid_geometry import MOVES, distance, move, one_hot_position
from quickstudy.envs.gridworld import Goals, GridEnv, cells_map, check_grid, goals_of, search_yardsticks
from quickstudy.envs.replay import grid_replay
from quickstudy.family import AbstractFamily, AbstractMappedFamily, AbstractYardstick, StateMap
from quickstudy.tasks.base import SplitName
from quickstudy.tasks.finite import FiniteTasks
from quickstudy.types import Budget, EnvStep, Spec, Trajectory
from quickstudy.yardsticks import ExactYardstick, PolicyYardstick

SHARES = (0.8, 0.1, 0.1)


class KeyDoor(NamedTuple):
    """A task of the key-to-door room: the cells of the key and of the door."""

    key: Int[Array, "*axes"]
    door: Int[Array, "*axes"]


class KeyDoorState(NamedTuple):
    """Where the agent stands, how many steps the episode has run, and what has been done in it."""

    cell: Int[Array, ""]
    time: Int[Array, ""]
    has_key: Bool[Array, ""]
    opened: Bool[Array, ""]


class KeyDoorEnv(AbstractEnv[KeyDoor, KeyDoorState]):
    """Find an invisible key, then an invisible door: reward 1 for each, once an episode, and 0 otherwise.

    The observation is the agent's x and y, each one-hot: it shows neither key nor door, nor whether the key is held. An
    episode starts in a uniformly random cell and lasts ``horizon`` steps. Key and door may share a cell; both are
    then paid at once.
    """

    size: int
    horizon: int

    @property
    def spec(self) -> Spec:
        obs = jax.ShapeDtypeStruct((2 * self.size,), jnp.float32)
        return Spec(obs, jax.ShapeDtypeStruct((), jnp.int32), len(MOVES))

    def reset(self, task: KeyDoor, *, key: Key[Array, ""]) -> tuple[KeyDoorState, Float[Array, " position"]]:
        del task
        cell = jax.random.randint(key, (), 0, self.size * self.size, jnp.int32)
        no = jnp.zeros((), bool)
        return KeyDoorState(cell, jnp.zeros((), jnp.int32), no, no), one_hot_position(cell, self.size)

    def step(
        self, task: KeyDoor, state: KeyDoorState, action: Int[Array, ""], *, key: Key[Array, ""]
    ) -> tuple[KeyDoorState, EnvStep]:
        del key
        cell = move(state.cell, action, self.size)
        has_key = state.has_key | (cell == task.key)
        opened = state.opened | (has_key & (cell == task.door))
        reward = (has_key & ~state.has_key).astype(jnp.float32) + (opened & ~state.opened)
        state = KeyDoorState(cell, state.time + 1, has_key, opened)
        return state, EnvStep(
            one_hot_position(cell, self.size), reward, jnp.zeros((), bool), state.time >= self.horizon
        )

    def goal_known_return(self, task: KeyDoor) -> Float[Array, ""]:
        """The expected return of an episode that goes straight to the key and then to the door, over its start."""
        to_key = jnp.maximum(distance(jnp.arange(self.size**2), task.key, self.size), 1)
        to_door = to_key + distance(task.key, task.door, self.size)
        return jnp.mean((to_key <= self.horizon).astype(jnp.float32) + (to_door <= self.horizon))


class DarkRoom(AbstractMappedFamily):
    """Find a hidden goal in a dark room, then return to it in every episode.

    Every episode starts in the middle of the room. Reward 1 for each step that ends on the goal, 0 otherwise; the goal
    does not end the episode. It is uniform over all cells, the middle included.

    The source measures on held-out tasks, so goals are dealt out to training, validation and test, 8 : 1 : 1 (shares
    of our choosing; ``goals="disjoint"``). This also asks the network to act on cells that it was never rewarded
    in; ``"shared"`` lets all splits draw from all cells, as grid navigation does. There is no
    split out of distribution: no cells are left for it.
    """

    size: int = 9
    """Cells along one side of the room."""
    horizon: int = 20
    """Steps in an episode."""
    num_episodes: int = 10  # pyright: ignore[reportIncompatibleMethodOverride]  (a field implements the property)
    """Episodes in a trial."""
    goals: Goals = "disjoint"
    """Whether training and test each have their own goals, or share all of them."""

    def __check_init__(self):
        check_grid(self.size, self.horizon, self.num_episodes, self.goals)

    @property
    def env(self) -> GridEnv:
        """The room, with the agent's start in the middle."""
        middle = self.size // 2 * (self.size + 1)
        return GridEnv(self.size, self.horizon, start=middle, goal_reward=1.0, step_reward=0.0)

    @property
    def budget(self) -> Budget:
        """One stream, one episode a block."""
        return Budget(num_blocks=self.num_episodes, block_length=self.horizon, num_streams=1)

    def distribution(self, split: SplitName) -> FiniteTasks:
        """Goals of ``split``, each as likely as the others; there are none for ``ood``."""
        return goals_of(FiniteTasks(jnp.arange(self.size**2, dtype=jnp.int32)), split, self.goals, SHARES)

    def yardsticks(self) -> tuple[AbstractYardstick, ...]:
        """Random, posterior sampling, goal known; in small rooms the Bayes optimum too."""
        return search_yardsticks(self.env, tuple(range(self.size**2)), self.budget)

    def task_features(self, task: Int[Array, ""]) -> Float[Array, " F"]:
        """Where the goal is, in the form that the agent's own place has."""
        return one_hot_position(task, self.size)

    def replay(self, task: Int[Array, ""], trajectory: Trajectory) -> dict[str, Any]:
        """The cells visited in every episode of one stream."""
        return grid_replay(self.size, {"start": self.env.start, "goal": int(task)}, trajectory)

    def state_map(self) -> StateMap:
        """The cells."""
        return cells_map(self.size)


class DarkKeyToDoor(AbstractFamily):
    """Find a hidden key and then a hidden door in a dark room, and from then on go straight to both.

    Reward 1 for the key and 1 for the door, once an episode, so that 2 is the most an episode can bring. Its start is
    random, and so are key and door, independently and uniformly over the cells: 81² tasks, dealt out to training,
    validation and test as in `DarkRoom`. The door does not end the episode, so that all episodes are of one length.

    A random start makes goal-known a mean over starts; what a policy brings in one trial scatters about it.
    """

    size: int = 9
    """Cells along one side of the room."""
    horizon: int = 50
    """Steps in an episode."""
    num_episodes: int = 10  # pyright: ignore[reportIncompatibleMethodOverride]  (a field implements the property)
    """Episodes in a trial."""
    goals: Goals = "disjoint"
    """Whether training and test each have their own pairs of key and door, or share all of them."""

    def __check_init__(self):
        check_grid(self.size, self.horizon, self.num_episodes, self.goals)

    @property
    def env(self) -> KeyDoorEnv:
        """The room."""
        return KeyDoorEnv(self.size, self.horizon)

    @property
    def budget(self) -> Budget:
        """One stream, one episode a block."""
        return Budget(num_blocks=self.num_episodes, block_length=self.horizon, num_streams=1)

    def distribution(self, split: SplitName) -> FiniteTasks:
        """Pairs of key and door of ``split``, each as likely as the others; there are none for ``ood``."""
        pair = jnp.arange(self.size**4, dtype=jnp.int32)
        return goals_of(FiniteTasks(KeyDoor(pair // self.size**2, pair % self.size**2)), split, self.goals, SHARES)

    def yardsticks(self) -> tuple[AbstractYardstick, ...]:
        """Random, posterior sampling (redrawn when a cell proves empty), goal known."""
        env, budget, episodes = self.env, self.budget, self.num_episodes
        return (
            PolicyYardstick("random", RandomLearner.for_spec(env.spec), env, budget, episodes),
            PolicyYardstick("posterior sampling, redrawn", KeyDoorSampling(self.size), env, budget, episodes),
            ExactYardstick("goal known", env.goal_known_return, episodes),
        )

    def task_features(self, task: KeyDoor) -> Float[Array, " F"]:
        """Where the key and the door are, in the form that the agent's own place has."""
        return jnp.concatenate([one_hot_position(cell, self.size) for cell in task])

    def replay(self, task: KeyDoor, trajectory: Trajectory) -> dict[str, Any]:
        """The cells visited in every episode of one stream."""
        marks = [{"cell": int(task.key), "label": "key"}, {"cell": int(task.door), "label": "door"}]
        return grid_replay(self.size, {"marks": marks}, trajectory)
