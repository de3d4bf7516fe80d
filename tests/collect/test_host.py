"""The host collector gives the trials that the compiled one gives."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from algorithms_table import BANDIT, METHODS, SOME_METHODS, ppo
from compile_counter import compilations
from jaxtyping import Array, Float
from toys import CoinFlipper, Scripted, SelfSeeded, Staircase, arrays_of
from worlds import NoiseWorld, PlaneWorld, StaircaseWorld

from quickstudy.algorithms.context.rl2 import RL2
from quickstudy.collect.graph import GraphCollector
from quickstudy.collect.host import HostCollector
from quickstudy.envs.base import AbstractEnv
from quickstudy.envs.host import HostEnv
from quickstudy.envs.point import PointEnv, PointTask
from quickstudy.errors import InvalidArgument
from quickstudy.types import Budget, EnvStep, Spec

BUDGET = Budget(2, 3, 2)
TASKS = jnp.array([1.0, 0.2, 0.5])
HOST = HostCollector(HostEnv.of(StaircaseWorld()))
GRAPH = GraphCollector(Staircase())


class Plane(AbstractEnv):
    """The compiled twin of `PlaneWorld`: the point, its observation in two parts."""

    point: PointEnv = PointEnv(horizon=4, reward_radius=None, ends_at_goal=True)

    @property
    def spec(self) -> Spec:
        part = jax.ShapeDtypeStruct((1,), jnp.float32)
        return Spec({"x": part, "y": part}, self.point.spec.action, None)

    def reset(self, task, *, key):
        state, obs = self.point.reset(self._task(task), key=key)
        return state, self._obs(obs)

    def step(self, task, state, action, *, key):
        state, out = self.point.step(self._task(task), state, action, key=key)
        return state, EnvStep(self._obs(out.obs), *out[1:])

    def _obs(self, obs: Float[Array, " 2"]):
        return {"x": obs[:1], "y": obs[1:]}

    def _task(self, task):
        return PointTask(task["goal"], jnp.zeros(()))


def assert_close(one, other, **tolerance):
    tolerance = tolerance or {"rtol": 1e-5, "atol": 1e-5}
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for a, b in zip(arrays_of(one), arrays_of(other), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        np.testing.assert_allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), **tolerance)


def without_envs(trial):
    """All of a trial but what is left of its environments, which only the collectors know."""
    return trial._replace(final=trial.final._replace(env_state=None))


@pytest.mark.parametrize(
    "method",
    [
        pytest.param(m, marks=[] if m in SOME_METHODS else pytest.mark.slow, id=m.name)
        for m in METHODS
        if not m.continuous
    ],
)
def test_every_method_has_equal_trials_through_both_collectors(method):
    algorithm = method.build(BANDIT)
    params = algorithm.init(HOST.spec, key=jax.random.key(0)).params
    fresh_blocks = method.budgets(BANDIT).test.fresh_blocks
    arguments = (algorithm.learner, params, TASKS, Budget(3, 3 if fresh_blocks else 2, 2, fresh_blocks))
    host, graph = (c.collect(*arguments, key=jax.random.key(1)) for c in (HOST, GRAPH))
    assert_close(without_envs(host), without_envs(graph))
    assert np.unique(host.trajectory.action).size == 2
    assert host.trajectory.terminated.any()
    assert host.trajectory.truncated.any()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_continuous_actions_and_dictionaries_give_equal_trials(num_workers):
    host = HostCollector(HostEnv.of(PlaneWorld()), num_workers=num_workers)
    graph = GraphCollector(Plane())
    tasks = {"goal": jnp.array([[0.1, -0.2], [0.0, 0.06], [0.4, 0.4]])}
    algorithm = RL2(width=8, ppo=ppo())
    params = algorithm.init(host.spec, key=jax.random.key(0)).params
    arguments = (algorithm.learner, params, tasks, Budget(2, 4, 2))
    one, other = (c.collect(*arguments, key=jax.random.key(1)) for c in (host, graph))
    host.close()
    assert_close(without_envs(one), without_envs(other))


def test_the_spec_is_that_of_the_compiled_twin():
    assert HOST.spec == Staircase().spec
    assert HostCollector(HostEnv.of(PlaneWorld())).spec == Plane().spec


def test_groups_and_workers_change_nothing():
    key = jax.random.key(3)
    whole = HOST.collect(CoinFlipper(), None, TASKS, BUDGET, key=key)
    for settings in ({"max_envs": 2}, {"num_workers": 2, "max_envs": 4}):
        other = HostCollector(HOST.env, **settings)
        assert_close(other.collect(CoinFlipper(), None, TASKS, BUDGET, key=key), whole, rtol=0)
        other.close()


def test_seeds_are_independent_batches():
    scripts = jnp.array([[1, 1], [1, 0], [0, 0]])
    tasks = TASKS[None] + jnp.arange(3.0)[:, None]
    keys = jax.random.split(jax.random.key(0), 3)
    together = HOST.collect_seeds(Scripted(), scripts, tasks, BUDGET, key=keys)
    for i in range(3):
        alone = HOST.collect(Scripted(), scripts[i], tasks[i], BUDGET, key=keys[i])
        assert_close(jax.tree.map(lambda x, i=i: x[i], together), alone, rtol=0)


def test_a_second_trial_compiles_nothing():
    run = lambda seed: HOST.collect(SelfSeeded(CoinFlipper()), None, TASKS, BUDGET, key=jax.random.key(seed))
    run(0)
    with compilations() as compiled:
        run(1)
    assert compiled == []


def test_fresh_blocks_begin_new_episodes_and_are_cut():
    script, budget = jnp.array([0]), Budget(2, 2, 2, fresh_blocks=True)
    trial = HOST.collect(Scripted(), script, TASKS, budget, key=jax.random.key(0))
    assert_close(
        without_envs(trial), without_envs(GRAPH.collect(Scripted(), script, TASKS, budget, key=jax.random.key(0)))
    )
    assert trial.trajectory.timestep.first[:, :, 0].all()
    assert trial.trajectory.truncated[:, :, -1].all()
    again = HOST.collect(Scripted(), script, TASKS, budget, key=jax.random.key(0), start=trial.final)
    assert again.trajectory.timestep.first[:, 0, 0].all()


def test_a_trial_goes_on_between_episodes():
    script = jnp.array([0, 0, 0, 1, 0, 1])
    whole = HOST.collect(Scripted(), script, TASKS, BUDGET, key=jax.random.key(0))
    first = HOST.collect(Scripted(), script, TASKS, BUDGET._replace(num_blocks=1), key=jax.random.key(1))
    assert not first.final.env_state.unfinished.any()
    rest = HOST.collect(
        Scripted(), script, TASKS, BUDGET._replace(num_blocks=1), key=jax.random.key(2), start=first.final
    )
    joined = jax.tree.map(lambda a, b: jnp.concatenate([a, b], 1), first.trajectory, rest.trajectory)
    assert_close(joined, whole.trajectory, rtol=0)
    assert_close(rest.final, whole.final, rtol=0)


def test_a_trial_cannot_go_on_in_the_middle_of_an_episode():
    script, budget = jnp.array([0]), Budget(1, 2, 2)
    stopped = HOST.collect(Scripted(), script, TASKS, budget, key=jax.random.key(0)).final
    with pytest.raises(InvalidArgument, match="in the middle of an episode in 6 of 6 streams"):
        HOST.collect(Scripted(), script, TASKS, budget, key=jax.random.key(1), start=stopped)
    lives_on = stopped._replace(env_state=None)
    trial = HOST.collect(Scripted(), script, TASKS, budget, key=jax.random.key(1), start=lives_on)
    assert trial.trajectory.timestep.first[:, 0, 0].all()
    np.testing.assert_array_equal(trial.carry[:, 0], jnp.full((3, 2), 2))
    compiled = GRAPH.collect(Scripted(), script, TASKS, budget, key=jax.random.key(0)).final
    with pytest.raises(InvalidArgument, match="of a compiled environment"):
        HOST.collect(Scripted(), script, TASKS, budget, key=jax.random.key(1), start=compiled)


def test_seeds_reach_every_environment_and_repeat():
    collector = HostCollector(HostEnv.of(NoiseWorld()))
    run = lambda seed: collector.collect(Scripted(), jnp.array([0]), TASKS, Budget(2, 5, 2), key=jax.random.key(seed))
    np.random.seed(0)
    one = run(0)
    np.random.seed(1)
    assert_close(run(0), one, rtol=0)
    obs = np.asarray(one.trajectory.timestep.obs)
    assert np.unique(obs).size == obs.size
    assert not np.isin(np.asarray(run(1).trajectory.reward), np.asarray(one.trajectory.reward)).any()


def test_the_true_last_observation_is_kept_and_the_next_episode_is_shown():
    trial = HOST.collect(Scripted(), jnp.array([1]), TASKS, BUDGET, key=jax.random.key(0))
    stream = jax.tree.map(lambda x: np.asarray(x[0, :, :, 0]).reshape(6, -1)[:, 0], trial.trajectory)
    np.testing.assert_array_equal(stream.next_obs, [1, 2, 1, 2, 1, 2])
    np.testing.assert_array_equal(stream.timestep.obs, [0, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(stream.timestep.first, [1, 0, 1, 0, 1, 0])
    np.testing.assert_array_equal(stream.timestep.prev_reward, [0, 1, 2, 1, 2, 1])
    np.testing.assert_array_equal(stream.terminated, [0, 1, 0, 1, 0, 1])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_workers": -1}, "num_workers must be at least 0"),
        ({"timeout": 0.0}, "timeout must be positive"),
        ({"max_restarts": -1}, "max_restarts must be at least 0"),
        ({"max_envs": 0}, "max_envs must be a whole number of at least 1"),
    ],
)
def test_settings_that_cannot_work(settings, message):
    with pytest.raises(InvalidArgument, match=message):
        HostCollector(HOST.env, **settings)


def test_params_on_several_devices_are_no_obstacle():
    """As `meta_train` places them: replicated, or one seed a device."""
    from quickstudy.parallel import place_seeds

    script = place_seeds(jnp.array([[1, 0]]), 1)
    trial = HOST.collect_seeds(Scripted(), script, TASKS[None], BUDGET, key=jax.random.split(jax.random.key(0), 1))
    assert not any(x.committed for x in jax.tree.leaves(eqx.filter(trial, eqx.is_array)))
