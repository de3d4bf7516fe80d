"""Bandit baselines: beliefs by hand, and what each policy does with them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.algorithms.baselines.arms import ArmStatistics, NormalPrior, UniformPrior
from quickstudy.algorithms.baselines.epsilon_greedy import EpsilonGreedy
from quickstudy.algorithms.baselines.gittins import GittinsPolicy
from quickstudy.algorithms.baselines.thompson import ThompsonSampling
from quickstudy.algorithms.baselines.ucb import UCB1
from quickstudy.errors import InvalidArgument
from quickstudy.types import TimeStep, Trajectory

NORMAL = NormalPrior(3, mean=1.0, std=2.0, noise_std=0.5)
SEEN = ArmStatistics(jnp.array([0.0, 3.0, 10.0]), jnp.array([0.0, 2.0, 6.0]))


def _actions(learner, seen: ArmStatistics, params=None, num: int = 5_000) -> np.ndarray:
    timestep = TimeStep(jnp.ones(1), jnp.int32(0), jnp.zeros(()), jnp.array(True))
    act = lambda key: learner.act(params, seen, (), timestep, key=key)[0]
    return np.asarray(jax.jit(jax.vmap(act))(jax.random.split(jax.random.key(0), num)))


def _block(actions: list[list[int]], rewards: list[list[float]]) -> Trajectory:
    flags = jnp.ones(np.shape(actions), bool)
    obs = jnp.ones((*np.shape(actions), 1))
    action, reward = jnp.asarray(actions, jnp.int32), jnp.asarray(rewards)
    return Trajectory(TimeStep(obs, action, reward, flags), action, reward, obs, flags, ~flags, None)


def test_update_counts_pulls_over_steps_and_streams():
    learner = ThompsonSampling(UniformPrior(3))
    state = learner.init(None, key=jax.random.key(0))
    state, _ = learner.update(None, state, _block([[0, 2], [2, 2]], [[1.0, 0.0], [1.0, 1.0]]), key=jax.random.key(0))
    state, info = learner.update(None, state, _block([[1, 0]], [[1.0, 0.0]]), key=jax.random.key(0))
    np.testing.assert_array_equal(state.pulls, [2.0, 1.0, 3.0])
    np.testing.assert_array_equal(state.total, [1.0, 1.0, 2.0])
    assert info == {}


def test_beta_posterior_by_hand():
    np.testing.assert_allclose(UniformPrior(3).posterior_mean(SEEN), [1 / 2, 3 / 5, 7 / 12], rtol=1e-6)


def test_normal_posterior_by_hand():
    # Precisions: 1/4 of the prior and 4 of each pull.
    mean = np.array([1.0, (0.25 + 4 * 2) / 12.25, (0.25 + 4 * 6) / 40.25])
    np.testing.assert_allclose(NORMAL.posterior_mean(SEEN), mean, rtol=1e-6)
    draws = jax.jit(jax.vmap(lambda k: NORMAL.posterior_sample(SEEN, key=k)))(
        jax.random.split(jax.random.key(0), 20_000)
    )
    std = 1 / np.sqrt([0.25, 12.25, 40.25])
    np.testing.assert_allclose((draws.mean(0) - mean) / std, 0, atol=4 / np.sqrt(20_000))
    np.testing.assert_allclose(draws.std(0), std, rtol=0.03)


def test_thompson_pulls_each_arm_as_often_as_it_is_the_best():
    # With x ~ Beta(3, 2) and y ~ Beta(1, 3):  P(x > y) = E[1 − (1 − x)³] = 1 − (2 · 3 · 4) / (5 · 6 · 7).
    seen = ArmStatistics(jnp.array([3.0, 2.0]), jnp.array([2.0, 0.0]))
    share = (_actions(ThompsonSampling(UniformPrior(2)), seen) == 0).mean()
    best = 1 - 24 / 210
    assert abs(share - best) < 4 * np.sqrt(best * (1 - best) / 5_000)


def test_greedy_pulls_the_highest_posterior_mean():
    assert set(_actions(EpsilonGreedy(UniformPrior(3), 0.0), SEEN, num=50)) == {1}
    assert set(_actions(EpsilonGreedy(NORMAL, 0.0), SEEN, num=50)) == {0}


def test_epsilon_greedy_explores_as_often_as_it_says():
    counts = np.bincount(_actions(EpsilonGreedy(UniformPrior(3), 0.3), SEEN), minlength=3) / 5_000
    np.testing.assert_allclose(counts, [0.1, 0.8, 0.1], atol=4 * np.sqrt(0.16 / 5_000))


def test_ucb_weighs_the_mean_against_the_number_of_pulls():
    prior = UniformPrior(3)
    bound = lambda bonus: np.array([1 / 2, 3 / 5, 7 / 12]) + bonus * np.sqrt(2 * np.log(14) / np.array([2, 5, 12]))
    for bonus in (0.0, 0.02, 0.2, 1.0):
        assert set(_actions(UCB1(prior, bonus), SEEN, num=10)) == {int(np.argmax(bound(bonus)))}
    assert np.argmax(bound(0.0)) != np.argmax(bound(1.0))


def test_the_strength_of_a_prior_is_in_pulls():
    assert UniformPrior(2).strength == 2.0
    assert NORMAL.strength == pytest.approx(0.25**2)


def test_gittins_explores_while_it_pays():
    learner = GittinsPolicy(UniformPrior(2), num_pulls=20)
    table = learner.prior.gittins_table(20)
    # The arm known to pay 6/10 against a fresh one: worth trying with 9 pulls left, not with the last one.
    early, late = (
        ArmStatistics(jnp.array([8.0, 0.0]), jnp.array([5.0, 0.0])),
        ArmStatistics(jnp.array([19.0, 0.0]), jnp.array([12.0, 0.0])),
    )
    assert table[12, 0, 0] > table[12, 5, 3]
    assert set(_actions(learner, early, table, num=10)) == {1}
    assert set(_actions(learner, late, table, num=10)) == {0}


def test_gaussian_gittins_adds_the_bonus_to_the_posterior_mean():
    table = NORMAL.gittins_table(20)
    index = NORMAL.gittins_index(table, SEEN, jnp.int32(7))
    np.testing.assert_allclose(index, NORMAL.posterior_mean(SEEN) + table[7, jnp.array([0, 3, 10])], rtol=1e-6)
    assert index[0] > NORMAL.posterior_mean(SEEN)[0]


def test_gittins_goes_on_by_the_posterior_mean_when_its_pulls_are_used_up():
    learner = GittinsPolicy(UniformPrior(2), num_pulls=4)
    seen = ArmStatistics(jnp.array([2.0, 3.0]), jnp.array([1.0, 2.0]))
    assert set(_actions(learner, seen, learner.prior.gittins_table(4), num=10)) == {1}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: EpsilonGreedy(UniformPrior(2), 1.5), "epsilon must lie in \\[0, 1\\], got 1.5"),
        (lambda: UCB1(UniformPrior(2), -1.0), "bonus must not be negative, got -1.0"),
        (lambda: GittinsPolicy(UniformPrior(2), 0), "num_pulls must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_values_are_refused(make, message):
    with pytest.raises(InvalidArgument, match=message):
        make()
