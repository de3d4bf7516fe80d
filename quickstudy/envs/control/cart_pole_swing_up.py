"""A cart that must swing its pole up: the equations of `quickstudy.envs.control.cart_pole`, from the hanging pole.

Steps are semi-implicit (velocities first, and positions by the new velocities), as Gymnasium's cart-pole offers them:
under Euler's method a hanging pole gains energy from the error of the steps alone and swings up by itself.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from quickstudy.envs.base import AbstractObservedEnv
from quickstudy.envs.control.cart_pole import (
    GRAVITY,
    JITTER,
    SECONDS,
    CartPoleState,
    CartPoleTask,
    accelerations,
    cart_scene,
    physics,
)
from quickstudy.envs.control.family import AbstractControl, Controller, Design
from quickstudy.envs.control.physics import PhysicalTasks
from quickstudy.envs.replay import episode_paths, plain
from quickstudy.errors import require_positive, require_within
from quickstudy.planning.linear_quadratic import regulator
from quickstudy.planning.shooting import Planner
from quickstudy.types import EnvStep, Spec, Trajectory

TRACK = 4.8
"""The cart may be at most this far from the middle, in m: twice as far as a cart that balances."""

# The controller's numbers: the best on validation tasks among twice and half of each.
PLACE_COST = 0.0125
"""Of a squared metre from the middle, where that of a squared radian of tilt is 1 and that of a full push 1."""
CATCH = (1.2, 2.0)
"""The regulator takes over within this tilt (radians), if it asks for at most so many times the motor's force."""
PUMP, SHARPNESS, EAGERNESS = 2.0, 8.0, 6.0
"""Largest acceleration of the cart that pumps, and how fast it grows with the pole's speed and the missing energy."""
CENTRE = (0.3, 0.6)
"""Acceleration back to the middle, for the cart's place and its speed."""


def semi_implicit_step(task: CartPoleTask, motion: Float[Array, " 4"], push: Float[Array, ""]) -> Float[Array, " 4"]:
    """The motion one step later: both positions move by the new velocities."""
    place, speed, angle, turning = motion
    acceleration, turn = accelerations(task, motion, push)
    speed, turning = speed + SECONDS * acceleration, turning + SECONDS * turn
    return jnp.stack([place + SECONDS * speed, speed, angle + SECONDS * turning, turning])


class SwingUpEnv(AbstractObservedEnv[CartPoleTask, CartPoleState]):
    """Pays (1 + cos θ) / 2 for every step, θ after it: 1 upright, 0 hanging. Ends when the cart leaves its track.

    The action is a share of the motor's force, in [-1, 1]. The observation is x, ẋ, cos θ, sin θ, θ̇. An episode
    starts with the pole hanging, every number of the motion uniform within `JITTER` of rest; the clock ends it after
    ``horizon`` steps.
    """

    horizon: int

    @property
    def spec(self) -> Spec:
        return Spec(jax.ShapeDtypeStruct((5,), jnp.float32), jax.ShapeDtypeStruct((1,), jnp.float32), None)

    def reset(self, task: CartPoleTask, *, key: Key[Array, ""]) -> tuple[CartPoleState, Float[Array, " 5"]]:
        del task
        hanging = jnp.array([0.0, 0.0, jnp.pi, 0.0])
        motion = hanging + jax.random.uniform(key, (4,), minval=-JITTER, maxval=JITTER)
        return CartPoleState(motion, jnp.zeros((), jnp.int32)), shown(motion)

    def step(
        self, task: CartPoleTask, state: CartPoleState, action: Float[Array, " 1"], *, key: Key[Array, ""]
    ) -> tuple[CartPoleState, EnvStep]:
        del key
        motion = semi_implicit_step(task, state.motion, jnp.clip(action[0], -1.0, 1.0))
        state = CartPoleState(motion, state.time + 1)
        reward = (1.0 + jnp.cos(motion[2])) / 2
        return state, EnvStep(shown(motion), reward, jnp.abs(motion[0]) > TRACK, state.time >= self.horizon)

    def state_at(self, obs: Float[Array, " 5"]) -> CartPoleState:
        return CartPoleState(motion_at(obs), jnp.zeros((), jnp.int32))

    def swing_up(self, task: CartPoleTask) -> Controller:
        """Pumps energy into the pole, its physics known, and catches it upright by the linear-quadratic regulator."""
        step = lambda motion, push: semi_implicit_step(task, motion, push[0])
        gain, _ = regulator(step, jnp.array([PLACE_COST, 0.0, 1.0, 0.0]), jnp.ones(1))

        def control(obs: Float[Array, " 5"]) -> Float[Array, " 1"]:
            motion = motion_at(obs)
            catch = -gain @ motion
            near = (jnp.abs(motion[2]) < CATCH[0]) & (jnp.abs(catch[0]) < CATCH[1])
            return jnp.where(near, catch, pumping_push(task, motion))

        return control


