"""A cart that must keep its pole upright: `CartPole-v1` of Gymnasium, with physics that differ.

With the cart at x, the pole's angle θ (0 upright, positive to the right), the force F on the cart, m = m_c + m_p and
half the pole's length l::

    f = (F − μ_c ẋ + m_p l θ̇² sin θ) / m
    θ̈ = (g sin θ − f cos θ − μ_p θ̇ / (m_p l)) / (l (4/3 − m_p cos² θ / m))
    ẍ = f − m_p l θ̈ cos θ / m

Source: Barto, Sutton & Anderson 1983, with friction of the cart in proportion to its speed; Gymnasium has none.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from quickstudy.envs.base import AbstractObservedEnv
from quickstudy.envs.control.family import AbstractControl, Controller, Design
from quickstudy.envs.control.physics import Friction, PhysicalTasks, Scale
from quickstudy.envs.replay import episode_paths, plain
from quickstudy.errors import require_positive, require_within
from quickstudy.family import AbstractYardstick
from quickstudy.planning.linear_quadratic import regulator
from quickstudy.planning.shooting import Planner
from quickstudy.types import EnvStep, Spec, Trajectory
from quickstudy.yardsticks import ExactYardstick

GRAVITY = 9.8
"""g, in m/s² (Gymnasium)."""
SECONDS = 0.02
"""Of a step (Gymnasium)."""
TRACK = 2.4
"""The cart may be at most this far from the middle, in m (Gymnasium)."""
TILT = 12 * 2 * jnp.pi / 360
"""The pole may lean at most this far, in radians (Gymnasium: 12°)."""
JITTER = 0.05
"""Every number of the state starts uniform within this of rest (Gymnasium)."""


class CartPoleTask(NamedTuple):
    """The physics of a cart with a pole.

    Attributes:
        cart_mass: m_c, in kg.
        pole_mass: m_p, in kg.
        half_length: l, from the hinge to the middle of the pole, in m.
        force: of a push to the right, in N; negative where the motor is wired backwards.
        cart_friction: μ_c, in N per m/s.
        hinge_friction: μ_p, in N m per rad/s.
    """

    cart_mass: Float[Array, "*axes"]
    pole_mass: Float[Array, "*axes"]
    half_length: Float[Array, "*axes"]
    force: Float[Array, "*axes"]
    cart_friction: Float[Array, "*axes"]
    hinge_friction: Float[Array, "*axes"]


class CartPoleState(NamedTuple):
    """``motion`` is x (m), ẋ (m/s), θ (rad), θ̇ (rad/s); ``time`` counts the episode's steps."""

    motion: Float[Array, " 4"]
    time: Int[Array, ""]


def physics(spread: float, flips: bool) -> PhysicalTasks[CartPoleTask]:
    """Masses, length and force within a factor of ``spread`` of Gymnasium's, friction of cart and hinge from none."""
    parameters = {
        "cart_mass": Scale(1.0, spread),
        "pole_mass": Scale(0.1, spread),
        "half_length": Scale(0.5, spread),
        "force": Scale(10.0, spread, flips),
        "cart_friction": Friction(0.5),
        "hinge_friction": Friction(0.005),
    }
    return PhysicalTasks(CartPoleTask, parameters)


