"""The shipped agent: adaptation by itself, sessions, what is stored, and what is refused."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from algorithms_table import BANDIT, METHODS, SOME_METHODS
from toys import Scripted, SelfSeeded, arrays_of
from worlds import PlaneWorld, StaircaseEnv, StaircaseWorld

from quickstudy.collect.host import HostCollector
from quickstudy.envs.host import HostEnv
from quickstudy.errors import CheckpointError, InvalidArgument, OutOfOrder
from quickstudy.experiment import Experiment
from quickstudy.host.family import HostFamily
from quickstudy.run_directory import RunDirectory
from quickstudy.ship.agent import Agent
from quickstudy.ship.learner_brain import brain_of, layout_of_spec
from quickstudy.ship.loading import load
from quickstudy.ship.store import read_arrays
from quickstudy.types import Budget

ENV = HostEnv.of(StaircaseWorld())


def agent_of(learner, params, block_length=3, num_streams=1, fresh_blocks=False):
    block = Budget(1, block_length, num_streams, fresh_blocks)
    return Agent(brain_of(learner, params, ENV.spec, ENV.layout, block, weights=None, write=lambda path: None))


def live(agent, num_steps, env=None, task=0.5, shows_successor=True):
    """Steps in a staircase of three steps an episode, and what the agent did in them."""
    env, actions, clock = env or StaircaseEnv(), [], 0
    obs, _ = env.reset(options={"task": task})
    for _ in range(num_steps):
        action = agent.act(obs)
        actions.append(action)
        obs, reward, terminated, truncated, _ = env.step(action)
        clock += 1
        truncated = clock == 3 and not terminated
        agent.observe(reward, terminated, truncated, obs if shows_successor else None)
        if terminated or truncated:
            (obs, _), clock = env.reset(options={"task": task}), 0
    return actions


@pytest.mark.parametrize("method", SOME_METHODS, ids=lambda method: method.name)
def test_it_does_what_the_learner_does_in_a_collected_trial(method):
    algorithm = method.build(BANDIT)
    params = algorithm.init(ENV.spec, key=jax.random.key(0)).params
    learner = SelfSeeded(algorithm.learner, seed=5)
    tasks = jnp.array([0.5])
    trial = HostCollector(ENV).collect(learner, params, tasks, Budget(3, 4, 1), key=jax.random.key(0))
    agent = agent_of(learner, params, block_length=4)
    agent.begin_task()
    assert live(agent, 12) == np.ravel(trial.trajectory.action).tolist()
    session = agent._session
    for mine, theirs in zip(session.state, arrays_of(trial.final.state), strict=True):
        np.testing.assert_allclose(mine, np.asarray(theirs)[0], rtol=1e-5, atol=1e-6)


def test_updates_happen_at_the_ends_of_blocks_even_when_successors_are_not_shown():
    for shows, after in ((True, [0, 0, 1, 1, 1, 2, 2]), (False, [0, 0, 1, 1, 1, 2, 2])):
        agent = agent_of(Scripted(), jnp.array([0], jnp.int32))
        agent.begin_task()
        blocks = []
        for _ in range(7):
            live(agent, 1, shows_successor=shows)
            blocks.append(agent._session.num_blocks)
        late = [0, *after[:-1]] if not shows else after
        assert blocks == late


def test_a_successor_that_is_shown_at_once_or_later_is_the_same():
    algorithm = METHODS[-1].build(BANDIT)
    learner = SelfSeeded(algorithm.learner, seed=1)
    params = algorithm.init(ENV.spec, key=jax.random.key(0)).params
    results = []
    for shows in (True, False):
        agent = agent_of(learner, params)
        agent.begin_task()
        results.append(live(agent, 20, shows_successor=shows))
    assert results[0] == results[1]


class Recorder(Scripted):
    """A script whose state is the last block's rewards and truncations."""

    def init(self, params, *, key):
        return jnp.zeros((3, 2)), jnp.zeros((3, 2), bool)

    def act(self, params, state, carry, timestep, *, key):
        return params[carry % params.shape[0]], carry + 1, None

    def update(self, params, state, trajectory, *, key):
        return (trajectory.reward, trajectory.truncated), {}


