"""A car too weak for the hill before it: `MountainCarContinuous-v0` of Gymnasium, with physics that differ.

With the position x, the velocity v (in m a step), the engine's power p, gravity g and the action a::

    v ← clip(v + p a − g cos(3 x), −.07, .07)
    x ← clip(x + v, −1.2, .6),  v ← 0 at the left end if it points outwards
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from quickstudy.envs.base import AbstractObservedEnv
from quickstudy.envs.control.family import AbstractControl, Controller, Design
from quickstudy.envs.control.physics import PhysicalTasks, Scale
from quickstudy.envs.replay import episode_paths, plain
from quickstudy.errors import require_positive, require_within
from quickstudy.planning.shooting import Planner
from quickstudy.types import EnvStep, Spec, Trajectory

LOW, HIGH, GOAL = -1.2, 0.6, 0.45
"""Ends of the road and where the goal begins, in m (Gymnasium)."""
MAX_SPEED = 0.07
"""In m a step (Gymnasium)."""
PRIZE, FUEL = 100.0, 0.1
"""Paid at the goal, and charged for the square of every action (Gymnasium)."""


class MountainCarTask(NamedTuple):
    """The physics of a car on a hill.

    Attributes:
        power: p of the engine, in m/step²; negative where it is wired backwards.
        gravity: g, in m/step².
    """

    power: Float[Array, "*axes"]
    gravity: Float[Array, "*axes"]


class MountainCarState(NamedTuple):
    """``motion`` is position (m) and velocity (m/step); ``time`` counts the episode's steps."""

    motion: Float[Array, " 2"]
    time: Int[Array, ""]


class MountainCarEnv(AbstractObservedEnv[MountainCarTask, MountainCarState]):
    """Pays 100 at the goal, which ends the episode, and charges .1 a² for every action.

    The action is a share of the engine's power, clipped to [-1, 1] before it is charged for. The observation is the
    motion. An episode starts at rest between −.6 and −.4, around the bottom of the valley; the clock ends it after
    ``horizon`` steps.
    """

    horizon: int

    @property
    def spec(self) -> Spec:
        return Spec(jax.ShapeDtypeStruct((2,), jnp.float32), jax.ShapeDtypeStruct((1,), jnp.float32), None)

    def reset(self, task: MountainCarTask, *, key: Key[Array, ""]) -> tuple[MountainCarState, Float[Array, " 2"]]:
        del task
        motion = jnp.stack([jax.random.uniform(key, minval=-0.6, maxval=-0.4), jnp.zeros(())])
        return self.state_at(motion), motion

    def step(
        self, task: MountainCarTask, state: MountainCarState, action: Float[Array, " 1"], *, key: Key[Array, ""]
    ) -> tuple[MountainCarState, EnvStep]:
        del key
        share = jnp.clip(action[0], -1.0, 1.0)
        motion = drive(task, state.motion, share)
        state = MountainCarState(motion, state.time + 1)
        reached = (motion[0] >= GOAL) & (motion[1] >= 0.0)
        reward = PRIZE * reached - FUEL * jnp.square(share)
        return state, EnvStep(motion, reward, reached, state.time >= self.horizon)

    def state_at(self, obs: Float[Array, " 2"]) -> MountainCarState:
        return MountainCarState(obs, jnp.zeros((), jnp.int32))

    def rocking(self, task: MountainCarTask) -> Controller:
        """Full power the way the car moves, whichever way the engine is wired: every swing goes higher."""

        def control(obs: Float[Array, " 2"]) -> Float[Array, " 1"]:
            return jnp.where(obs[1:] >= 0, 1.0, -1.0) * jnp.sign(task.power)

        return control


def drive(task: MountainCarTask, motion: Float[Array, " 2"], share: Float[Array, ""]) -> Float[Array, " 2"]:
    """The motion one step later, under a share of the engine's power."""
    position, velocity = motion
    velocity = velocity + task.power * share - task.gravity * jnp.cos(3 * position)
    velocity = jnp.clip(velocity, -MAX_SPEED, MAX_SPEED)
    position = jnp.clip(position + velocity, LOW, HIGH)
    return jnp.stack([position, jnp.where((position <= LOW) & (velocity < 0), 0.0, velocity)])


class MountainCar(AbstractControl):
    """Rock a car out of its valley: the engine's power and sign, and gravity differ.

    Dynamics, reward and starts are those of Gymnasium's `MountainCarContinuous-v0`, whose episodes have at most 999
    steps. The reward is sparse, and so hard to find: random actions all but never reach the goal, and standing still
    costs least.
    """

    horizon: int = 300
    """Steps in an episode, unless the goal is reached."""
    num_episodes: int = 4  # pyright: ignore[reportIncompatibleMethodOverride]  (a field implements the property)
    """Episodes in a trial."""
    spread: float = 1.5
    """Power and gravity lie within this factor of Gymnasium's."""
    flips: bool = True
    """Whether the engine is wired backwards in half of the tasks."""

    def __check_init__(self):
        require_positive(horizon=self.horizon, num_episodes=self.num_episodes)
        require_within("(1, inf)", self, "spread")

    @property
    def env(self) -> MountainCarEnv:
        """The car."""
        return MountainCarEnv(self.horizon)

    @property
    def physics(self) -> PhysicalTasks[MountainCarTask]:
        """The parameters that differ."""
        parameters = {"power": Scale(0.0015, self.spread, self.flips), "gravity": Scale(0.0025, self.spread)}
        return PhysicalTasks(MountainCarTask, parameters)

    @property
    def planner(self) -> Planner:
        """Model predictive path integrals."""
        return Planner(horizon=120, num_iterations=1, spread=0.8, correlation=0.95)

    @property
    def controller(self) -> tuple[str, Design]:
        """Full power the way the car moves: it always arrives, but a frugal driver would pay less."""
        return "rocking, engine known", self.env.rocking

    def replay(self, task: MountainCarTask, trajectory: Trajectory) -> dict[str, Any]:
        """Where the car was in every episode of one stream."""
        del task
        episodes = [{"places": plain(path[:, 0]), "rewards": rewards} for path, rewards in episode_paths(trajectory)]
        return {"kind": "hill", "ends": [LOW, HIGH], "goal": GOAL, "episodes": episodes}
