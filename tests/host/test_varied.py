"""A family out of any registered environment."""

import numpy as np
import pytest

from quickstudy.envs.host import HostEnv
from quickstudy.errors import InvalidArgument
from quickstudy.host.family import HostFamily
from quickstudy.host.varied import Range, Varied, parse_ranges


def test_ranges_by_hand():
    assert parse_ranges("m=0.5:2.0, l=1:2:4,g=1:2:0.5") == {
        "m": Range(0.5, 2.0, 2.75),
        "l": Range(1.0, 2.0, 4.0),
        "g": Range(1.0, 2.0, 0.5),
    }


@pytest.mark.parametrize("text", ["", "m", "m=1", "m=1:a", "m=2:1", "m=1:2:1.5", "=1:2", "m=1:2,m=3:4", "m=1:2:3:4"])
def test_what_is_no_range(text):
    with pytest.raises(InvalidArgument, match=r"vary .*(must be name=low:high|a name of its own|needs low < high)"):
        Varied(vary=text)


def test_arguments_and_attributes_reach_the_environment():
    world = Varied(vary="g=5:15,m=0.5:2.0", max_steps=7)
    env = world.make({"g": 6.0, "m": 1.5})
    assert (env.unwrapped.g, env.unwrapped.m) == (6.0, 1.5)
    env.reset(seed=0)
    assert [env.step(np.zeros(1, np.float32))[3] for _ in range(7)] == [False] * 6 + [True]


def test_dots_reach_into_an_attribute():
    env = Varied(vary="spec.reward_threshold=1:2").make({"spec.reward_threshold": 1.5})
    assert env.unwrapped.spec.reward_threshold == 1.5


def test_splits_and_what_lies_beyond():
    world = Varied(vary="m=1:2,l=1:2:0.5")
    rng = np.random.default_rng(0)
    draws = lambda split, name: [world.sample_task(rng, split)[name] for _ in range(50)]
    assert 1 <= min(draws("test", "m")) < max(draws("test", "m")) <= 2
    assert 2 <= min(draws("ood", "m")) < max(draws("ood", "m")) <= 2.5
    assert 0.5 <= min(draws("ood", "l")) < max(draws("ood", "l")) <= 1
    assert HostFamily(world).tasks("ood").name == "ood"


def test_the_clock_is_the_registered_one():
    assert Varied().horizon == 200
    assert Varied(max_steps=30).horizon == 30


@pytest.mark.parametrize(
    ("world", "message"),
    [
        (Varied(vary="mass=1:2"), "unknown argument or attribute of Pendulum-v1 'mass': .*known: .*max_torque"),
        (Varied(gym_id="Pendulem-v1"), "gym_id 'Pendulem-v1' cannot be made"),
    ],
)
def test_what_cannot_be_varied(world, message):
    with pytest.raises(InvalidArgument, match=message):
        HostEnv.of(world)
