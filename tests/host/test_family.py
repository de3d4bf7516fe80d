"""A user's world as a family."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from worlds import NoiseWorld, PlaneWorld, StaircaseWorld

from quickstudy.envs.host import HostEnv
from quickstudy.errors import InvalidArgument
from quickstudy.evaluation import evaluate, summarize
from quickstudy.host.family import HostFamily
from quickstudy.host.world import to_task
from quickstudy.meta import NoMeta
from quickstudy.train import init_train_state, meta_train
from quickstudy.types import Budget


@dataclasses.dataclass(frozen=True)
class Climber(StaircaseWorld):
    """A staircase that knows what climbing at once is worth: heights 1 and 2, twice in... as often as fits."""

    def yardsticks(self):
        return {"climbing": lambda task: 3 * task}


def test_budget_episodes_and_spec_are_the_worlds():
    family = HostFamily(NoiseWorld())
    assert family.budget == Budget(2, 5, 2)
    assert family.num_episodes == 2
    assert family.env.spec.num_actions == 2


def test_tasks_are_decided_by_key_and_split():
    family = HostFamily(PlaneWorld())
    draw = lambda split, seed: np.asarray(family.tasks(split).batch(3, key=jax.random.key(seed))["goal"])
    assert draw("train", 0).shape == (3, 2)
    np.random.seed(1)
    np.testing.assert_array_equal(draw("train", 0), draw("train", 0))
    assert np.unique(np.stack([draw("train", 0), draw("test", 0), draw("train", 1)])).size == 18


def test_a_split_that_the_world_does_not_have():
    with pytest.raises(InvalidArgument, match="unknown split of StaircaseWorld 'ood'"):
        HostFamily(StaircaseWorld()).tasks("ood")


def test_training_draws_fresh_tasks_and_evaluation_knows_the_yardsticks():
    from toys import CoinFlipper, Tally

    family = HostFamily(Climber())
    arguments = {"num_steps": 2, "num_tasks": 3, "key": jax.random.key(0), "num_seeds": 2}
    trained = meta_train(Tally(), family.collector, family.tasks("train"), family.budget, **arguments)
    assert np.unique(trained.meta.params[0]).size == 2
    evaluation = evaluate(
        *(CoinFlipper(), trained.meta.params, family.collector, family.tasks("test"), family.budget),
        num_seeds=2,
        num_tasks=4,
        num_episodes=2,
        key=jax.random.key(1),
        yardsticks=family.yardsticks(),
        num_replays=1,
    )
    assert list(evaluation.yardsticks) == ["random", "climbing"]
    assert evaluation.yardsticks["climbing"].shape == (4, 2)
    assert ((evaluation.yardsticks["climbing"] >= 3) & (evaluation.yardsticks["climbing"] <= 6)).all()
    summary = summarize(evaluation)
    assert summary["regret"]["reference"] == "climbing"
    assert evaluation.adapted.shape == (2, 4, 2)


def test_a_replay_is_plain_data():
    family = HostFamily(PlaneWorld())
    algorithm = NoMeta(family.yardsticks()[0].learner)
    params = init_train_state(algorithm, family.collector, num_seeds=1, key=jax.random.key(0)).meta.params
    task = {"goal": jnp.array([0.25, 0.5])}
    batch = jax.tree.map(lambda x: x[None], task)
    trial = family.collector.collect(algorithm.learner, params, batch, Budget(1, 4), key=jax.random.key(0))
    stream = jax.tree.map(lambda x: np.asarray(x[0, 0, :, 0]), trial.trajectory)
    replay = family.replay(task, stream)
    assert (replay["kind"], replay["task"]) == ("rewards", {"goal": [0.25, 0.5]})
    assert len(replay["rewards"]) == 4


class Nothing:
    horizon = 3


class TwoAtOnce(StaircaseWorld):
    def make(self):
        import gymnasium

        return gymnasium.make_vec("CartPole-v1", num_envs=2)


class Wordy(StaircaseWorld):
    def sample_task(self, rng, split):
        return "north"


class OneArgument(StaircaseWorld):
    def sample_task(self, rng):
        return 1.0


@pytest.mark.parametrize(
    ("world", "message"),
    [
        (Nothing(), "Nothing is no task family, it lacks make, sample_task, num_episodes"),
        (TwoAtOnce(), "TwoAtOnce.make must return one gymnasium.Env"),
        (OneArgument(), r"OneArgument.sample_task must take \(rng, split\)"),
    ],
)
def test_what_is_no_world(world, message):
    with pytest.raises(InvalidArgument, match=message):
        HostEnv.of(world)


def test_a_clock_must_tick():
    world = StaircaseWorld(horizon=0)
    with pytest.raises(InvalidArgument, match=r"StaircaseWorld\.horizon must be a whole number of at least 1, got 0"):
        HostEnv.of(world)


def test_a_task_must_be_numbers():
    with pytest.raises(InvalidArgument, match="gave 'north', and a task must be numbers"):
        HostFamily(Wordy()).tasks("train").batch(2, key=jax.random.key(0))


def test_a_task_reaches_user_code_as_plain_numbers():
    task = to_task({"m": np.float32(0.5), "goals": (np.zeros(2), np.int32(3))})
    assert type(task["m"]) is float
    assert type(task["goals"][1]) is int
    np.testing.assert_array_equal(task["goals"][0], [0.0, 0.0])


def test_a_world_that_cannot_be_sent_to_workers():
    @dataclasses.dataclass(frozen=True)
    class Local(StaircaseWorld):
        pass

    with pytest.raises(InvalidArgument, match=r"Local cannot be sent to worker processes .* set num_workers=0"):
        HostFamily(Local(), num_workers=1).collector  # noqa: B018
