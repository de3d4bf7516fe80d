"""What a learner believes: by hand for a toy, in closed form for MKTN, and from a run to its report."""

import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy import beliefs
from quickstudy.algorithms.context.rl2 import RL2
from quickstudy.algorithms.transfer.mktn import MKTN, TransferLearner
from quickstudy.algorithms.transfer.parts import InnerNetwork, TransferParams
from quickstudy.beliefs import belief_maps
from quickstudy.envs.gridworld import GridNavigation
from quickstudy.envs.tabular import RandomMDP
from quickstudy.experiment import Experiment, evaluate_run, train
from quickstudy.learner import AbstractBelievingLearner
from quickstudy.report import write_report
from quickstudy.report.page import READ_BELIEFS
from quickstudy.run_directory import RunDirectory
from quickstudy.trial import run_trial
from quickstudy.types import Budget

GRID = GridNavigation(size=3, horizon=3, num_episodes=4)
INNER = InnerNetwork(capacity=12, gamma=0.6, noise=0.1)
METHOD = MKTN(
    width=8,
    num_features=6,
    inner=INNER,
    num_lessons=2,
    batch_size=2,
    num_gradient_steps=1,
    num_trials=4,
    trial_factor=1,
)


class Counting(AbstractBelievingLearner[Any, Any, tuple[()]]):
    """Goes right; believes that a cell is worth its x and ten times the blocks it has learned from."""

    def init(self, params, *, key):
        return jnp.zeros(())

    def init_carry(self, params):
        return ()

    def act(self, params, state, carry, timestep, *, key):
        return jnp.asarray(2, jnp.int32), carry, None

    def update(self, params, state, trajectory, *, key):
        return state + 1, {}

    def believe(self, params, state, obs):
        return {"adapted": params * jnp.argmax(obs[:3]) + 10 * state}


def _trajectory(learner, params, budget, num_trials=1, seed=0):
    """Trials ``[K, B, T, N]`` in the last of the goals."""
    one = lambda key: run_trial(learner, params, GRID.env, jnp.asarray(8, jnp.int32), budget, key=key).trajectory
    return jax.vmap(one)(jax.random.split(jax.random.key(seed), num_trials))


def test_beliefs_are_those_of_the_block_in_which_an_episode_begins():
    # Episodes begin at steps 0, 3, 6 and 9, in blocks 0, 1, 3 and 4 of two steps.
    (entry,) = belief_maps(Counting(), jnp.asarray(1.0), _trajectory(Counting(), 1.0, Budget(6, 2)), GRID)
    row = np.arange(3.0)
    expected = [np.tile(row + 10 * blocks, (3, 1)) for blocks in (0, 1, 3, 4)]
    np.testing.assert_array_equal([episode["adapted"] for episode in entry["episodes"]], expected)
    assert entry["limits"] == [0.0, 3.0]
    assert all(set(episode) == {"adapted"} for episode in entry["episodes"])


def test_every_trial_has_an_entry_and_its_first_stream_decides():
    trajectory = _trajectory(Counting(), 1.0, Budget(2, 3, 2), num_trials=3)
    # The second stream of the second trial ends early: no map more.
    trajectory = trajectory._replace(terminated=trajectory.terminated.at[1, 0, 0, 1].set(True))
    assert [len(entry["episodes"]) for entry in belief_maps(Counting(), 1.0, trajectory, GRID)] == [2, 2, 2]
    trajectory = trajectory._replace(terminated=trajectory.terminated.at[1, 0, 0, 0].set(True))
    assert [len(entry["episodes"]) for entry in belief_maps(Counting(), 1.0, trajectory, GRID)] == [2, 3, 2]


def test_nothing_is_computed_where_nothing_can_be_said(monkeypatch):
    monkeypatch.setattr(beliefs, "_believed", lambda *_: pytest.fail("beliefs were computed"))
    trajectory = _trajectory(Counting(), 1.0, Budget(2, 3))
    assert belief_maps(RL2(width=4).learner, None, trajectory, GRID) == []
    assert belief_maps(Counting(), 1.0, trajectory, RandomMDP()) == []


