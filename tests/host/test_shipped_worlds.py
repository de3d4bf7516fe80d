"""The families over other libraries that come along: the contract, and rewards worked out from the source."""

import dataclasses

import gymnasium
import metaworld
import numpy as np
import pytest

from quickstudy.catalog import FAMILIES
from quickstudy.check.contract import check_contract
from quickstudy.errors import InvalidArgument
from quickstudy.extras import import_extra
from quickstudy.host.family import HostFamily
from quickstudy.worlds.driving import BEYOND, RANGES, HighwayDriving
from quickstudy.worlds.meta_world import MetaWorldML1, benchmark_tasks
from quickstudy.worlds.mujoco import AntDir, HalfCheetahDir, HalfCheetahVel

SHIPPED = [name for name, entry in FAMILIES.items() if entry.extra]


def rollout(env, actions, seed=0):
    env.reset(seed=seed)
    return [env.step(action) for action in actions]


def actions(env, count=5):
    env.action_space.seed(1)
    return [env.action_space.sample() for _ in range(count)]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_contract_holds(name):
    family = FAMILIES[name].load()()
    assert isinstance(family, HostFamily)
    world = dataclasses.replace(family.world, horizon=4)
    assert [finding for finding in check_contract(world) if not finding.passed] == []


def test_a_cheetah_is_paid_for_its_speed():
    world = HalfCheetahVel()
    env, plain = world.make(), gymnasium.make("HalfCheetah-v5")
    world.set_task(env, 1.5)
    moves = actions(plain)
    for mine, theirs, action in zip(rollout(env, moves), rollout(plain, moves), moves, strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])
        cost = 0.05 * np.square(action).sum()
        assert mine[1] == pytest.approx(-abs(theirs[4]["x_velocity"] - 1.5) - cost, abs=1e-6)


def test_one_speed_for_all_earns_no_more_than_its_bound():
    world = HalfCheetahVel(horizon=100)
    bound = world.yardsticks()["bound: the middle speed at once, for nothing"]
    speeds = np.linspace(0, world.max_speed, 301)
    at = lambda speed: sum(world.pay(task, np.array([speed])) for task in speeds) / len(speeds) * world.horizon
    assert np.mean([bound(task) for task in speeds]) == pytest.approx(max(at(speed) for speed in speeds))


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_cheetah_is_paid_for_its_direction(direction):
    world = HalfCheetahDir()
    env, plain = world.make(), gymnasium.make("HalfCheetah-v5")
    world.set_task(env, direction)
    moves = actions(plain)
    for mine, theirs, action in zip(rollout(env, moves), rollout(plain, moves), moves, strict=True):
        cost = 0.05 * np.square(action).sum()
        assert mine[1] == pytest.approx(direction * theirs[4]["x_velocity"] - cost, abs=1e-6)


def test_an_ant_is_paid_for_its_direction_and_keeps_its_costs():
    world = AntDir(plane=True)
    env, plain = world.make(), gymnasium.make("Ant-v5")
    world.set_task(env, np.pi / 2)
    moves = actions(plain)
    for mine, theirs in zip(rollout(env, moves), rollout(plain, moves), strict=True):
        rest = theirs[1] - theirs[4]["reward_forward"]
        assert mine[1] == pytest.approx(theirs[4]["y_velocity"] + rest, abs=1e-6)
    assert env.observation_space.shape == (27,)


def test_speeds_and_directions_of_every_split():
    rng = np.random.default_rng(0)
    draws = lambda world, split: [world.sample_task(rng, split) for _ in range(50)]
    assert 0 <= min(draws(HalfCheetahVel(), "test")) < max(draws(HalfCheetahVel(), "test")) <= 3
    assert 3 <= min(draws(HalfCheetahVel(), "ood")) < max(draws(HalfCheetahVel(), "ood")) <= 4
    assert set(draws(HalfCheetahDir(), "train")) == {-1.0, 1.0}
    assert set(draws(AntDir(), "train")) == {0.0, np.pi}
    assert len(set(draws(AntDir(plane=True), "train"))) == 50


