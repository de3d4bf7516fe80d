"""What a learner predicts: by hand for a toy, step by step for models, and from a run to its report."""

import itertools
import json
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy import predictions as module
from quickstudy.algorithms.context.rl2 import RL2
from quickstudy.algorithms.model.learner import Acting, PolicyLearner
from quickstudy.algorithms.model.mml import MML
from quickstudy.algorithms.model.parts import Fitting, ModelNetwork
from quickstudy.envs.point import RotatedPointNavigation
from quickstudy.experiment import Experiment, evaluate_run, train
from quickstudy.learner import AbstractPredictingLearner
from quickstudy.planning.shooting import Planner
from quickstudy.predictions import NUM_STEPS, predictions
from quickstudy.report import write_report
from quickstudy.report.page import READ_PREDICTIONS
from quickstudy.run_directory import RunDirectory
from quickstudy.types import TimeStep, Trajectory

FAMILY = RotatedPointNavigation(horizon=3, num_episodes=2)
METHOD = MML(
    ModelNetwork(width=6, depth=1, num_members=2),
    code_size=3,
    encoder_width=8,
    hyper_width=5,
    rank=2,
    acting=Acting(Planner(horizon=2, num_candidates=4, num_elites=2), train_candidates=4),
    fitting=Fitting(num_gradient_steps=1, batch_size=2, num_targets=2, capacity=6, num_trials=4),
)


class Walker(AbstractPredictingLearner[Any, Any, tuple[()]]):
    """Predicts that an action moves the first component by ``params`` times the blocks that were learned from."""

    def init(self, params, *, key):
        return jnp.zeros(())

    def init_carry(self, params):
        return ()

    def act(self, params, state, carry, timestep, *, key):
        return jnp.ones(()), carry, None

    def update(self, params, state, trajectory, *, key):
        return state + 1, {}

    def predict(self, params, state, obs, actions):
        moves = params * state * jnp.cumsum(actions)
        return jnp.tile(obs, (len(actions), 1)).at[:, 0].add(moves), actions + 10 * state


def _trial(obs, actions, ends, block_length):
    """One trial of two streams, the second one unlike the first; ``obs`` ``[L, 2, F]`` before and after every step."""
    obs, actions, num_steps = np.asarray(obs, np.float32), np.asarray(actions, np.float32), len(actions)
    last = np.isin(np.arange(num_steps), ends)

    def blocks(x, other):
        return jnp.asarray(np.stack([x, other], 1).reshape(1, -1, block_length, 2, *x.shape[1:]))

    either = lambda x: blocks(x, x + 7)
    zeros, never = np.zeros(num_steps, np.float32), np.zeros(num_steps, bool)
    first = blocks(np.roll(last, 1), never)
    timestep = TimeStep(either(obs[:, 0]), either(actions), either(zeros), first)
    rewards, truncated = either(100 * actions), blocks(last, ~last)
    return Trajectory(timestep, either(actions), rewards, either(obs[:, 1]), blocks(never, never), truncated, None)


def _stairs(*paths):
    """Steps along ``paths`` of one component, beside a second one that is always 5."""
    pairs = [pair for path in paths for pair in itertools.pairwise(path)]
    return [[[before, 5], [after, 5]] for before, after in pairs]


STAIRS = _trial(_stairs([0, 1, 2, 4], [0, 1, 1, 3]), [1, 1, 1, 1, 0, 1], [2, 5], 2)


def test_errors_are_those_of_the_state_before_the_block_in_units_of_what_changes():
    # The first component changes by 1, 1, 2 | 1, 0, 2, in the mean square 11/6; predicted are 0, 0, 1 | 1, 0, 2.
    (entry,) = predictions(Walker(), jnp.asarray(1.0), STAIRS)
    assert entry["errors"] == [0.5455, 0.5455, 0.5455, 0.0, 0.0, 0.0]


def test_episodes_are_predicted_from_their_first_observation_by_the_state_they_began_with():
    (entry,) = predictions(Walker(), jnp.asarray(1.0), STAIRS)
    assert entry["starts"] == [0, 3]
    assert entry["episodes"] == [
        {
            "observed": [[0, 5], [1, 5], [2, 5], [4, 5]],
            "predicted": [[0, 5]] * 4,
            "rewards": [100, 100, 100],
            "predicted_rewards": [1, 1, 1],
        },
        {
            "observed": [[0, 5], [1, 5], [1, 5], [3, 5]],
            "predicted": [[0, 5], [1, 5], [1, 5], [2, 5]],
            "rewards": [100, 0, 100],
            "predicted_rewards": [11, 10, 11],
        },
    ]


def test_to_predict_no_change_errs_by_one_on_average():
    rng = np.random.default_rng(0)
    obs = rng.normal(size=(40, 2, 3)) * [1, 100, 0.01]
    (entry,) = predictions(Walker(), jnp.asarray(0.0), _trial(obs, np.ones(40), [39], 4))
    np.testing.assert_allclose(np.mean(entry["errors"]), 1.0, rtol=1e-3)
    assert np.std(entry["errors"]) > 0.3


