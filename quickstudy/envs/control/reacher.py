"""An arm of two links that must reach a target, with actuators that may be swapped, reversed or crippled.

The arm lies in a horizontal plane. Its links are uniform rods of length l and masses m_1, m_2; q_1 is the angle of
the shoulder and q_2 that of the elbow, 0 when the arm is straight. With the joints' torques τ and damping d::

    M q̈ = τ − c − d q̇

    M = l² [[m_1 / 3 + m_2 (4/3 + cos q_2), m_2 (1/3 + cos q_2 / 2)], [m_2 (1/3 + cos q_2 / 2), m_2 / 3]]
    c = m_2 l² / 2 · sin q_2 · [−q̇_2 (2 q̇_1 + q̇_2), q̇_1²]
    τ = τ_max ⊙ (W a)

The task's matrix W says what each action does to each joint. Gymnasium's reacher needs MuJoCo; this one does not copy
its numbers.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from quickstudy.envs.base import AbstractObservedEnv
from quickstudy.envs.control.family import AbstractControl, Controller, Design
from quickstudy.envs.control.physics import AbstractParameter, PhysicalTasks, Scale
from quickstudy.envs.replay import episode_paths, plain
from quickstudy.errors import require_positive, require_within
from quickstudy.planning.shooting import Planner
from quickstudy.types import EnvStep, Spec, Trajectory

LINK = 0.5
"""l, in m."""
SECONDS, SUBSTEPS = 0.05, 5
"""Of a step, and the integrator's parts of it (semi-implicit Euler)."""
TORQUE = (4.0, 2.0)
"""τ_max of shoulder and elbow, in N m."""
EFFORT = 0.01
"""Charged for every squared action."""
NEAREST, FARTHEST = 0.3, 0.9
"""Targets lie at distances between these from the shoulder, in m."""
CRIPPLED = (0.2, 0.6)
"""What a crippled joint keeps of its strength in training; out of distribution less than the smaller one."""
BANDWIDTH = 6.0
"""Of the controller that knows the physics, in rad/s: the best of eight on validation tasks."""


class ReacherTask(NamedTuple):
    """The physics of an arm.

    Attributes:
        upper_mass: m_1, in kg.
        lower_mass: m_2, in kg.
        damping: d of both joints, in N m per rad/s.
        wiring: W: rows are shoulder and elbow, columns the two actions.
    """

    upper_mass: Float[Array, "*axes"]
    lower_mass: Float[Array, "*axes"]
    damping: Float[Array, "*axes"]
    wiring: Float[Array, "*axes 2 2"]


class ReacherState(NamedTuple):
    """Angles (rad), their speeds (rad/s), where the target is (m), and how many steps the episode has run."""

    angles: Float[Array, " 2"]
    speeds: Float[Array, " 2"]
    target: Float[Array, " 2"]
    time: Int[Array, ""]


class Wiring(AbstractParameter):
    """Which action drives which joint, in which direction, and how strongly.

    Actions are swapped in half of the tasks, and each one is reversed in half of them. Neither joint, the shoulder or
    the elbow is crippled, equally often; out of distribution it is always one of the two. Features: the four numbers.
    """

    @property
    def nominal(self) -> Float[Array, "2 2"]:
        return jnp.eye(2)

    def draw(self, *, ood: bool, key: Key[Array, ""]) -> Float[Array, "2 2"]:
        k_swap, k_sign, k_which, k_strength = jax.random.split(key, 4)
        order = jnp.where(jax.random.bernoulli(k_swap), jnp.eye(2)[::-1], jnp.eye(2))
        signs = jax.random.rademacher(k_sign, (2,), jnp.float32)
        low, high = (0.0, CRIPPLED[0]) if ood else CRIPPLED
        strength = jax.random.uniform(k_strength, minval=low, maxval=high)
        crippled = jax.random.randint(k_which, (), 0, 2 if ood else 3)  # 2: neither
        return jnp.where(jnp.arange(2) == crippled, strength, 1.0)[:, None] * order * signs[None]

    def features(self, value: Float[Array, "2 2"]) -> Float[Array, " F"]:
        return value.ravel()