def test_meta_world_s_own_tasks_reach_its_environment():
    world = MetaWorldML1()
    own = metaworld.ML1("reach-v3", seed=0)
    env, theirs = world.make(), own.train_classes["reach-v3"](reward_function_version="v2")
    drawn = world.sample_task(np.random.default_rng(0), "test")
    index = [i for i, task in enumerate(benchmark_tasks("reach-v3", 0, "test")) if np.array_equal(task, drawn)]
    world.set_task(env, drawn)
    theirs.set_task(own.test_tasks[index[0]])
    moves = actions(theirs)
    for mine, reference in zip(rollout(env, moves), rollout(theirs, moves), strict=True):
        np.testing.assert_allclose(mine[0], reference[0], atol=1e-6)
        assert mine[1] == pytest.approx(reference[1], abs=1e-5)
    np.testing.assert_array_equal(mine[0][-3:], 0)


def test_meta_world_s_splits_share_no_task():
    splits = [
        {tuple(task) for task in benchmark_tasks("reach-v3", 0, name)} for name in ("train", "validation", "test")
    ]
    assert [len(split) for split in splits] == [50, 50, 50]
    assert len(set.union(*splits)) == 150


def test_meta_world_s_conventions_of_return_differ():
    returns = []
    for reward in ("v1", "v2"):
        world = MetaWorldML1(reward=reward)
        env = world.make()
        world.set_task(env, benchmark_tasks("reach-v3", 0, "train")[0])
        returns.append(rollout(env, [np.zeros(4, np.float32)])[0][1])
    assert abs(returns[0] - returns[1]) > 1


def test_success_is_paid_for_where_it_is_asked_for():
    plain, world = MetaWorldML1(), MetaWorldML1(success_bonus=3.0)
    task = benchmark_tasks("reach-v3", 0, "train")[0]
    envs = [plain.make(), world.make()]
    for env, w in zip(envs, (plain, world), strict=True):
        w.set_task(env, task)
        obs, _ = env.reset(seed=0)
    solved = []
    for _ in range(60):
        action = np.append(np.clip(10 * (task[-3:] - obs[:3]), -1, 1), 0).astype(np.float32)
        (obs, reward, *_, info), paid = (env.step(action) for env in envs)
        assert paid[1] == pytest.approx(reward + 3.0 * info["success"])
        solved.append(info["success"])
    assert solved[0] == 0
    assert solved[-1] == 1


def test_what_meta_world_does_not_know():
    with pytest.raises(InvalidArgument, match="did you mean 'reach-v3'"):
        MetaWorldML1(name="reach-v33").make()
    with pytest.raises(InvalidArgument, match="unknown convention of the return 'v3'"):
        MetaWorldML1(reward="v3")
    with pytest.raises(InvalidArgument, match="success_bonus must be at least 0, got -1"):
        MetaWorldML1(success_bonus=-1.0)


def test_traffic_and_car_are_the_task_s():
    world = HighwayDriving()
    task = {"density": 1.2, "headway": 2.0, "response": 0.5}
    env = world.make()
    world.set_task(env, task)
    env.reset(seed=0)
    road_env = env.unwrapped
    others = [v for v in road_env.road.vehicles if v not in road_env.controlled_vehicles]
    assert len(others) == 20
    assert {v.TIME_WANTED for v in others} == {2.0}
    assert road_env.vehicle.KP_A == 2.0
    assert road_env.config["vehicles_density"] == 1.2


def test_traffic_out_of_distribution_lies_beyond():
    rng = np.random.default_rng(0)
    for split, ranges in (("test", RANGES), ("ood", BEYOND)):
        for name, value in HighwayDriving().sample_task(rng, split).items():
            assert ranges[name][0] <= value <= ranges[name][1]


def test_a_missing_extra_says_how_it_is_installed():
    with pytest.raises(InvalidArgument, match=r"HalfCheetahVel needs an extra: pip install 'quickstudy\[mujoco\]'"):
        import_extra("no_such_module_at_all", extra="mujoco", purpose="HalfCheetahVel")
