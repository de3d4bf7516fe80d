"""Bernoulli and Gaussian bandits: the environment, the families, their splits and their replay."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.algorithms.baselines.random import RandomLearner
from quickstudy.envs.bandit import BernoulliBandit, GaussianBandit
from quickstudy.errors import InvalidArgument
from quickstudy.trial import run_trial
from quickstudy.types import Budget

FAMILIES = (BernoulliBandit(num_arms=3, num_pulls=4), GaussianBandit(num_arms=3, num_pulls=4))


def _rewards(family, task, action: int, num: int = 20_000) -> np.ndarray:
    step = lambda key: family.env.step(task, (), jnp.int32(action), key=key)[1].reward
    return np.asarray(jax.vmap(step)(jax.random.split(jax.random.key(0), num)))


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: type(f).__name__)
def test_a_pull_is_an_episode_with_a_constant_observation(family):
    task = family.tasks("train").sample(key=jax.random.key(0))
    state, obs = family.env.reset(task, key=jax.random.key(1))
    _, step = family.env.step(task, state, jnp.int32(2), key=jax.random.key(2))
    np.testing.assert_array_equal(obs, [1.0])
    np.testing.assert_array_equal(step.obs, [1.0])
    assert bool(step.terminated)
    assert not bool(step.truncated)
    assert (obs.shape, obs.dtype) == (family.env.spec.obs.shape, family.env.spec.obs.dtype)
    assert family.env.spec.num_actions == 3


def test_bernoulli_rewards_are_one_with_the_arms_probability():
    rewards = _rewards(BernoulliBandit(num_arms=3), jnp.array([0.0, 0.3, 1.0]), 1)
    assert set(np.unique(rewards)) == {0.0, 1.0}
    assert abs(rewards.mean() - 0.3) < 4 * np.sqrt(0.21 / len(rewards))
    assert _rewards(BernoulliBandit(num_arms=3), jnp.array([0.0, 0.3, 1.0]), 0).max() == 0.0
    assert _rewards(BernoulliBandit(num_arms=3), jnp.array([0.0, 0.3, 1.0]), 2).min() == 1.0


def test_gaussian_rewards_scatter_around_the_arms_mean():
    rewards = _rewards(GaussianBandit(num_arms=3, noise_std=0.5), jnp.array([0.0, -2.0, 1.0]), 1)
    assert abs(rewards.mean() + 2.0) < 4 * 0.5 / np.sqrt(len(rewards))
    assert abs(rewards.std() - 0.5) < 0.02


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: type(f).__name__)
def test_a_trial_holds_as_many_episodes_as_the_family_says(family):
    task = family.tasks("train").sample(key=jax.random.key(0))
    trial = run_trial(RandomLearner(3), None, family.env, task, family.budget, key=jax.random.key(1))
    assert family.budget == Budget(1, 4, 1)
    assert int(jnp.sum(trial.trajectory.terminated)) == family.num_episodes == 4


def test_splits_share_the_prior_but_not_the_tasks():
    family = BernoulliBandit(num_arms=4)
    means = {s: family.tasks(s).batch(5_000, key=jax.random.key(0)) for s in ("train", "validation", "test", "ood")}
    drawn = np.concatenate([np.asarray(m).ravel() for m in means.values()])
    # Float32 uniforms are multiples of 2⁻²³, so a few of 80,000 coincide by chance; equal streams would all do so.
    assert len(np.unique(drawn)) > 0.98 * len(drawn)
    for split in ("train", "validation", "test"):
        assert abs(float(means[split].mean()) - 0.5) < 4 * np.sqrt(1 / 12 / 20_000)
        assert float(means[split].max()) > 0.99
    assert abs(float(means["ood"].mean()) - 0.25) < 4 * np.sqrt(1 / 48 / 20_000)
    assert float(means["ood"].max()) <= 0.5


def test_gaussian_splits_have_the_stated_moments():
    family = GaussianBandit(num_arms=4, prior_std=2.0)
    for split, mean in (("train", 0.0), ("test", 0.0), ("ood", -2.0)):
        drawn = family.tasks(split).batch(5_000, key=jax.random.key(1))
        assert abs(float(drawn.mean()) - mean) < 4 * 2.0 / np.sqrt(20_000)
        assert abs(float(drawn.std()) - 2.0) < 0.05


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: type(f).__name__)
def test_replay_is_plain_data_of_what_was_pulled_and_paid(family):
    task = family.tasks("test").sample(key=jax.random.key(0))
    trial = run_trial(RandomLearner(3), None, family.env, task, family.budget, key=jax.random.key(1))
    stream = jax.tree.map(lambda x: x.reshape(-1, *x.shape[3:]), trial.trajectory)
    replay = family.replay(task, stream)
    assert replay == {
        "kind": "arms",
        "means": np.asarray(task).tolist(),
        "actions": [int(a) for a in stream.action],
        "rewards": [float(r) for r in stream.reward],
    }
    assert type(replay["actions"][0]) is int


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BernoulliBandit(num_arms=1), "num_arms must be at least 2, got 1"),
        (lambda: BernoulliBandit(num_pulls=0), "num_pulls must be a whole number of at least 1, got 0"),
        (lambda: GaussianBandit(num_arms=0), "num_arms must be a whole number of at least 1, got 0"),
        (lambda: GaussianBandit(prior_std=0.0), "prior_std must be positive, got 0.0"),
        (lambda: GaussianBandit(noise_std=-1.0), "noise_std must be positive, got -1.0"),
        (lambda: BernoulliBandit(num_arms=20, num_pulls=100).bayes_optimal_return(), "too many for exact planning"),
        (lambda: GaussianBandit(num_arms=3).bayes_optimal_return(), "needs num_arms=2, got 3"),
    ],
)
def test_bad_values_are_refused(make, message):
    with pytest.raises(InvalidArgument, match=message):
        make()


@pytest.mark.parametrize("family", FAMILIES, ids=lambda f: type(f).__name__)
def test_yardsticks_run_from_random_to_the_index_policy(family):
    names = [yardstick.name for yardstick in family.yardsticks()]
    assert names[0] == "random"
    assert names[-1] == "Gittins"
    assert len(set(names)) == len(names)
