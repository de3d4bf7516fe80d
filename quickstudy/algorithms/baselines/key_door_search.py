"""Posterior sampling for the dark key-to-door room: search for the key, then for the door, then go straight to both."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from quickstudy.algorithms.baselines.goal_search import UNKNOWN, Belief
from quickstudy.envs.grid_geometry import cell_of, move, move_towards
from quickstudy.learner import AbstractLearner
from quickstudy.types import Info, TimeStep, Trajectory


class KeyDoorCarry(NamedTuple):
    """What one stream remembers.

    Attributes:
        cell: where the last action led; `UNKNOWN` before the first.
        has_key: whether the key was found in this episode.
        opened: whether the door was opened in this episode.
        key: where the key may be.
        door: where the door may be.
    """

    cell: Int[Array, ""]
    has_key: Bool[Array, ""]
    opened: Bool[Array, ""]
    key: Belief
    door: Belief


class KeyDoorSampling(AbstractLearner[None, None, KeyDoorCarry]):
    """Walks to where a posterior draw puts the key, then to where one puts the door; draws anew when it was not there.

    Key and door are each uniform over all cells. Without the key, a cell says nothing about the door.
    """

    size: int
    """Cells along one side of the room."""

    def init(self, params: None, *, key: Key[Array, ""]) -> None:
        """No state: what is known lives in the carry."""
        del params, key

    def init_carry(self, params: None) -> KeyDoorCarry:
        """Key and door may be anywhere."""
        del params
        unknown, no = jnp.asarray(UNKNOWN, jnp.int32), jnp.zeros((), bool)
        anywhere = Belief(self._everywhere(), unknown)
        return KeyDoorCarry(unknown, no, no, anywhere, anywhere)

    def act(
        self, params: None, state: None, carry: KeyDoorCarry, timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Int[Array, ""], KeyDoorCarry, None]:
        """One move towards the key, or the door once the key is held; stay when both are done."""
        del params, state
        k_key, k_door, k_move = jax.random.split(key, 3)
        carry = _learn(carry, timestep.prev_reward)
        carry = carry._replace(
            has_key=carry.has_key & ~timestep.first,
            opened=carry.opened & ~timestep.first,
            key=carry.key.draw(self._everywhere(), timestep.first | carry.key.missed, key=k_key),
            door=carry.door.draw(self._everywhere(), timestep.first | carry.door.missed, key=k_door),
        )
        here = cell_of(timestep.obs)
        target = jnp.where(carry.has_key, carry.door.target, carry.key.target)
        action = move_towards(here, jnp.where(carry.opened, here, target), self.size, key=k_move)
        return action, carry._replace(cell=move(here, action, self.size)), None

    def update(self, params: None, state: None, trajectory: Trajectory, *, key: Key[Array, ""]) -> tuple[None, Info]:
        """Nothing to do: the carry has learned already."""
        del params, state, trajectory, key
        return None, {}

    def _everywhere(self) -> Bool[Array, " cells"]:
        return jnp.ones(self.size * self.size, bool)


def _learn(carry: KeyDoorCarry, prev_reward: Float[Array, ""]) -> KeyDoorCarry:
    """What the last reward says about the cell that it was paid on: 1 each for the key and for the door."""
    looked = carry.cell != UNKNOWN
    key_found = looked & ~carry.has_key & (prev_reward > 0.5)
    has_key = carry.has_key | key_found
    door_found = looked & has_key & (prev_reward > jnp.where(key_found, 1.5, 0.5))
    return carry._replace(
        has_key=has_key,
        opened=carry.opened | door_found,
        key=carry.key.observe(carry.cell, looked & ~carry.has_key, key_found),
        door=carry.door.observe(carry.cell, looked & has_key & ~carry.opened, door_found),
    )
