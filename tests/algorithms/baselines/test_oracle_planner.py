"""The planner that holds the true dynamics, where the best return is known."""

import jax
import jax.numpy as jnp
import numpy as np

from quickstudy.algorithms.baselines.oracle_planner import OraclePlanner, OraclePlannerYardstick
from quickstudy.envs.point import RotatedPointNavigation
from quickstudy.planning.shooting import Planner
from quickstudy.trial import run_trial
from quickstudy.types import Budget

FAMILY = RotatedPointNavigation(num_episodes=2)


def test_it_comes_close_to_the_best_return_and_never_beats_it():
    tasks = FAMILY.tasks("test").batch(8, key=jax.random.key(0))
    yardstick = OraclePlannerYardstick(env=FAMILY.env, budget=FAMILY.budget, num_episodes=2, planner=Planner(horizon=6))
    returns = jax.vmap(lambda task, key: yardstick.returns(task, key=key))(
        tasks, jax.random.split(jax.random.key(1), 8)
    )
    best = jax.vmap(FAMILY.env.goal_known_return)(tasks)
    assert returns.shape == (8, 2)
    assert (returns <= best[:, None] + 1e-5).all()
    np.testing.assert_allclose(returns.mean(), best.mean(), atol=0.15)


def test_what_it_gains_is_from_the_dynamics_that_it_holds():
    task = FAMILY.tasks("test").sample(key=jax.random.key(2))._replace(angle=jnp.asarray(2.0))
    learner, budget = OraclePlanner(FAMILY.env, Planner(horizon=6)), Budget(1, 20)
    total = lambda believed: run_trial(learner, believed, FAMILY.env, task, budget, key=jax.random.key(3))
    right, wrong = (total(task._replace(angle=jnp.asarray(angle))) for angle in (2.0, 0.0))
    assert right.trajectory.reward.sum() > -3.5
    assert wrong.trajectory.reward.sum() < -10.0


def test_it_is_among_the_yardsticks_where_dynamics_are_hidden():
    names = [yardstick.name for yardstick in FAMILY.yardsticks()]
    assert names == ["random", "standing still", "oracle planner", "goal known"]