def test_streams_of_a_block_are_lived_through_one_after_the_other():
    agent = agent_of(Recorder(), jnp.array([1, 0, 0, 1, 0, 1], jnp.int32), num_streams=2, fresh_blocks=True)
    assert agent.block_length == 6
    agent.begin_task()
    live(agent, 6, task=1.0)
    rewards, truncated = agent._session.state
    np.testing.assert_array_equal(rewards, [[1, 1], [1, 1], [1, 2]])
    np.testing.assert_array_equal(truncated, [[0, 0], [0, 0], [1, 0]])


def test_sessions_do_not_know_of_each_other():
    learner, params = Scripted(), jnp.array([0, 1, 1], jnp.int32)
    one = agent_of(learner, params)
    other = one.session()
    one.begin_task()
    other.begin_task()
    assert live(one, 2) == [0, 1]
    assert live(other, 3) == [0, 1, 1]
    assert live(one, 1) == [1]
    assert (one.num_steps, other.num_steps) == (3, 3)
    one.end_task()
    one.begin_task()
    assert live(one, 1) == [0]


def test_the_seed_of_a_task_decides_its_draws():
    from toys import CoinFlipper

    agent, runs = agent_of(CoinFlipper(), None), []
    for seed in (0, 0, 1):
        agent.begin_task(seed)
        runs.append(live(agent, 30))
    assert runs[0] == runs[1] != runs[2]
    assert set(runs[0]) == {0, 1}


def test_what_is_out_of_order():
    agent = agent_of(Scripted(), jnp.array([0], jnp.int32))
    for call in (lambda: agent.act(np.zeros(1)), lambda: agent.observe(0.0, False, False), agent.end_task):
        with pytest.raises(OutOfOrder, match="outside of a task: call begin_task first"):
            call()
    agent.begin_task()
    with pytest.raises(OutOfOrder, match="without an action: call act first"):
        agent.observe(0.0, False, False)
    agent.act(np.zeros(1))
    with pytest.raises(OutOfOrder, match="act was called twice"):
        agent.act(np.zeros(1))


def test_what_cannot_be_observed():
    agent = agent_of(Scripted(), jnp.array([0], jnp.int32))
    with pytest.raises(InvalidArgument, match=r"seed must be a whole number in \[0, 2³²\), got -1"):
        agent.begin_task(-1)
    agent.begin_task()
    with pytest.raises(InvalidArgument, match=r"has shape \(2,\), and its space says \(1,\)"):
        agent.act(np.zeros(2))
    agent.act(np.zeros(1))
    with pytest.raises(InvalidArgument, match="reward must be a finite number, got nan"):
        agent.observe(np.nan, False, False)