def pumping_push(task: CartPoleTask, motion: Float[Array, " 4"]) -> Float[Array, " 1"]:
    """A push that brings the pole's energy to that of the upright pole at rest (Åström & Furuta 2000).

    With ω² = 3 g / (4 l), the energy is ``E = θ̇² / (4 ω²) + (cos θ − 1) / 2``, from −1 hanging to 0 upright. A cart
    that accelerates by a changes it in proportion to ``−a θ̇ cos θ``, so a has the sign of ``E θ̇ cos θ``, and a pull
    back to the middle is added; distances count in metres, times in 1 / ω. The push that accelerates the cart by a
    follows from the equations of motion.
    """
    place, speed, angle, turning = motion
    rate = jnp.sqrt(0.75 * GRAVITY / task.half_length)
    energy = jnp.square(turning / rate) / 4 + (jnp.cos(angle) - 1) / 2
    swing = jnp.clip(SHARPNESS * turning * jnp.cos(angle) / rate, -1.0, 1.0)
    wish = PUMP * jnp.clip(EAGERNESS * energy, -1.0, 1.0) * swing - CENTRE[0] * place - CENTRE[1] * speed / rate
    idle, pushed = (accelerations(task, motion, jnp.asarray(push))[0] for push in (0.0, 1.0))
    return jnp.clip((wish * jnp.square(rate) - idle) / (pushed - idle), -1.0, 1.0)[None]


def shown(motion: Float[Array, " 4"]) -> Float[Array, " 5"]:
    """What is observed of a motion: the angle as its cosine and sine."""
    place, speed, angle, turning = motion
    return jnp.stack([place, speed, jnp.cos(angle), jnp.sin(angle), turning])


def motion_at(obs: Float[Array, " 5"]) -> Float[Array, " 4"]:
    """The motion that is observed so, its angle between −π and π."""
    place, speed, cos, sin, turning = obs
    return jnp.stack([place, speed, jnp.arctan2(sin, cos), turning])


class CartPoleSwingUp(AbstractControl):
    """Swing a hanging pole up and keep it there: masses, length, the motor's force and sign, and friction differ."""

    horizon: int = 250
    """Steps in an episode, unless the cart leaves its track."""
    num_episodes: int = 4  # pyright: ignore[reportIncompatibleMethodOverride]  (a field implements the property)
    """Episodes in a trial."""
    spread: float = 1.5
    """Masses, length and force lie within this factor of Gymnasium's."""
    flips: bool = True
    """Whether the motor is wired backwards in half of the tasks."""

    def __check_init__(self):
        require_positive(horizon=self.horizon, num_episodes=self.num_episodes)
        require_within("(1, inf)", self, "spread")

    @property
    def env(self) -> SwingUpEnv:
        """The cart."""
        return SwingUpEnv(self.horizon)

    @property
    def physics(self) -> PhysicalTasks[CartPoleTask]:
        """The parameters that differ."""
        return physics(self.spread, self.flips)

    @property
    def planner(self) -> Planner:
        """Model predictive path integrals."""
        return Planner(horizon=60, num_iterations=1, correlation=0.95)

    @property
    def controller(self) -> tuple[str, Design]:
        """Good, but not the best that there is."""
        return "swing-up, physics known", self.env.swing_up

    def replay(self, task: CartPoleTask, trajectory: Trajectory) -> dict[str, Any]:
        """Where cart and pole were in every episode of one stream."""
        episodes = [
            {"motion": plain(np.stack([path[:, 0], np.arctan2(path[:, 3], path[:, 2])], axis=1)), "rewards": rewards}
            for path, rewards in episode_paths(trajectory)
        ]
        return cart_scene(task, TRACK, episodes)
