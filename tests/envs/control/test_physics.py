from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

from quickstudy.catalog import FAMILIES
from quickstudy.envs.control.family import AbstractControl
from quickstudy.envs.control.physics import Friction, PhysicalTasks, Scale
from quickstudy.errors import InvalidArgument
from quickstudy.options import with_options
from quickstudy.planning.shooting import Planner
from quickstudy.presets.model import PLANNED
from quickstudy.tasks.base import SPLITS

KEY = jax.random.key(0)
LOADED = {name: entry.load()() for name, entry in FAMILIES.items() if not entry.extra}
CONTROL = {name: family for name, family in LOADED.items() if isinstance(family, AbstractControl)}


class Pair(NamedTuple):
    gain: Float[Array, "*axes"]
    drag: Float[Array, "*axes"]


def draws(parameter, *, ood, num_draws=4000):
    return np.asarray(jax.vmap(lambda k: parameter.draw(ood=ood, key=k))(jax.random.split(KEY, num_draws)))


def test_a_scale_is_log_uniform_around_its_default():
    exponents = np.log(draws(Scale(3.0, 2.0), ood=False) / 3.0) / np.log(2.0)
    assert np.abs(exponents).max() <= 1 + 1e-5
    assert abs(exponents.mean()) < 4 / np.sqrt(3 * 4000)
    assert abs((np.abs(exponents) < 0.5).mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
    beyond = np.log(draws(Scale(3.0, 2.0), ood=True) / 3.0) / np.log(2.0)
    assert 1 - 1e-5 <= np.abs(beyond).min() < np.abs(beyond).max() <= 1.5 + 1e-5
    assert abs((beyond > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)


def test_a_scale_that_flips_has_either_sign():
    values = draws(Scale(3.0, 2.0, flips=True), ood=False)
    assert abs((values > 0).mean() - 0.5) < 4 * 0.5 / np.sqrt(4000)
    assert np.all((np.abs(values) >= 1.5 - 1e-5) & (np.abs(values) <= 6 + 1e-5))


def test_friction_begins_at_none():
    assert float(Friction(0.4).nominal) == 0.0
    values, beyond = draws(Friction(0.4), ood=False), draws(Friction(0.4), ood=True)
    assert 0 <= values.min() < 0.01
    assert 0.39 < values.max() <= 0.4 <= beyond.min() < beyond.max() <= 0.8


def test_features_by_hand():
    physics = PhysicalTasks(Pair, {"drag": Friction(0.4), "gain": Scale(3.0, 2.0, flips=True)})
    features = physics.features(Pair(jnp.asarray(-6.0), jnp.asarray(0.1)))
    np.testing.assert_allclose(features, [1.0, -1.0, -0.5], atol=1e-6)
    np.testing.assert_allclose(physics.features(physics.default), [0.0, 1.0, -1.0], atol=1e-6)


def test_parameters_are_drawn_independently():
    tasks = PhysicalTasks(Pair, {"drag": Friction(0.4), "gain": Scale(3.0, 2.0)})
    gain, drag = jax.vmap(lambda k: tasks.sample(key=k))(jax.random.split(KEY, 4000))
    assert abs(np.corrcoef(np.log(gain), drag)[0, 1]) < 4 / np.sqrt(4000)


@pytest.mark.parametrize("name", CONTROL)
def test_every_family_trains_within_its_ranges_and_tests_beyond_them(name):
    family = CONTROL[name]
    features = {split: jax.vmap(family.task_features)(family.tasks(split).batch(200, key=KEY)) for split in SPLITS}
    for split in ("train", "validation", "test"):
        assert np.abs(features[split]).max() <= 1 + 1e-4
    assert 1 < np.abs(features["ood"]).max() <= 3
    assert not np.any(np.asarray(features["train"])[:, 0] == np.asarray(features["test"])[:, 0])


@pytest.mark.parametrize("name", CONTROL)
def test_the_state_of_an_observation_goes_on_as_the_episode_does(name):
    env, task = CONTROL[name].env, CONTROL[name].tasks("test").sample(key=KEY)
    step = jax.jit(lambda task, state, action: env.step(task, state, action, key=KEY))
    state, _ = env.reset(task, key=KEY)
    draw = lambda seed: jax.random.uniform(jax.random.key(seed), env.spec.action.shape, minval=-1.0)
    action = draw if env.spec.num_actions is None else lambda seed: jnp.asarray(seed % 2, jnp.int32)
    state, out = step(task, state, action(1))
    _, expected = step(task, state, action(2))
    _, found = step(task, env.state_at(out.obs), action(2))
    np.testing.assert_allclose(found.obs, expected.obs, atol=1e-5)
    np.testing.assert_allclose(found.reward, expected.reward, atol=1e-5)


@pytest.mark.parametrize("name", CONTROL)
def test_trials_have_four_episodes_between_random_and_knowing(name):
    family = CONTROL[name]
    assert family.num_episodes == 4
    assert family.budget.steps_per_stream == 4 * family.horizon
    assert family.yardsticks()[0].name == "random"


@pytest.mark.parametrize("name", CONTROL)
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"horizon": 0}, "horizon must be a whole number of at least 1, got 0"),
        ({"num_episodes": -1}, "num_episodes must be a whole number of at least 1, got -1"),
        ({"spread": 1.0}, r"spread must lie in \(1, inf\), got 1\.0"),
    ],
)
def test_impossible_families_are_refused(name, fields, message):
    with pytest.raises(InvalidArgument, match=message):
        type(CONTROL[name])(**fields)


@pytest.mark.parametrize("name", CONTROL)
def test_the_oracle_plans_as_the_presets_of_methods_with_a_model_do(name):
    family = CONTROL[name]
    assert [y.name for y in family.yardsticks()][:2] == ["random", "oracle planner"]
    cells = [planned for planned in PLANNED.values() if planned.family == name]
    assert cells
    assert all(with_options(Planner(), planned.planner) == family.planner for planned in cells)
