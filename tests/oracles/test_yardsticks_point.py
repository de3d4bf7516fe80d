"""The reference policies of 2-D point navigation against the numbers that are known for them."""

import jax
import numpy as np

from quickstudy.envs.point import PointNavigation, SparsePointNavigation

NUM_TASKS = 40_000


def returns(family, name, num_tasks=NUM_TASKS):
    """First-episode returns of a yardstick on test tasks."""
    reference = next(y for y in family.yardsticks() if y.name == name)
    tasks = family.tasks("test").batch(num_tasks, key=jax.random.key(0))
    keys = jax.random.split(jax.random.key(1), num_tasks)
    samples = jax.jit(jax.vmap(lambda task, k: reference.returns(task, key=k)))(tasks, keys)
    return np.asarray(samples, np.float64)[:, 0]


def standard_error(samples):
    return samples.std(ddof=1) / np.sqrt(len(samples))


def test_standing_still():
    samples = returns(PointNavigation(), "standing still")
    assert abs(samples.mean() + 16.68) < 3 * standard_error(samples)
    assert abs(samples.mean() + 100 / 6) < 3 * standard_error(samples)  # 100 E[x² + y²]; ending at once is negligible


def test_goal_known():
    samples = returns(PointNavigation(), "goal known")
    # On each axis, with u uniform on [0, .5]: the sum over steps k of E[(u − .1 k)₊²] = (.4³ + .3³ + .2³ + .1³) / 1.5.
    exact = -2 * (0.4**3 + 0.3**3 + 0.2**3 + 0.1**3) / 1.5
    assert abs(samples.mean() - exact) < 3 * standard_error(samples)
    assert round(exact, 2) == round(samples.mean(), 2) == -0.13


def test_random_is_the_floor_of_the_dense_family():
    samples = returns(PointNavigation(num_episodes=1), "random", 1000)
    # A step has variance .01 / 3 on each axis, so the walk adds Σ_t 2 t · .01 / 3 to standing still.
    walk = 2 * 0.01 / 3 * 100 * 101 / 2
    assert abs(samples.mean() + 100 / 6 + walk) < 4 * standard_error(samples)


def test_goal_known_of_the_sparse_family_by_quadrature():
    """The goal is on the half circle; every axis is closed at .1 a step, and from distance .2 on each step pays."""
    angles = (np.arange(20_000) + 0.5) * np.pi / 20_000
    to_go = np.abs(np.stack([np.cos(angles), np.sin(angles)], -1))
    left = np.linalg.norm(np.maximum(to_go[:, None] - 0.1 * np.arange(1, 21)[:, None], 0.0), axis=-1)
    exact = np.where(left <= 0.2, 1 - left, 0.0).sum(1).mean()
    samples = returns(SparsePointNavigation(), "goal known")
    assert abs(samples.mean() - exact) < 3 * standard_error(samples)
    assert returns(SparsePointNavigation(), "standing still", 100).max() == 0.0
