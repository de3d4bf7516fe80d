"""Does a world keep what the collector relies on? One check a promise, each with what was seen and how to mend it."""

import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from quickstudy.envs.host import HostEnv
from quickstudy.host.seats import NotFinite, Seat
from quickstudy.host.spaces import WrongShape
from quickstudy.host.world import World, deliver, makes_from_task, splits_of, to_task

NUM_TASKS = 5
"""Tasks that are looked at."""
AUTORESET_KEYS = {"final_obs", "final_observation"}
"""Entries of ``info`` with which an environment that resets itself gives the last observation away."""


class Finding(NamedTuple):
    """The result of one check."""

    check: str
    passed: bool
    seen: str


class Episode(NamedTuple):
    """One episode under fixed actions."""

    obs: np.ndarray
    rewards: np.ndarray

    def equals(self, other: "Episode") -> bool:
        """Whether both are the same to the last bit."""
        return np.array_equal(self.obs, other.obs) and np.array_equal(self.rewards, other.rewards)


class Bench:
    """A world, some of its tasks, and a seat to try them in."""

    def __init__(self, world: World):
        self.world, self.env = world, HostEnv.of(world)
        self.layout = self.env.layout
        draw = lambda seed: to_task(world.sample_task(np.random.default_rng(seed), splits_of(world)[0]))
        self.draw = draw
        self.tasks = [draw(seed) for seed in range(NUM_TASKS)]
        self.seat = Seat(world, self.layout)
        rng = np.random.default_rng(0)
        shape = (world.horizon, *self.layout.action.encoded_shape)
        count = self.layout.action.num_actions
        # Corners of the box first: bounds are where environments break.
        corners = np.clip(rng.uniform(-2, 2, shape), -1, 1) if count is None else rng.integers(0, count, shape)
        self.actions = corners.astype(np.float32 if count is None else np.int32)

    def play(self, task: Any, seed: int, seat: Seat | None = None) -> Episode:
        """One episode of ``task`` from ``seed``, under the same actions as every other one."""
        seat = seat or self.seat
        obs, rewards = [seat.begin(task, seed)], []
        for action in self.actions:
            successor, reward, terminated, truncated = seat.step(action)
            obs.append(successor)
            rewards.append(reward)
            if terminated or truncated:
                break
        return Episode(np.stack(obs), np.array(rewards))

    def raw_steps(self) -> Iterator[tuple[Any, Any, dict[str, Any], bool]]:
        """Observation, action, info and end of each step of one episode, as the environment itself gives them."""
        task = self.tasks[0]
        env: Any = self.world.make(task) if makes_from_task(self.world) else self.world.make()
        raw, info = env.reset(seed=0, options=deliver(self.world, env, task))
        yield raw, None, info, False
        for encoded in self.actions:
            action = self.layout.action.decode(encoded)
            raw, _, terminated, truncated, info = env.step(action)
            yield raw, action, info, terminated or truncated
            if terminated or truncated:
                break
        env.close()


def check_contract(world: World) -> list[Finding]:
    """Every check, in the order in which to mend what fails."""
    bench = Bench(world)
    return [_run(name, check, bench) for name, check in CHECKS.items()]


def _run(name: str, check: Callable[[Bench], tuple[bool, str]], bench: Bench) -> Finding:
    try:
        return Finding(name, *check(bench))
    except Exception as error:
        return Finding(name, False, f"{type(error).__name__}: {error}")


def _spaces(bench: Bench) -> tuple[bool, str]:
    env: Any = bench.world.make(bench.tasks[0]) if makes_from_task(bench.world) else bench.world.make()
    spaces, count = (env.observation_space, env.action_space), 0
    env.close()
    for raw, action, _, _ in bench.raw_steps():
        if not spaces[0].contains(raw):
            return (
                False,
                f"step {count}: the observation {_short(raw)} is not in {spaces[0]}; check shape, dtype, bounds",
            )
        if action is not None and not spaces[1].contains(action):
            return False, f"step {count}: the action {_short(action)} is not in {spaces[1]}"
        count += 1
    return True, f"{count} observations and their actions lie in their spaces"


