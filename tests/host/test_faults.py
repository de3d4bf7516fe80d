"""Environments that raise, hang, die or lie: what is reported, what is mended, what is lost."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import Scripted, Tally, arrays_of
from worlds import FaultyWorld

from quickstudy.collect.host import HostCollector
from quickstudy.envs.host import HostEnv
from quickstudy.errors import EnvironmentFailed
from quickstudy.host.family import HostFamily
from quickstudy.host.pool import EnvironmentFault
from quickstudy.train import TrainState, meta_train
from quickstudy.types import Budget

TASKS = jnp.array([1.0, 2.0, 7.0, 3.0])
BUDGET = Budget(2, 4, 1)
SCRIPT = jnp.array([1])
VERBS = {
    "raise": "raised",
    "hang": "hung",
    "die": "died",
    "nan observation": "answered with a number that is not finite",
    "nan reward": "answered with a number that is not finite",
    "shape": "answered with a wrong shape",
}


def make(fault, flag, **settings):
    return HostCollector(HostEnv.of(FaultyWorld(fault, str(flag))), **settings)


def trial_of(collector):
    return collector.collect(Scripted(), SCRIPT, TASKS, BUDGET, key=jax.random.key(0))


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("fault", VERBS)
def test_a_fault_is_reported_mended_and_costs_its_episode_alone(fault, num_workers, tmp_path):
    if fault in ("hang", "die") and num_workers == 0:
        return  # They would take this process with them.
    flag = tmp_path / "flag"
    calm = trial_of(make("none", flag))
    flag.touch()
    collector = make(fault, flag, num_workers=num_workers, timeout=1.0, max_restarts=1)
    with pytest.warns(EnvironmentFault, match=rf"environment 2 {VERBS[fault]} at step 1 of its trial \(task 7.0, seed"):
        trial = trial_of(collector)
    collector.close()
    (reported,) = collector.faults
    assert (reported.env, reported.task, reported.step) == (2, 7.0, 1)
    untouched = [1, 3] if fault in ("hang", "die") else [0, 1, 3]
    for a, b in zip(arrays_of(trial.trajectory), arrays_of(calm.trajectory), strict=True):
        np.testing.assert_array_equal(np.asarray(a)[untouched], np.asarray(b)[untouched])
    stream = jax.tree.map(lambda x: np.asarray(x[2, :, :, 0]).reshape(8, -1)[:, 0], trial.trajectory)
    np.testing.assert_array_equal(stream.reward, [7, 0, 7, 14, 21, 28, 7, 14])
    np.testing.assert_array_equal(stream.truncated, [0, 1, 0, 0, 0, 1, 0, 0])
    np.testing.assert_array_equal(stream.next_obs, [1, 1, 1, 2, 3, 4, 1, 2])
    assert not stream.terminated.any()


def test_the_reported_seed_repeats_the_episode(tmp_path):
    flag = tmp_path / "flag"
    flag.touch()
    collector = make("raise", flag)
    with pytest.warns(EnvironmentFault):
        trial_of(collector)
    (fault,) = collector.faults
    env = FaultyWorld("raise", str(flag)).make()
    env.reset(seed=fault.seed, options={"task": fault.task})
    flag.touch()
    env.step(1)
    with pytest.raises(RuntimeError, match="the simulator exploded"):
        env.step(1)


@pytest.mark.parametrize(("fault", "num_workers"), [("raise always", 0), ("raise always", 1), ("reset", 1)])
@pytest.mark.filterwarnings("ignore::quickstudy.host.pool.EnvironmentFault")
def test_beyond_the_budget_it_gives_up_and_says_where(fault, num_workers, tmp_path):
    flag = tmp_path / "flag"
    flag.touch()
    collector = make(fault, flag, num_workers=num_workers, max_restarts=1)
    with pytest.raises(
        EnvironmentFailed, match=r"environment 2 raised .*task 7.0.* this is fault 2, and max_restarts=1"
    ):
        trial_of(collector)
    assert len(collector.faults) == 2


@pytest.mark.filterwarnings("ignore::quickstudy.host.pool.EnvironmentFault")
def test_what_was_finished_before_giving_up_is_kept(tmp_path):
    flag = tmp_path / "flag"
    family = HostFamily(FaultyWorld("raise always", str(flag)), max_restarts=0)
    states: list[TrainState] = []

    def on_step(step, state, metrics):
        states.append(state)
        if step == 2:
            flag.touch()

    with pytest.raises(EnvironmentFailed, match="max_restarts=0"):
        meta_train(
            *(Tally(), family.collector, family.tasks("train"), family.budget),
            num_steps=9,
            num_tasks=2,
            key=jax.random.key(0),
            on_step=on_step,
        )
    assert [int(state.step) for state in states] == [1, 2]