def test_the_layout_of_a_compiled_environment():
    from quickstudy.envs.point import PointNavigation

    layout = layout_of_spec(PointNavigation().env.spec)
    np.testing.assert_allclose(layout.action.decode(np.array([0.25, -7.0], np.float32)), [0.25, -1.0])
    assert layout_of_spec(BANDIT.env.spec).action.decode(np.int32(1)) == 1
    assert layout.obs.decode(layout.obs.encode(np.array([1.0, 2.0]))).tolist() == [1, 2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """One run a method, without any training: what is stored is what matters here."""
    from quickstudy import catalog
    from quickstudy.checkpoint import Checkpointer
    from quickstudy.train import init_train_state

    def write(method, family_name, family):
        entry = catalog.method(method)
        options = entry.load()()
        experiment = Experiment(method, family_name, options, family, num_steps=1, num_tasks=4, num_seeds=2)
        run = RunDirectory.create(tmp_path_factory.mktemp("runs") / method, experiment.config())
        state = init_train_state(experiment.algorithm, experiment.collector, num_seeds=2, key=jax.random.key(0))
        with Checkpointer(run.checkpoints) as checkpointer:
            checkpointer.save(1, dataclasses.replace(state, step=jnp.ones((), jnp.int32)))
        return run.path

    return {
        "rl2": write("rl2", "worlds:PlaneWorld", HostFamily(PlaneWorld())),
        "random": write("random", "worlds:PlaneWorld", HostFamily(PlaneWorld())),
        "thompson": write("thompson", "bernoulli-bandit", BANDIT),
    }


@pytest.mark.parametrize("method", ["rl2", "random", "thompson"])
def test_an_adapted_agent_goes_on_where_it_was_saved(method, runs, tmp_path, monkeypatch):
    def step(agent, i):
        blank = {"x": np.array([i / 9]), "y": np.zeros(1)} if method != "thompson" else np.ones(1)
        action = agent.act(blank)
        agent.observe(i % 3, method == "thompson", i % 4 == 3)
        return np.asarray(action).tolist()

    agent = load(runs[method], training_seed=1)
    agent.begin_task(seed=7)
    for i in range(6):
        step(agent, i)
    agent.save(tmp_path / "agent")
    # The user's module is not needed where the agent is run.
    monkeypatch.setitem(__import__("sys").modules, "worlds", None)
    again = load(tmp_path / "agent")
    assert again.num_steps == 6
    assert [step(again, i) for i in range(6, 20)] == [step(agent, i) for i in range(6, 20)]
    again.end_task()
    again.save(tmp_path / "agent")
    with pytest.raises(OutOfOrder):
        load(tmp_path / "agent").act(np.zeros(1))


def test_nothing_but_safetensors_and_json_is_written(runs, tmp_path):
    agent = load(runs["rl2"])
    agent.begin_task()
    agent.save(tmp_path / "agent")
    names = sorted(path.name for path in (tmp_path / "agent").iterdir())
    assert names == ["agent.json", "session.json", "session.safetensors", "weights.safetensors"]
    assert read_arrays(tmp_path / "agent" / "weights.safetensors")["[1].cell.cell.weight_hh"].shape == (192, 64)
    description = json.loads((tmp_path / "agent" / "agent.json").read_text())
    assert (description["method"], description["training_seed"], description["step"]) == ("rl2", 0, 1)


def test_an_agent_that_cannot_be_loaded(runs, tmp_path):
    with pytest.raises(InvalidArgument, match="is not a run directory"):
        load(tmp_path)
    with pytest.raises(InvalidArgument, match="training_seed must lie in 0 … 1, got 2"):
        load(runs["rl2"], training_seed=2)
    load(runs["rl2"]).save(tmp_path / "agent")
    description = json.loads((tmp_path / "agent" / "agent.json").read_text())
    description["method_options"]["width"] = 32
    (tmp_path / "agent" / "agent.json").write_text(json.dumps(description))
    with pytest.raises(CheckpointError, match=r"weight_ih is float32\[192, 8\], and the method has float32\[96, 8\]"):
        load(tmp_path / "agent")
    (tmp_path / "agent" / "weights.safetensors").write_bytes(b"nonsense")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(tmp_path / "agent")
    (tmp_path / "agent" / "agent.json").write_text("{")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load(tmp_path / "agent")


def test_saving_does_not_overwrite_something_else(runs, tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    agent = load(runs["random"])
    for path in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(InvalidArgument, match="is in the way and holds no agent"):
            agent.save(path)
        with pytest.raises(InvalidArgument, match="is in the way and holds no export"):
            agent.export(path)


def test_the_length_of_blocks_can_be_chosen(runs, tmp_path):
    assert load(runs["thompson"]).block_length == 1
    assert load(runs["rl2"]).block_length == 4
    assert load(runs["rl2"], block_length=9).block_length == 9
    load(runs["rl2"]).save(tmp_path / "agent")
    assert load(tmp_path / "agent", block_length=2).block_length == 2
    with pytest.raises(InvalidArgument, match="block_length must be a whole number of at least 1, got -1"):
        load(runs["rl2"], block_length=-1)