@pytest.fixture(scope="module")
def params() -> TransferParams:
    made = METHOD.init(GRID.env.spec, key=jax.random.key(0)).params
    knowledge = made.knowledge
    # The value of all tasks is 0 at the start: something else, lest maps of zeros agree.
    output = jax.random.normal(jax.random.key(1), knowledge.output.weight.shape) / 2
    object.__setattr__(knowledge.output, "weight", output)
    return TransferParams(knowledge, jnp.zeros(6), jax.random.normal(jax.random.key(2), (6,)))


@pytest.fixture(scope="module")
def episodes(params) -> list[dict[str, np.ndarray]]:
    learner = TransferLearner(INNER, epsilon=0.5)
    (entry,) = belief_maps(learner, params, _trajectory(learner, params, Budget(12, 1)), GRID)
    return [{name: np.asarray(rows) for name, rows in episode.items()} for episode in entry["episodes"]]


def test_before_any_data_the_agent_believes_what_it_knows_of_all_tasks(params, episodes):
    known = jax.vmap(jax.vmap(params.knowledge))(GRID.state_map().obs)
    value, features = np.asarray(known.value, np.float64), np.asarray(known.features, np.float64)
    first = episodes[0]
    assert value.max(-1).std() > 0.05
    np.testing.assert_allclose(first["knowledge"], value.max(-1), atol=2e-5)
    np.testing.assert_array_equal(first["adapted"], first["knowledge"])
    greedy = np.take_along_axis(features, value.argmax(-1)[..., None, None], axis=2)[:, :, 0]
    variance = np.square(greedy) @ np.exp(-np.asarray(params.log_precision, np.float64))
    np.testing.assert_allclose(first["uncertainty"], np.sqrt(variance), atol=2e-5)


def test_knowledge_stays_and_values_and_their_uncertainty_move(episodes):
    for later in episodes[1:]:
        np.testing.assert_array_equal(later["knowledge"], episodes[0]["knowledge"])
        assert np.abs(later["adapted"] - later["knowledge"]).max() > 0.05
    # The start, cell 0, is left at the beginning of every episode.
    start = [episode["uncertainty"][0, 0] for episode in episodes]
    assert start[1] < 0.7 * start[0]
    assert episodes[-1]["uncertainty"].mean() < episodes[1]["uncertainty"].mean() < episodes[0]["uncertainty"].mean()


def test_beliefs_of_the_last_block_are_those_of_the_state_it_met(params):
    learner = TransferLearner(INNER)
    start = run_trial(learner, params, GRID.env, jnp.asarray(8), Budget(3, 3), key=jax.random.key(3))
    rest = run_trial(learner, params, GRID.env, jnp.asarray(8), Budget(1, 3), key=jax.random.key(4), start=start.final)
    whole = jax.tree.map(lambda *xs: jnp.concatenate(xs)[None], start.trajectory, rest.trajectory)
    (entry,) = belief_maps(learner, params, whole, GRID)
    met = jax.vmap(jax.vmap(lambda obs: learner.believe(params, start.final.state, obs)))(GRID.state_map().obs)
    for name, rows in entry["episodes"][-1].items():
        np.testing.assert_allclose(rows, met[name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "options"), [("mktn", METHOD), ("rl2", RL2(width=4))])
def test_a_run_reports_the_beliefs_of_a_method_that_has_them(tmp_path, method, options):
    experiment = Experiment(method, "grid-navigation", options, GRID, 1, 4, 1, num_test_tasks=3)
    run = RunDirectory.create(tmp_path / "run", experiment.config())
    train(experiment, run)
    evaluate_run(run, "test")
    replays = json.loads((run.evaluation("test") / "replays.json").read_text())
    page = write_report(run.path).read_text("utf-8")
    believes = method == "mktn"
    assert [("beliefs" in entry) for entry in replays] == [believes] * 3
    assert (READ_BELIEFS in page) == believes
    for entry in replays if believes else []:
        assert len(entry["beliefs"]["episodes"]) == len(entry["replay"]["episodes"]) == 4
        assert np.shape(entry["beliefs"]["episodes"][0]["uncertainty"]) == (3, 3)
