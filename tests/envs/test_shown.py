"""An oracle is shown the task, and nothing else changes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.catalog import FAMILIES
from quickstudy.envs.shown import ShownTask

COMPILED = sorted(name for name, entry in FAMILIES.items() if not entry.extra)


@pytest.mark.parametrize("name", COMPILED)
def test_every_family_shows_its_task_beside_what_it_shows_anyway(name):
    family = FAMILIES[name].load()()
    plain, shown = family.env, ShownTask(family)
    task = family.tasks("train").sample(key=jax.random.key(0))
    action = jnp.zeros(plain.spec.action.shape, plain.spec.action.dtype)
    k_reset, k_step = jax.random.split(jax.random.key(1))
    state, obs = plain.reset(task, key=k_reset)
    shown_state, shown_obs = shown.reset(task, key=k_reset)
    after = plain.step(task, state, action, key=k_step)[1]
    shown_after = shown.step(task, shown_state, action, key=k_step)[1]
    for one, other in ((obs, shown_obs), (after.obs, shown_after.obs)):
        np.testing.assert_array_equal(other["obs"], one)
        np.testing.assert_array_equal(other["task"], family.task_features(task))
        assert jax.tree.map(jnp.shape, other) == jax.tree.map(lambda like: like.shape, shown.spec.obs)
    np.testing.assert_array_equal(shown_after.reward, after.reward)


@pytest.mark.parametrize("name", COMPILED)
def test_different_tasks_show_different_features(name):
    family = FAMILIES[name].load()()
    tasks = family.tasks("train").batch(20, key=jax.random.key(0))
    features = np.asarray(jax.vmap(family.task_features)(tasks))
    same_task = np.asarray([[_equal(tasks, i, j) for j in range(20)] for i in range(20)])
    same_features = (features[:, None] == features[None]).all(-1)
    np.testing.assert_array_equal(same_features, same_task)


def _equal(tasks, i, j):
    return all(np.array_equal(leaf[i], leaf[j]) for leaf in jax.tree.leaves(tasks))
