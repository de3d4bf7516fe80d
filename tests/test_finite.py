"""Numbers that are not finite: where they are found, and what every verb says of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import Scripted, Staircase, staircases

from quickstudy.adaptation import adapt
from quickstudy.algorithms.transfer.mktn import MKTN
from quickstudy.collect.graph import GraphCollector
from quickstudy.envs.base import AbstractEnv
from quickstudy.envs.gridworld import GridNavigation
from quickstudy.errors import CheckpointError, InvalidArgument, NonFinite
from quickstudy.evaluation import evaluate
from quickstudy.finite import first_not_finite, require_finite_experience, require_finite_params
from quickstudy.meta import NoMeta
from quickstudy.ship.store import WEIGHTS, read_weights, write_arrays
from quickstudy.train import meta_train
from quickstudy.types import Budget, TimeStep, Trajectory

KEY = jax.random.key(0)
# One step up in the second step of an episode, another one in the third.
SCRIPT = jnp.asarray([0, 1, 1])
PLACE = "the reward is not finite at step 0 of stream 0 in block 1 of task 0, seed {seed}: mend the environment's step"


class Cracked(AbstractEnv):
    """Episodes of three steps on a staircase that, in tasks above 1, pays no number from its second stair on."""

    stairs: Staircase = Staircase(top=99, horizon=3)

    @property
    def spec(self):
        return self.stairs.spec

    def reset(self, task, *, key):
        return self.stairs.reset(task, key=key)

    def step(self, task, state, action, *, key):
        state, out = self.stairs.step(task, state, action, key=key)
        return state, out._replace(reward=jnp.where((out.obs[0] >= 2) & (task > 1), jnp.nan, out.reward))


CRACKED = GraphCollector(Cracked())
BUDGET = Budget(3, 2, 2)


def _trajectory() -> Trajectory:
    """Two tasks, two blocks, three steps, two streams."""
    shape = (2, 2, 3, 2)
    obs = {"place": jnp.zeros((*shape, 4)), "room": jnp.zeros(shape, jnp.int32)}
    action, flags = jnp.zeros(shape, jnp.int32), jnp.zeros(shape, bool)
    return Trajectory(TimeStep(obs, action, jnp.zeros(shape), flags), action, jnp.ones(shape), obs, flags, flags, None)


def test_the_first_of_each_part_is_found():
    trajectory = _trajectory()
    np.testing.assert_array_equal(first_not_finite(trajectory), -np.ones((3, 4)))
    reward = trajectory.reward.at[1, 0, 2, 1].set(-jnp.inf).at[1, 1, 0, 0].set(jnp.nan)
    place = trajectory.next_obs["place"].at[0, 1, 2, 1, 3].set(jnp.inf)
    got = first_not_finite(trajectory._replace(reward=reward, next_obs=trajectory.next_obs | {"place": place}))
    np.testing.assert_array_equal(got, [[1, 0, 2, 1], [0, 1, 2, 1], [-1] * 4])
    before = trajectory.timestep._replace(obs={"place": place, "room": trajectory.next_obs["room"]})
    np.testing.assert_array_equal(first_not_finite(trajectory._replace(timestep=before))[2], [0, 1, 2, 1])


def test_the_first_of_all_parts_is_named():
    fine = np.full((3, 4), -1)
    require_finite_experience(np.stack([fine, fine]), during="evaluate")
    bad = np.asarray([[1, 0, 2, 1], [0, 1, 2, 1], [-1] * 4])
    message = (
        "evaluate: the observation after the action is not finite at step 2 of stream 1 in block 1 of task 7, seed 1"
    )
    with pytest.raises(NonFinite, match=message):
        require_finite_experience(np.stack([fine, bad]), during="evaluate", first_task=7)


def test_training_stops_and_says_where():
    steps = []
    train = lambda *members: meta_train(
        NoMeta(Scripted(), SCRIPT),
        CRACKED,
        staircases("train", *members),
        BUDGET,
        num_steps=2,
        num_tasks=2,
        num_seeds=2,
        key=KEY,
        on_step=lambda step, *_: steps.append(step),
    )
    with pytest.raises(NonFinite, match="meta-update 1: " + PLACE.format(seed=0)):
        train(2.0)
    assert steps == []
    train(1.0)
    assert steps == [1, 2]


def test_adapting_says_where():
    one = lambda task: adapt(Scripted(), SCRIPT, CRACKED, jnp.asarray(task), BUDGET, key=KEY)
    with pytest.raises(NonFinite, match="adapt: " + PLACE.format(seed=0)):
        one(2.0)
    assert bool(jnp.isfinite(one(1.0).trial.trajectory.reward).all())


def test_evaluating_says_where():
    # The second seed alone climbs.
    scripts = jnp.stack([jnp.zeros_like(SCRIPT), SCRIPT])
    one = lambda task: evaluate(
        Scripted(),
        scripts,
        CRACKED,
        staircases("test", task),
        BUDGET,
        num_seeds=2,
        num_tasks=3,
        num_episodes=1,
        key=KEY,
    )
    with pytest.raises(NonFinite, match="evaluate: " + PLACE.format(seed=1)):
        one(2.0)
    np.testing.assert_array_equal(one(1.0).adapted[1], [[3.0]] * 3)


def test_parameters_that_are_not_finite_are_refused():
    grid = GridNavigation(size=3)
    method = MKTN(width=4, num_features=3)
    params = method.init(grid.env.spec, key=KEY).params
    require_finite_params(params)
    broken = params.__class__(params.knowledge, params.prior_mean, jnp.asarray([0.0, jnp.nan, jnp.inf]))
    message = r"params.log_precision must be finite, got nan at \[1\]: load an earlier checkpoint"
    with pytest.raises(InvalidArgument, match=message):
        adapt(method.learner, broken, GraphCollector(grid.env), jnp.asarray(8), Budget(1, 2), key=KEY)
    both = jax.tree.map(lambda *xs: jnp.stack(xs) if hasattr(xs[0], "shape") else xs[0], params, broken)
    counts = {"num_seeds": 2, "num_tasks": 1, "num_episodes": 1}
    with pytest.raises(InvalidArgument, match=r"params.log_precision must be finite, got nan at \[1, 1\]"):
        evaluate(method.learner, both, GraphCollector(grid.env), grid.tasks("test"), Budget(1, 15), key=KEY, **counts)


def test_stored_weights_that_are_not_finite_are_refused(tmp_path):
    arrays = {"whole": np.asarray([1, 2]), "weight": np.asarray([[0.5, 1.0]], np.float32)}
    write_arrays(tmp_path / WEIGHTS, arrays)
    np.testing.assert_array_equal(read_weights(tmp_path)["weight"], arrays["weight"])
    write_arrays(tmp_path / WEIGHTS, arrays | {"weight": np.asarray([[0.5, np.inf]], np.float32)})
    with pytest.raises(CheckpointError, match=r"weights.safetensors: weight holds a number that is not finite"):
        read_weights(tmp_path)