def inertia(task: ReacherTask, angles: Float[Array, " 2"]) -> Float[Array, "2 2"]:
    """M, in kg m²."""
    cos = jnp.cos(angles[1])
    both = task.upper_mass / 3 + task.lower_mass * (4 / 3 + cos)
    shared = task.lower_mass * (1 / 3 + cos / 2)
    return LINK**2 * jnp.stack([jnp.stack([both, shared]), jnp.stack([shared, task.lower_mass / 3])])


def resistance(task: ReacherTask, angles: Float[Array, " 2"], speeds: Float[Array, " 2"]) -> Float[Array, " 2"]:
    """``c + d q̇``, in N m: the torques that keep the joints from accelerating."""
    shoulder, elbow = speeds
    strength = task.lower_mass * LINK**2 / 2 * jnp.sin(angles[1])
    turning = strength * jnp.stack([-elbow * (2 * shoulder + elbow), jnp.square(shoulder)])
    return turning + task.damping * speeds


def accelerations(
    task: ReacherTask, angles: Float[Array, " 2"], speeds: Float[Array, " 2"], torques: Float[Array, " 2"]
) -> Float[Array, " 2"]:
    """q̈, in rad/s². The two equations are solved by hand, which is faster than a general solver."""
    (both, shared), (_, lower) = inertia(task, angles)
    shoulder, elbow = torques - resistance(task, angles, speeds)
    solved = jnp.stack([lower * shoulder - shared * elbow, both * elbow - shared * shoulder])
    return solved / (both * lower - jnp.square(shared))


def tip(angles: Float[Array, " 2"]) -> Float[Array, " 2"]:
    """Where the arm ends, in m from the shoulder."""
    directions = jnp.cumsum(angles)
    return LINK * jnp.stack([jnp.cos(directions).sum(), jnp.sin(directions).sum()])


def swing(
    task: ReacherTask, angles: Float[Array, " 2"], speeds: Float[Array, " 2"], action: Float[Array, " 2"]
) -> tuple[Float[Array, " 2"], Float[Array, " 2"]]:
    """Angles and speeds one step later."""
    torques = jnp.array(TORQUE) * (task.wiring @ action)

    def part(_: Int[Array, ""], motion: tuple[Array, Array]) -> tuple[Array, Array]:
        angles, speeds = motion
        speeds = speeds + SECONDS / SUBSTEPS * accelerations(task, angles, speeds, torques)
        return angles + SECONDS / SUBSTEPS * speeds, speeds

    return jax.lax.fori_loop(0, SUBSTEPS, part, (angles, speeds))


class ReacherEnv(AbstractObservedEnv[ReacherTask, ReacherState]):
    """Pays minus the distance of the arm's tip from the target (m), after the step, and charges .01 ‖a‖².

    Actions are clipped to [-1, 1]². The observation is cos q, sin q (both of both joints), q̇, and the target. An
    episode starts with the arm at rest and nearly straight, and a target that is new in every episode, uniform over a
    ring around the shoulder: the target is no part of the task. Only the clock ends it, after ``horizon`` steps.
    """

    horizon: int

    @property
    def spec(self) -> Spec:
        return Spec(jax.ShapeDtypeStruct((8,), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.float32), None)

    def reset(self, task: ReacherTask, *, key: Key[Array, ""]) -> tuple[ReacherState, Float[Array, " 8"]]:
        del task
        k_angles, k_distance, k_direction = jax.random.split(key, 3)
        angles = jax.random.uniform(k_angles, (2,), minval=-0.1, maxval=0.1)
        distance = jnp.sqrt(jax.random.uniform(k_distance, minval=NEAREST**2, maxval=FARTHEST**2))
        direction = jax.random.uniform(k_direction, minval=-jnp.pi, maxval=jnp.pi)
        target = distance * jnp.stack([jnp.cos(direction), jnp.sin(direction)])
        state = ReacherState(angles, jnp.zeros(2), target, jnp.zeros((), jnp.int32))
        return state, shown(state)

    def step(
        self, task: ReacherTask, state: ReacherState, action: Float[Array, " 2"], *, key: Key[Array, ""]
    ) -> tuple[ReacherState, EnvStep]:
        del key
        action = jnp.clip(action, -1.0, 1.0)
        angles, speeds = swing(task, state.angles, state.speeds, action)
        state = ReacherState(angles, speeds, state.target, state.time + 1)
        reward = -jnp.linalg.norm(tip(angles) - state.target) - EFFORT * jnp.sum(jnp.square(action))
        return state, EnvStep(shown(state), reward, jnp.zeros((), bool), state.time >= self.horizon)

    def state_at(self, obs: Float[Array, " 8"]) -> ReacherState:
        return ReacherState(jnp.arctan2(obs[2:4], obs[:2]), obs[4:6], obs[6:], jnp.zeros((), jnp.int32))

    def computed_torque(self, task: ReacherTask) -> Controller:
        """Moves each joint to where the target asks for it as a critically damped spring would, the physics known.

        Of the two ways to bend the elbow it takes the one that is nearer. Torques are clipped where actuators are weak.
        """

        def control(obs: Float[Array, " 8"]) -> Float[Array, " 2"]:
            angles, speeds, target, _ = self.state_at(obs)
            wish = jnp.square(BANDWIDTH) * to_go(angles, target) - 2 * BANDWIDTH * speeds
            torques = inertia(task, angles) @ wish + resistance(task, angles, speeds)
            strength = jnp.square(task.wiring).sum(axis=1) + 1e-6  # a joint may have none
            return jnp.clip(task.wiring.T @ (torques / jnp.array(TORQUE) / strength), -1.0, 1.0)

        return control


