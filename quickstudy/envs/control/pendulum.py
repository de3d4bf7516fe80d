"""A pendulum to swing up and hold: `Pendulum-v1` of Gymnasium, with physics that differ.

With the angle θ (0 upright), the torque u and a rod of mass m and length l under gravity g, velocities first::

    θ̇ ← clip(θ̇ + (3 g / (2 l) sin θ + 3 / (m l²) u) dt, −θ̇_max, θ̇_max)
    θ ← θ + θ̇ dt
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from quickstudy.envs.base import AbstractObservedEnv
from quickstudy.envs.control.family import AbstractControl, Controller, Design
from quickstudy.envs.control.physics import PhysicalTasks, Scale
from quickstudy.envs.replay import episode_paths, plain
from quickstudy.errors import require_positive, require_within
from quickstudy.planning.linear_quadratic import regulator
from quickstudy.planning.shooting import Planner
from quickstudy.types import EnvStep, Spec, Trajectory

SECONDS = 0.05
"""Of a step (Gymnasium)."""
COMMAND = 2.0
"""The torque that an action of 1 asks for, in N m, and that its cost is charged for (Gymnasium's largest)."""
COSTS = (1.0, 0.1, 0.001)
"""Of the squared angle, speed and asked-for torque (Gymnasium)."""
MAX_SPEED = 8.0
"""In rad/s, at default physics (Gymnasium)."""

# The controller's numbers: the best on validation tasks among twice and half of each.
CATCH = (0.6, 8.0)
"""The regulator takes over within this angle (radians), if it asks for at most so many times the largest torque."""
EAGERNESS = 40.0
"""How fast the pumping torque grows with speed and missing energy."""


class PendulumTask(NamedTuple):
    """The physics of a pendulum.

    Attributes:
        mass: m, in kg.
        length: l, in m.
        gravity: g, in m/s².
        torque: of an action of 1, in N m; negative where the motor is wired backwards.
    """

    mass: Float[Array, "*axes"]
    length: Float[Array, "*axes"]
    gravity: Float[Array, "*axes"]
    torque: Float[Array, "*axes"]


class PendulumState(NamedTuple):
    """``motion`` is θ (rad) and θ̇ (rad/s); ``time`` counts the episode's steps."""

    motion: Float[Array, " 2"]
    time: Int[Array, ""]


def swing(task: PendulumTask, motion: Float[Array, " 2"], action: Float[Array, ""]) -> Float[Array, " 2"]:
    """The motion one step later. The speed limit is Gymnasium's 8 rad/s, in proportion to √(g / l).

    A pendulum that falls from upright to hanging gets √(6 g / l) fast, 97 % of Gymnasium's limit: a limit that did not
    grow with it would make some tasks impossible.
    """
    angle, turning = motion
    limit = MAX_SPEED * jnp.sqrt(task.gravity / (10.0 * task.length))
    inertia = task.mass * jnp.square(task.length) / 3
    turn = 3 * task.gravity / (2 * task.length) * jnp.sin(angle) + task.torque * action / inertia
    turning = jnp.clip(turning + SECONDS * turn, -limit, limit)
    return jnp.stack([angle + SECONDS * turning, turning])


class PendulumEnv(AbstractObservedEnv[PendulumTask, PendulumState]):
    """Pays ``−(θ² + .1 θ̇² + .001 u²)``, of θ between −π and π and θ̇ before the step and the torque u asked for.

    The action is a share of the largest torque, in [-1, 1]. The observation is cos θ, sin θ, θ̇. An episode starts
    anywhere, at a speed of at most 1 rad/s; only the clock ends it, after ``horizon`` steps.
    """

    horizon: int

    @property
    def spec(self) -> Spec:
        return Spec(jax.ShapeDtypeStruct((3,), jnp.float32), jax.ShapeDtypeStruct((1,), jnp.float32), None)

    def reset(self, task: PendulumTask, *, key: Key[Array, ""]) -> tuple[PendulumState, Float[Array, " 3"]]:
        del task
        motion = jnp.array([jnp.pi, 1.0]) * jax.random.uniform(key, (2,), minval=-1.0)
        return PendulumState(motion, jnp.zeros((), jnp.int32)), shown(motion)

    def step(
        self, task: PendulumTask, state: PendulumState, action: Float[Array, " 1"], *, key: Key[Array, ""]
    ) -> tuple[PendulumState, EnvStep]:
        del key
        action = jnp.clip(action, -1.0, 1.0)
        angle, turning = motion_at(shown(state.motion))
        costs = jnp.square(jnp.stack([angle, turning, COMMAND * action[0]]))
        state = PendulumState(swing(task, state.motion, action[0]), state.time + 1)
        ended = state.time >= self.horizon
        return state, EnvStep(shown(state.motion), -jnp.dot(jnp.array(COSTS), costs), jnp.zeros((), bool), ended)

    def state_at(self, obs: Float[Array, " 3"]) -> PendulumState:
        return PendulumState(motion_at(obs), jnp.zeros((), jnp.int32))

    def swing_up(self, task: PendulumTask) -> Controller:
        """Pumps energy into the pendulum, its physics known, and holds it upright by the linear-quadratic regulator.

        The energy is ``E = l θ̇² / (6 g) + (cos θ − 1) / 2``, from −1 hanging to 0 upright; a torque against ``E θ̇``
        brings it to 0. The regulator's costs are those of the reward.
        """
        step = lambda motion, action: swing(task, motion, action[0])
        gain, _ = regulator(step, jnp.array(COSTS[:2]), jnp.array([COSTS[2] * COMMAND**2]))

        def control(obs: Float[Array, " 3"]) -> Float[Array, " 1"]:
            motion = motion_at(obs)
            energy = task.length * jnp.square(motion[1]) / (6 * task.gravity) + (jnp.cos(motion[0]) - 1) / 2
            hold, pump = -gain @ motion, -EAGERNESS * energy * motion[1:] * jnp.sign(task.torque)
            near = (jnp.abs(motion[0]) < CATCH[0]) & (jnp.abs(hold[0]) < CATCH[1])
            return jnp.clip(jnp.where(near, hold, pump), -1.0, 1.0)

        return control


def shown(motion: Float[Array, " 2"]) -> Float[Array, " 3"]:
    """What is observed of a motion: the angle as its cosine and sine."""
    angle, turning = motion
    return jnp.stack([jnp.cos(angle), jnp.sin(angle), turning])


def motion_at(obs: Float[Array, " 3"]) -> Float[Array, " 2"]:
    """The motion that is observed so, its angle between −π and π."""
    cos, sin, turning = obs
    return jnp.stack([jnp.arctan2(sin, cos), turning])


class Pendulum(AbstractControl):
    """Swing a pendulum up and hold it: mass, length, gravity, and the motor's torque and sign differ.

    Dynamics, reward and starts are those of Gymnasium's `Pendulum-v1`.
    """

    horizon: int = 200
    """Steps in an episode."""
    num_episodes: int = 4  # pyright: ignore[reportIncompatibleMethodOverride]  (a field implements the property)
    """Episodes in a trial."""
    spread: float = 1.5
    """Mass, length, gravity and torque lie within this factor of Gymnasium's."""
    flips: bool = True
    """Whether the motor is wired backwards in half of the tasks."""

    def __check_init__(self):
        require_positive(horizon=self.horizon, num_episodes=self.num_episodes)
        require_within("(1, inf)", self, "spread")

    @property
    def env(self) -> PendulumEnv:
        """The pendulum."""
        return PendulumEnv(self.horizon)

    @property
    def physics(self) -> PhysicalTasks[PendulumTask]:
        """The parameters that differ."""
        parameters = {
            "mass": Scale(1.0, self.spread),
            "length": Scale(1.0, self.spread),
            "gravity": Scale(10.0, self.spread),
            "torque": Scale(COMMAND, self.spread, self.flips),
        }
        return PhysicalTasks(PendulumTask, parameters)

    @property
    def planner(self) -> Planner:
        """Model predictive path integrals."""
        return Planner(horizon=35, num_iterations=1, correlation=0.7)

    @property
    def controller(self) -> tuple[str, Design]:
        """Good, but not the best that there is."""
        return "swing-up, physics known", self.env.swing_up

    def replay(self, task: PendulumTask, trajectory: Trajectory) -> dict[str, Any]:
        """The angles (rad, counter-clockwise from upright) of every episode of one stream."""
        episodes = [
            {"angles": plain(np.arctan2(path[:, 1], path[:, 0])), "rewards": rewards}
            for path, rewards in episode_paths(trajectory)
        ]
        return {"kind": "pendulum", "length": plain(task.length), "episodes": episodes}
