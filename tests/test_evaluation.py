"""Evaluation, with a scripted learner: what each control must return is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import Scripted, Staircase, staircases

import quickstudy.evaluation
from quickstudy.collect.graph import GraphCollector
from quickstudy.errors import InvalidArgument
from quickstudy.evaluation import Evaluation, Unadapted, evaluate, summarize
from quickstudy.family import AbstractYardstick
from quickstudy.types import Budget, TimeStep

# Episodes of three steps that end by the clock alone.
COLLECTOR = GraphCollector(Staircase(top=99, horizon=3))
TWO_EPISODES = Budget(2, 3)
# Two seeds. The first episode climbs to 1, 2, 3 or 1, 1, 1; the second one to 0, 1, 2 or 0, 0, 0.
SCRIPTS = jnp.array([[1, 1, 1, 0, 1, 1], [1, 0, 0, 0, 0, 0]])


class _Multiple(AbstractYardstick):
    """Returns ``factor`` times the task in the first episode, twice that in the second."""

    name: str
    factor: float

    def returns(self, task, *, key):
        return self.factor * task * jnp.array([1.0, 2.0])


def _evaluate(budget=TWO_EPISODES, *, num_tasks=5, num_episodes=2, params=SCRIPTS, **rest):
    arguments = {"num_seeds": len(params), "num_replays": num_tasks, "key": jax.random.key(0)} | rest
    return evaluate(
        Scripted(),
        params,
        COLLECTOR,
        staircases("test"),
        budget,
        num_tasks=num_tasks,
        num_episodes=num_episodes,
        **arguments,
    )


@pytest.fixture(scope="module")
def evaluation():
    return _evaluate(yardsticks=(_Multiple("low", 0.0), _Multiple("high", 6.0)))


def test_returns_per_seed_task_and_episode(evaluation):
    task = np.asarray(evaluation.trials.task)
    assert task.shape == (5,)
    np.testing.assert_allclose(evaluation.adapted[0], task[:, None] * [6, 3], rtol=1e-6)
    np.testing.assert_allclose(evaluation.adapted[1], task[:, None] * [3, 0], rtol=1e-6)


def test_an_unadapted_learner_plays_every_episode_as_its_first(evaluation):
    task = np.asarray(evaluation.trials.task)
    np.testing.assert_allclose(evaluation.unadapted[0], task[:, None] * [6, 6], rtol=1e-6)
    np.testing.assert_allclose(evaluation.unadapted[1], task[:, None] * [3, 3], rtol=1e-6)


def test_the_shuffled_last_episode_is_played_in_another_task_with_the_memory_of_the_first(evaluation):
    task = np.asarray(evaluation.trials.task)
    assert np.isnan(evaluation.shuffled[..., :-1]).all()
    np.testing.assert_allclose(evaluation.shuffled[0, :, -1], 3 * np.roll(task, 1), rtol=1e-6)
    np.testing.assert_allclose(evaluation.shuffled[1, :, -1], 0, atol=1e-6)


def test_yardsticks_run_on_the_same_tasks(evaluation):
    task = np.asarray(evaluation.trials.task)
    np.testing.assert_allclose(evaluation.yardsticks["high"], 6 * task[:, None] * [1, 2], rtol=1e-6)


def test_replays_are_the_first_seeds_first_tasks():
    shown = _evaluate(num_replays=2).trials
    assert shown.trajectory.action.shape == (2, 2, 3, 1)
    np.testing.assert_array_equal(shown.trajectory.action[0].ravel(), SCRIPTS[0])


def test_the_same_key_gives_the_same_tasks_to_other_seeds(evaluation):
    np.testing.assert_allclose(_evaluate(params=SCRIPTS[:1]).adapted[0], evaluation.adapted[0], rtol=1e-6)
    other = _evaluate(key=jax.random.key(1)).adapted
    assert not np.isclose(other[0, :, 0], evaluation.adapted[0, :, 0]).any()


def test_one_block_for_all_episodes_gives_the_same_numbers(evaluation):
    got = _evaluate(Budget(1, 6))
    for name in ("adapted", "unadapted", "shuffled"):
        np.testing.assert_allclose(getattr(got, name), getattr(evaluation, name), rtol=1e-6)


def test_a_trial_of_one_episode_has_no_shuffled_control():
    got = _evaluate(Budget(1, 3), num_episodes=1)
    assert got.shuffled is None
    assert summarize(got)["shuffled"] is None


def test_an_episode_that_does_not_end_has_no_return():
    assert np.isnan(_evaluate(Budget(1, 2), num_episodes=1).adapted).all()


@pytest.mark.parametrize(("num_tasks", "sizes"), [(3, [3]), (6, [3, 3]), (7, [4, 4])])
def test_chunks_are_of_one_size_and_hold_every_task(monkeypatch, num_tasks, sizes):
    monkeypatch.setattr(quickstudy.evaluation, "CHUNK", 4)
    chunks = quickstudy.evaluation._chunks(jnp.arange(num_tasks), num_tasks)
    assert [len(chunk) for chunk in chunks] == sizes
    np.testing.assert_array_equal(np.concatenate(chunks)[:num_tasks], range(num_tasks))


def test_tasks_beyond_one_chunk_keep_their_order(monkeypatch):
    monkeypatch.setattr(quickstudy.evaluation, "CHUNK", 2)
    chunked = _evaluate(num_tasks=3, yardsticks=(_Multiple("task", 1.0),))
    task = chunked.yardsticks["task"][:, 0]
    assert np.unique(task).size == 3
    np.testing.assert_allclose(chunked.adapted[0], task[:, None] * [6, 3], rtol=1e-6)
    np.testing.assert_allclose(chunked.unadapted[1], task[:, None] * [3, 3], rtol=1e-6)


@pytest.mark.parametrize("name", ["num_tasks", "num_episodes", "num_seeds"])
def test_counts_below_one_are_refused(name):
    with pytest.raises(InvalidArgument, match=name):
        _evaluate(**{name: 0})


def test_a_budget_without_a_border_before_the_last_episode_is_refused():
    with pytest.raises(InvalidArgument, match="num_episodes=4"):
        _evaluate(Budget(3, 2), num_episodes=4)


def test_unadapted_forgets_memory_and_inputs_at_the_start_of_an_episode():
    learner = Unadapted(Scripted())

    def act(first):
        timestep = TimeStep(jnp.zeros(1), jnp.asarray(1), jnp.asarray(5.0), jnp.asarray(first))
        return learner.act(SCRIPTS[0], jnp.asarray(0), jnp.asarray(3), timestep, key=jax.random.key(0))

    assert [int(x) for x in act(True)[:2]] == [1, 1]
    assert [int(x) for x in act(False)[:2]] == [0, 4]
    trajectory = _evaluate(num_replays=1).trials.trajectory
    state, info = learner.update(SCRIPTS[0], jnp.asarray(7), trajectory, key=jax.random.key(0))
    assert (int(state), info) == (7, {})


def test_a_summary_by_hand():
    adapted = np.array([[[1.0, 3.0], [3.0, 5.0]], [[2.0, 4.0], [4.0, 6.0]]])
    evaluation = Evaluation(
        adapted=adapted,
        unadapted=adapted * 0 + 1,
        shuffled=np.array([[[np.nan, 1.0], [np.nan, 2.0]], [[np.nan, 3.0], [np.nan, 4.0]]]),
        yardsticks={"floor": np.array([[0.0, 0.0], [2.0, 2.0]]), "ceiling": np.array([[4.0, 6.0], [6.0, 8.0]])},
        trials=_evaluate(num_replays=1).trials,
    )
    summary = summarize(evaluation, confidence=0.9)
    assert (summary["num_seeds"], summary["num_tasks"], summary["num_episodes"]) == (2, 2, 2)
    value = lambda estimate: estimate["value"]
    assert [value(e) for e in summary["adapted"]["per_episode"]["mean"]] == [2.5, 4.5]
    assert value(summary["adapted"]["total"]["mean"]) == 7.0
    assert value(summary["adapted"]["first"]["mean"]) == 2.5
    assert value(summary["adapted"]["last"]["mean"]) == 4.5
    assert value(summary["unadapted"]["total"]["mean"]) == 2.0
    assert value(summary["shuffled"]["last"]["mean"]) == 2.5
    assert [y["name"] for y in summary["yardsticks"]] == ["floor", "ceiling"]
    assert [y["total"] for y in summary["yardsticks"]] == [2.0, 12.0]
    assert summary["yardsticks"][0]["standard_error"] == 2.0
    assert summary["regret"]["reference"] == "ceiling"
    assert value(summary["regret"]["total"]) == 5.0
    assert [value(e) for e in summary["regret"]["per_episode"]] == [2.5, 2.5]
    score = summary["normalized_score"]
    assert (score["floor"], score["ceiling"], value(score["total"])) == ("floor", "ceiling", 0.5)
    # Seed totals 6 and 8: t(.95; 1) = 6.313752.
    assert summary["adapted"]["total"]["mean"]["high"] == pytest.approx(7 + 6.313752, rel=1e-6)


def test_a_ceiling_that_is_no_higher_than_the_floor_gives_no_score():
    evaluation = _evaluate(yardsticks=(_Multiple("only", 1.0),))
    assert "normalized_score" not in summarize(evaluation)