def accelerations(
    task: CartPoleTask, motion: Float[Array, " 4"], push: Float[Array, ""]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """ẍ and θ̈ under a push of −1 to 1 times the motor's force."""
    _, speed, angle, turning = motion
    sin, cos = jnp.sin(angle), jnp.cos(angle)
    mass, moment = task.cart_mass + task.pole_mass, task.pole_mass * task.half_length
    pull = (task.force * push - task.cart_friction * speed + moment * jnp.square(turning) * sin) / mass
    drive = GRAVITY * sin - cos * pull - task.hinge_friction * turning / moment
    turn = drive / (task.half_length * (4.0 / 3.0 - task.pole_mass * jnp.square(cos) / mass))
    return pull - moment * turn * cos / mass, turn


def euler_step(task: CartPoleTask, motion: Float[Array, " 4"], push: Float[Array, ""]) -> Float[Array, " 4"]:
    """The motion one step later: both positions move by the old velocities."""
    acceleration, turn = accelerations(task, motion, push)
    return motion + SECONDS * jnp.stack([motion[1], acceleration, motion[3], turn])


class CartPoleEnv(AbstractObservedEnv[CartPoleTask, CartPoleState]):
    """Pays 1 for every step and ends when the cart leaves its track or the pole leans too far.

    Action 1 pushes to the right with the motor's full force, action 0 to the left; a ``continuous`` one pushes with
    its share of the force. The observation is the motion. The clock ends an episode after ``horizon`` steps.
    """

    horizon: int
    continuous: bool

    @property
    def spec(self) -> Spec:
        obs = jax.ShapeDtypeStruct((4,), jnp.float32)
        if self.continuous:
            return Spec(obs, jax.ShapeDtypeStruct((1,), jnp.float32), None)
        return Spec(obs, jax.ShapeDtypeStruct((), jnp.int32), 2)

    def reset(self, task: CartPoleTask, *, key: Key[Array, ""]) -> tuple[CartPoleState, Float[Array, " 4"]]:
        del task
        motion = jax.random.uniform(key, (4,), minval=-JITTER, maxval=JITTER)
        return self.state_at(motion), motion

    def step(
        self, task: CartPoleTask, state: CartPoleState, action: Array, *, key: Key[Array, ""]
    ) -> tuple[CartPoleState, EnvStep]:
        del key
        push = jnp.clip(action[0], -1.0, 1.0) if self.continuous else 2.0 * action - 1.0
        state = CartPoleState(euler_step(task, state.motion, push), state.time + 1)
        return state, EnvStep(state.motion, jnp.ones(()), self._fell(state.motion), state.time >= self.horizon)

    def state_at(self, obs: Float[Array, " 4"]) -> CartPoleState:
        return CartPoleState(obs, jnp.zeros((), jnp.int32))

    def balanced_return(self, task: CartPoleTask) -> Float[Array, ""]:
        """The return of an episode that only the clock ends: the best there is."""
        del task
        return jnp.asarray(self.horizon, jnp.float32)

    def regulator(self, task: CartPoleTask) -> Controller:
        """The linear-quadratic regulator of the upright pole; of two pushes, the one that leaves less to do."""
        step = lambda motion, push: euler_step(task, motion, push[0])
        # The end of the track, or half the tilt that ends an episode, costs as much as a full push.
        gain, value = regulator(step, jnp.array([1 / TRACK**2, 0.0, 4 / TILT**2, 0.0]), jnp.ones(1))
        if self.continuous:
            return lambda obs: -gain @ obs
        ahead = jax.vmap(lambda obs, push: euler_step(task, obs, push), in_axes=(None, 0))

        def choose(obs: Float[Array, " 4"]) -> Int[Array, ""]:
            motions = ahead(obs, jnp.array([-1.0, 1.0]))
            return jnp.argmin(jnp.einsum("ai,ij,aj->a", motions, value, motions)).astype(jnp.int32)

        return choose

    def _fell(self, motion: Float[Array, " 4"]) -> Bool[Array, ""]:
        return (jnp.abs(motion[0]) > TRACK) | (jnp.abs(motion[2]) > TILT)


class CartPole(AbstractControl):
    """Keep a pole upright on a cart: masses, length, the motor's force and its sign, and friction differ.

    Dynamics, reward and limits are those of Gymnasium's `CartPole-v1`, whose episodes have 500 steps. A motor that is
    wired backwards makes the difference: what keeps the pole upright in one task throws it down in another.
    """

    horizon: int = 200
    """Steps in an episode, unless the pole falls."""
    num_episodes: int = 4  # pyright: ignore[reportIncompatibleMethodOverride]  (a field implements the property)
    """Episodes in a trial."""
    spread: float = 2.0
    """Masses, length and force lie within this factor of Gymnasium's."""
    flips: bool = True
    """Whether the motor is wired backwards in half of the tasks."""
    continuous: bool = False
    """Whether an action is a share of the force, in [-1, 1], instead of one of two pushes."""

    def __check_init__(self):
        require_positive(horizon=self.horizon, num_episodes=self.num_episodes)
        require_within("(1, inf)", self, "spread")

    @property
    def env(self) -> CartPoleEnv:
        """The cart."""
        return CartPoleEnv(self.horizon, self.continuous)

    @property
    def physics(self) -> PhysicalTasks[CartPoleTask]:
        """The parameters that differ."""
        return physics(self.spread, self.flips)

    @property
    def planner(self) -> Planner:
        """Model predictive path integrals."""
        return Planner(horizon=20, num_iterations=1)

    @property
    def controller(self) -> tuple[str, Design]:
        """The linear-quadratic regulator."""
        return "regulator, physics known", self.env.regulator

    def yardsticks(self) -> tuple[AbstractYardstick, ...]:
        """Those of control, and the horizon: no return is higher."""
        never_falling = ExactYardstick("never falling", self.env.balanced_return, self.num_episodes)
        return (*super().yardsticks(), never_falling)

    def replay(self, task: CartPoleTask, trajectory: Trajectory) -> dict[str, Any]:
        """Where cart and pole were in every episode of one stream."""
        episodes = [
            {"motion": plain(path[:, [0, 2]]), "rewards": rewards} for path, rewards in episode_paths(trajectory)
        ]
        return cart_scene(task, TRACK, episodes)


def cart_scene(task: CartPoleTask, track: float, episodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Episodes of carts' places (m) and poles' angles (rad), for the report to draw."""
    return {"kind": "cart-pole", "length": plain(2 * task.half_length), "track": track, "episodes": episodes}