def _finite(bench: Bench) -> tuple[bool, str]:
    rewards: list[float] = []
    for seed, task in enumerate(bench.tasks):
        try:
            rewards += bench.play(task, seed).rewards.tolist()
        except (NotFinite, WrongShape) as error:
            return False, f"task {_short(task)}, seed {seed}: {error}"
    return True, f"rewards between {min(rewards):.3g} and {max(rewards):.3g}"


def _resets_repeat(bench: Bench) -> tuple[bool, str]:
    episodes = []
    for noise in (0, 1):
        np.random.seed(noise)
        episodes.append(bench.play(bench.tasks[0], 3))
    if not episodes[0].equals(episodes[1]):
        return False, "the same task, seed and actions gave two episodes: draw from self.np_random, after super().reset"
    other = bench.play(bench.tasks[0], 4)
    return True, "same seed, same episode; " + (
        "another seed, the same" if other.equals(episodes[0]) else "another differs"
    )


def _tasks_from_rng(bench: Bench) -> tuple[bool, str]:
    tasks = []
    for noise in (0, 1):
        np.random.seed(noise)
        tasks.append(bench.draw(0))
    if repr(tasks[0]) != repr(tasks[1]):
        return False, "sample_task gave two tasks for one rng: draw from rng alone"
    return True, f"for example {_short(tasks[0])}"


def _tasks_differ(bench: Bench) -> tuple[bool, str]:
    episodes = [bench.play(task, 0) for task in bench.tasks]
    different = sum(not episodes[0].equals(other) for other in episodes[1:])
    if not different:
        return (
            False,
            "equal seeds and actions gave equal episodes in all tasks: the task does not reach the environment",
        )
    return True, f"{different} of {len(episodes) - 1} tasks differ from the first under equal seeds and actions"


def _task_survives(bench: Bench) -> tuple[bool, str]:
    first = bench.play(bench.tasks[0], 0)
    again = bench.play(bench.tasks[0], 0)
    if not first.equals(again):
        return (
            False,
            "the second episode of a task is not like the first: something survives the reset, or the task does not",
        )
    bench.play(bench.tasks[1], 0)
    if not first.equals(bench.play(bench.tasks[0], 0)):
        return False, "after another task in between the episode is another one: the other task leaves something behind"
    fresh = bench.play(bench.tasks[0], 0, Seat(bench.world, bench.layout))
    if not first.equals(fresh):
        return False, "a fresh environment gives another episode: something from before is left in the used one"
    return True, "episodes of a task are the same after resets, after other tasks, and in a fresh environment"


def _last_observation(bench: Bench) -> tuple[bool, str]:
    steps = list(bench.raw_steps())
    (first, *_), (last, _, info, ended) = steps[0], steps[-1]
    keys = AUTORESET_KEYS & set(info)
    if keys:
        return False, f"info has {', '.join(keys)}: the environment resets itself; take its auto-reset off"
    moved = any(not np.array_equal(_flat(bench, raw), _flat(bench, first)) for raw, *_ in steps)
    if ended and moved and np.array_equal(_flat(bench, last), _flat(bench, first)):
        return False, "the last observation is the first one: the environment resets itself; return the true successor"
    return True, "the episode ends in its own last observation" if ended else "only the clock ended the episode"


def _speed(bench: Bench) -> tuple[bool, str]:
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < 0.3:
        count += len(bench.play(bench.tasks[count % NUM_TASKS], count).rewards)
    return True, f"{count / (time.perf_counter() - start):,.0f} steps a second in one environment, resets included"


CHECKS: dict[str, Callable[[Bench], tuple[bool, str]]] = {
    "spaces are honoured": _spaces,
    "rewards are finite": _finite,
    "seeded resets repeat": _resets_repeat,
    "a task survives resets": _task_survives,
    "tasks come from the rng alone": _tasks_from_rng,
    "tasks differ": _tasks_differ,
    "the last observation is true": _last_observation,
    "speed": _speed,
}


def _flat(bench: Bench, raw: Any) -> np.ndarray:
    return bench.layout.obs.encode(raw)


def _short(value: Any) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}…"