def to_go(angles: Float[Array, " 2"], target: Float[Array, " 2"]) -> Float[Array, " 2"]:
    """How far each joint must turn for the tip to be at ``target``, in rad, by the way of bending that is nearer."""
    cos = jnp.sum(jnp.square(target)) / (2 * LINK**2) - 1
    elbows = jnp.arccos(jnp.clip(cos, -1.0, 1.0)) * jnp.array([-1.0, 1.0])
    shoulders = jnp.arctan2(target[1], target[0]) - elbows / 2
    turns = jnp.stack([shoulders, elbows], axis=1) - angles[None]
    turns = jnp.arctan2(jnp.sin(turns), jnp.cos(turns))
    return turns[jnp.argmin(jnp.abs(turns).max(axis=1))]


def shown(state: ReacherState) -> Float[Array, " 8"]:
    """What is observed of a state."""
    return jnp.concatenate([jnp.cos(state.angles), jnp.sin(state.angles), state.speeds, state.target])


class Reacher(AbstractControl):
    """Reach known targets with an arm: actuators may be swapped, reversed or crippled; masses and damping differ."""

    horizon: int = 50
    """Steps in an episode."""
    num_episodes: int = 4  # pyright: ignore[reportIncompatibleMethodOverride]  (a field implements the property)
    """Episodes in a trial."""
    spread: float = 1.5
    """Masses and damping lie within this factor of their defaults."""

    def __check_init__(self):
        require_positive(horizon=self.horizon, num_episodes=self.num_episodes)
        require_within("(1, inf)", self, "spread")

    @property
    def env(self) -> ReacherEnv:
        """The arm."""
        return ReacherEnv(self.horizon)

    @property
    def physics(self) -> PhysicalTasks[ReacherTask]:
        """The parameters that differ."""
        parameters = {
            "upper_mass": Scale(1.0, self.spread),
            "lower_mass": Scale(1.0, self.spread),
            "damping": Scale(0.5, self.spread),
            "wiring": Wiring(),
        }
        return PhysicalTasks(ReacherTask, parameters)

    @property
    def planner(self) -> Planner:
        """Model predictive path integrals."""
        return Planner(horizon=12, num_iterations=1, correlation=0.7)

    @property
    def controller(self) -> tuple[str, Design]:
        """Good, but not the best that there is."""
        return "reaching, physics known", self.env.computed_torque

    def replay(self, task: ReacherTask, trajectory: Trajectory) -> dict[str, Any]:
        """The joints' angles and the target of every episode of one stream."""
        del task
        episodes = [
            {
                "angles": plain(np.arctan2(path[:, 2:4], path[:, :2])),
                "target": plain(path[0, 6:]),
                "rewards": rewards,
            }
            for path, rewards in episode_paths(trajectory)
        ]
        return {"kind": "arm", "link": LINK, "episodes": episodes}