def test_only_the_first_steps_of_an_episode_are_kept():
    num = NUM_STEPS + 14
    trajectory = _trial(_stairs(range(num + 1), [0, 1]), np.ones(num + 1), [num - 1], 13)
    (entry,) = predictions(Walker(), jnp.asarray(1.0), trajectory)
    assert f"the first {NUM_STEPS} actions" in READ_PREDICTIONS
    assert entry["starts"] == [0, num]
    assert [len(episode["rewards"]) for episode in entry["episodes"]] == [NUM_STEPS, 1]
    assert [len(episode["predicted"]) for episode in entry["episodes"]] == [NUM_STEPS + 1, 2]
    assert entry["episodes"][0]["observed"][-1] == [NUM_STEPS, 5]
    assert entry["episodes"][1]["predicted"] == [[0, 5], [4, 5]]
    assert len(entry["errors"]) == num + 1


def test_every_trial_has_its_own_episodes():
    other = _trial(_stairs([0, 1, 2], [0, 1], [0, 1, 2, 3]), np.ones(6), [1, 2], 2)
    both = jax.tree.map(lambda *xs: jnp.concatenate(xs), STAIRS, other)
    entries = predictions(Walker(), jnp.asarray(1.0), both)
    assert entries[0] == predictions(Walker(), jnp.asarray(1.0), STAIRS)[0]
    assert entries[1] == predictions(Walker(), jnp.asarray(1.0), other)[0]
    assert entries[1]["starts"] == [0, 2, 3]


@pytest.mark.parametrize("factor", [np.inf, np.nan, 3e38])
def test_what_is_not_finite_is_none(factor):
    (entry,) = predictions(Walker(), jnp.asarray(factor), STAIRS)
    # 3e38 twice over is more than a float holds; once it is not.
    assert entry["episodes"][1]["predicted"][-1] == [None, 5]
    assert entry["episodes"][1]["observed"][-1] == [3, 5]
    assert (entry["errors"][3] is None) == (factor != 3e38)
    json.dumps(entry, allow_nan=False)


def test_where_nothing_changes_there_is_no_error():
    (entry,) = predictions(Walker(), jnp.asarray(1.0), _trial(_stairs([0] * 5), np.ones(4), [3], 1))
    assert entry["errors"] == [None] * 4


def test_nothing_is_computed_for_a_learner_that_does_not_predict(monkeypatch):
    monkeypatch.setattr(module, "_predicted", lambda *_: pytest.fail("predictions were computed"))
    assert predictions(RL2(width=4).learner, None, STAIRS) == []


@pytest.mark.parametrize("learner", [METHOD.learner, PolicyLearner(METHOD.inner)])
def test_models_predict_the_mean_of_what_each_expects(learner):
    params = METHOD.init(FAMILY.env.spec, key=jax.random.key(0)).params
    state = learner.init(params, key=jax.random.key(1))
    obs, actions = jnp.array([0.3, -0.2]), jax.random.normal(jax.random.key(2), (4, 2))
    led, paid = eqx.filter_jit(learner.predict)(params, state, obs, actions)
    by_member = []
    for i in range(2):
        member = jax.tree.map(lambda x, i=i: x[i], state.ensemble)
        now, path = obs, []
        for action in actions:
            now, reward, _ = member.step(params.scale, now, action)
            path.append(np.append(now, reward))
        by_member.append(path)
    assert np.ptp(by_member, axis=0).max() > 0.01
    np.testing.assert_allclose(np.column_stack([led, paid]), np.mean(by_member, axis=0), rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "options"), [("mml", METHOD), ("rl2", RL2(width=4))])
def test_a_run_reports_the_predictions_of_a_method_that_makes_some(tmp_path, method, options):
    experiment = Experiment(method, "rotated-point-navigation", options, FAMILY, 1, 4, 1, num_test_tasks=3)
    run = RunDirectory.create(tmp_path / "run", experiment.config())
    train(experiment, run)
    evaluate_run(run, "test")
    replays = json.loads((run.evaluation("test") / "replays.json").read_text())
    page = write_report(run.path).read_text("utf-8")
    predicts = method == "mml"
    assert [("predictions" in entry) for entry in replays] == [predicts] * 3
    assert (READ_PREDICTIONS in page) == predicts
    for entry in replays if predicts else []:
        said, walks = entry["predictions"], entry["replay"]["episodes"]
        assert len(said["errors"]) == 6
        assert said["starts"] == [0, 3]
        for episode, walk in zip(said["episodes"], walks, strict=True):
            assert np.shape(episode["predicted"]) == (4, 2)
            assert episode["observed"] == walk["points"]
            assert episode["rewards"] == walk["rewards"]
