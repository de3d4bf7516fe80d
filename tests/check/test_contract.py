"""Every promise, kept and broken."""

import dataclasses
import itertools

import numpy as np
import pytest
from worlds import NoiseWorld, PlaneWorld, StaircaseEnv, StaircaseWorld

from quickstudy.check.contract import CHECKS, check_contract
from quickstudy.host.varied import Varied


def broken(world):
    return [finding.check for finding in check_contract(world) if not finding.passed]


@pytest.mark.parametrize("world", [StaircaseWorld(), NoiseWorld(), PlaneWorld(), Varied(max_steps=20)])
def test_sound_worlds_pass(world):
    assert broken(world) == []


def world_of(env, **members):
    """A staircase world with another environment, or with other members."""
    members |= {} if env is None else {"make": lambda self: env()}
    return dataclasses.make_dataclass("Broken", [], bases=(StaircaseWorld,), frozen=True, namespace=members)(horizon=6)


class Outside(StaircaseEnv):
    def step(self, action):
        obs, *rest = super().step(action)
        return obs.astype(np.float64) - 1, *rest


class Infinite(StaircaseEnv):
    def step(self, action):
        obs, _, *rest = super().step(action)
        return obs, np.inf, *rest


class GlobalNoise(StaircaseEnv):
    def step(self, action):
        obs, reward, *rest = super().step(action)
        return obs, reward + np.random.random(), *rest


class Tiring(StaircaseEnv):
    steps = 0

    def step(self, action):
        self.steps += 1
        obs, reward, *rest = super().step(action)
        return obs, reward - self.steps, *rest


class Deaf(StaircaseEnv):
    def reset(self, *, seed=None, options=None):
        return super().reset(seed=seed)


class Sticky(StaircaseEnv):
    """The first task that it ever gets is the one that it keeps: later ones are blended in."""

    def reset(self, *, seed=None, options=None):
        before = self.task
        out = super().reset(seed=seed, options=options)
        self.task = (before + self.task) / 2 if before else self.task
        return out


class SelfResetting(StaircaseEnv):
    def step(self, action):
        obs, reward, terminated, truncated, info = super().step(action)
        return (np.zeros(1, np.float32) if terminated else obs), reward, terminated, truncated, info


class Telling(StaircaseEnv):
    def step(self, action):
        obs, reward, terminated, truncated, _ = super().step(action)
        return obs, reward, terminated, truncated, {"final_obs": obs} if terminated else {}


@pytest.mark.parametrize(
    ("env", "check"),
    [
        (Outside, "spaces are honoured"),
        (Infinite, "rewards are finite"),
        (GlobalNoise, "seeded resets repeat"),
        (Tiring, "a task survives resets"),
        (Sticky, "a task survives resets"),
        (Deaf, "tasks differ"),
        (SelfResetting, "the last observation is true"),
        (Telling, "the last observation is true"),
    ],
)
def test_a_broken_promise_is_found(env, check):
    assert check in CHECKS
    assert check in broken(world_of(env))


def test_tasks_from_elsewhere_are_found():
    counter = itertools.count()
    world = world_of(None, sample_task=lambda self, rng, split: float(next(counter)))
    assert "tasks come from the rng alone" in broken(world)


def test_an_environment_that_raises_fails_the_check_and_not_the_command():
    class Raising(StaircaseEnv):
        def step(self, action):
            raise RuntimeError("out of fuel")

    findings = check_contract(world_of(Raising))
    assert "RuntimeError: out of fuel" in {finding.seen for finding in findings}
