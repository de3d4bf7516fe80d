"""Surrogates by hand, and in expectation over every trajectory of a small Markov decision process."""

import itertools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.ops.policy_gradient import clipped, dice, discounted_returns, low_variance_curvature, score_function

OLD = np.log([0.5, 0.25, 0.8])
ADVANTAGE = np.array([2.0, -1.0, 3.0])
# Ratios 1, 2, .5 to the policy that acted.
NEW = OLD + np.log([1.0, 2.0, 0.5])


def _float32(*arrays):
    return [jnp.asarray(x, jnp.float32) for x in arrays]


VALUES = {
    # A log π with log .5, log .5, log .4
    score_function: [2 * np.log(0.5), -np.log(0.5), 3 * np.log(0.4)],
    low_variance_curvature: [2.0, -2.0, 1.5],
    # Products of the ratios so far, 1, 2, 1, less those before, 1, 1, 2.
    dice: [0.0, -1.0, -3.0],
}
GRADIENTS = {
    score_function: [2.0, -1.0, 3.0],
    low_variance_curvature: [2.0, -2.0, 1.5],
    # The product up to a step moves with its own log-probability, the difference with those before it:
    # 1·2 + (2 - 1)·(-1) + (1 - 2)·3, 2·(-1) + (1 - 2)·3, 1·3.
    dice: [-2.0, -5.0, 3.0],
}


@pytest.mark.parametrize("surrogate", VALUES, ids=lambda f: f.__name__)
def test_values_and_gradients_by_hand(surrogate):
    new, old, advantage = _float32(NEW, OLD, ADVANTAGE)
    np.testing.assert_allclose(surrogate(new, old, advantage), VALUES[surrogate], rtol=1e-5)
    gradient = jax.grad(lambda x: surrogate(x, old, advantage).sum())(new)
    np.testing.assert_allclose(gradient, GRADIENTS[surrogate], rtol=1e-5)


@pytest.mark.parametrize(
    ("ratio", "advantage", "value", "gradient"),
    [
        (1.0, 2.0, 2.0, 2.0),
        (1.1, 2.0, 2.2, 2.2),
        (1.5, 2.0, 2.4, 0.0),  # the good action is likely enough
        (0.5, 2.0, 1.0, 1.0),
        (1.5, -2.0, -3.0, -3.0),
        (0.5, -2.0, -1.6, 0.0),  # the bad action is unlikely enough
        (1.0, -2.0, -2.0, -2.0),
    ],
)
def test_the_clipped_surrogate_by_hand(ratio, advantage, value, gradient):
    old = jnp.log(jnp.array([0.3]))
    objective = lambda x: clipped(x, old, jnp.array([advantage]), 0.2).sum()
    got, slope = jax.value_and_grad(objective)(old + jnp.log(ratio))
    np.testing.assert_allclose(got, value, rtol=1e-5)
    np.testing.assert_allclose(slope, [gradient], rtol=1e-5)


def test_a_clip_of_infinity_is_the_plain_ratio():
    new, old, advantage = _float32(NEW, OLD, ADVANTAGE)
    expected = low_variance_curvature(new, old, advantage)
    np.testing.assert_array_equal(clipped(new, old, advantage, jnp.inf), expected)


def test_second_derivatives_by_hand():
    new, old, advantage = _float32(OLD, OLD, ADVANTAGE)
    second = lambda surrogate: jax.jit(jax.hessian(lambda x: surrogate(x, old, advantage).sum()))(new)
    np.testing.assert_array_equal(second(score_function), np.zeros((3, 3)))
    np.testing.assert_allclose(second(low_variance_curvature), np.diag(ADVANTAGE), rtol=1e-6)
    # The later of two actions decides which advantage their product earns.
    np.testing.assert_allclose(second(dice), [[2, -1, 3], [-1, -1, 3], [3, 3, 3]], rtol=1e-5)


def test_returns_by_hand():
    reward = jnp.array([1.0, 2.0, 4.0, 8.0])
    got = lambda last, gamma: discounted_returns(reward, jnp.array(last), gamma)
    np.testing.assert_allclose(got([0.0, 0, 0, 1], 0.5), [1 + 1 + 1 + 1, 2 + 2 + 2, 4 + 4, 8])
    np.testing.assert_allclose(got([0.0, 0, 0, 0], 0.5), [4, 6, 8, 8])
    np.testing.assert_allclose(got([0.0, 1, 0, 1], 0.5), [2, 2, 8, 8])
    np.testing.assert_allclose(got([1.0, 1, 1, 1], 0.5), reward)
    np.testing.assert_allclose(got([0.0, 0, 0, 1], 0.0), reward)
    np.testing.assert_allclose(got([0.0, 0, 0, 1], 1.0), [15, 14, 12, 8])


# The problem: two states, two actions, two steps. Start in state 0 with probability .6; action 0 stays with probability
# .9, action 1 with .3 (from state 0) or .2 (from state 1). The policy is a softmax of one logit a state and action.
START = np.array([0.6, 0.4])
STAYS = np.array([[0.9, 0.3], [0.9, 0.2]])
REWARD = np.array([[1.0, -0.5], [0.3, 2.0]])
LOGITS = np.array([[0.2, -0.4], [0.7, 0.1]])


class _Path(NamedTuple):
    """All 16 paths: states and actions ``[16, 2]``, the environment's part of their probability, rewards."""

    state: np.ndarray
    action: np.ndarray
    chance: np.ndarray
    reward: np.ndarray


def _paths():
    state, action, chance, reward = [], [], [], []
    for s, a, s2, a2 in itertools.product((0, 1), repeat=4):
        state.append((s, s2))
        action.append((a, a2))
        chance.append(START[s] * (STAYS[s, a] if s == s2 else 1 - STAYS[s, a]))
        reward.append((REWARD[s, a], REWARD[s2, a2]))
    return _Path(*(np.array(x) for x in (state, action, chance, reward)))


PATHS = _paths()
TO_GO = np.cumsum(PATHS.reward[:, ::-1], 1)[:, ::-1]


def _log_prob(logits):
    return jax.nn.log_softmax(logits.reshape(2, 2))[PATHS.state, PATHS.action]


def _probability(logits):
    return PATHS.chance * jnp.exp(_log_prob(logits).sum(1))


def _expected_return(logits):
    return _probability(logits) @ PATHS.reward.sum(1)


def _expected(surrogate, advantage):
    """The expectation, over paths of the policy that acted, of the surrogate of another policy."""
    old = _log_prob(jnp.asarray(LOGITS))
    weight = _probability(jnp.asarray(LOGITS))
    each = jax.vmap(surrogate)
    return lambda logits: weight @ each(_log_prob(logits), old, jnp.asarray(advantage)).sum(1)


def _action_values(logits):
    """Q of every step of every path, ``[16, 2]``, by backward induction."""
    policy = jax.nn.softmax(logits.reshape(2, 2))
    value = jnp.sum(policy * REWARD, 1)
    follow = STAYS * value[:, None] + (1 - STAYS) * value[::-1, None]
    first = (REWARD + follow)[PATHS.state[:, 0], PATHS.action[:, 0]]
    return jnp.stack([first, jnp.asarray(PATHS.reward[:, 1])], 1)


ADVANTAGE_OF = {score_function: TO_GO, low_variance_curvature: TO_GO, dice: TO_GO}


def test_the_paths_are_all_there_are():
    with jax.enable_x64(True):
        np.testing.assert_allclose(_probability(jnp.asarray(LOGITS)).sum(), 1, rtol=1e-12)
        # The same value by backward induction.
        policy = jax.nn.softmax(jnp.asarray(LOGITS))
        value = jnp.sum(policy * REWARD, 1)
        follow = STAYS * value[:, None] + (1 - STAYS) * value[::-1, None]
        expected = START @ jnp.sum(policy * (REWARD + follow), 1)
        np.testing.assert_allclose(_expected_return(jnp.asarray(LOGITS.ravel())), expected, rtol=1e-12)


@pytest.mark.parametrize("surrogate", ADVANTAGE_OF, ids=lambda f: f.__name__)
def test_the_expected_gradient_is_the_exact_policy_gradient(surrogate):
    with jax.enable_x64(True):
        at = jnp.asarray(LOGITS.ravel())
        exact = jax.jit(jax.grad(_expected_return))(at)
        got = jax.jit(jax.grad(_expected(surrogate, ADVANTAGE_OF[surrogate])))(at)
        assert np.abs(exact).max() > 0.1
        np.testing.assert_allclose(got, exact, atol=1e-12)


def test_dices_expected_value_and_every_derivative_are_exact():
    with jax.enable_x64(True):
        at = jnp.asarray(LOGITS.ravel())
        # Away from the policy that acted the ratios still weigh every path rightly, so derivatives cannot but agree.
        moved = at + jnp.array([0.5, -0.3, 0.1, -0.8])
        # Weighed are differences of probabilities, so the value is counted from the return of the policy that acted.
        got, exact = _expected(dice, TO_GO), lambda x: _expected_return(x) - _expected_return(at)
        for derive in (lambda f: f, jax.grad, jax.hessian, lambda f: jax.jacfwd(jax.hessian(f))):
            both = jax.jit(lambda x, derive=derive: (derive(got)(x), derive(exact)(x)))
            for point in (at, moved):
                np.testing.assert_allclose(*both(point), atol=1e-12)


@jax.jit
def _hessian_parts():
    """Rothfuss et al. 2019, proposition 1: the Hessian is ``H1 + H2 + H12 + H12ᵀ``, with expectations over paths of

    ``H1 = Σ_t Q_t ∇ log π_t ∇ log π_tᵀ``, ``H2 = Σ_t Q_t ∇² log π_t`` and ``H12 = Σ_t ∇ log π_t ∇Q_tᵀ``.
    """
    at, weight = jnp.asarray(LOGITS.ravel()), _probability(jnp.asarray(LOGITS))
    score, curvature = jax.jacobian(_log_prob)(at), jax.hessian(_log_prob)(at)
    value, slope = _action_values(at), jax.jacobian(_action_values)(at)
    h1 = jnp.einsum("p,pt,pti,ptj->ij", weight, value, score, score)
    h2 = jnp.einsum("p,pt,ptij->ij", weight, value, curvature)
    h12 = jnp.einsum("p,pti,ptj->ij", weight, score, slope)
    return h1, h2, h12


def test_second_derivatives_are_the_parts_of_the_exact_hessian_that_each_surrogate_keeps():
    with jax.enable_x64(True):
        at = jnp.asarray(LOGITS.ravel())
        h1, h2, h12 = _hessian_parts()
        second = lambda surrogate: jax.jit(jax.hessian(_expected(surrogate, ADVANTAGE_OF[surrogate])))(at)
        assert min(np.abs(x).max() for x in (h1, h2, h12)) > 0.02
        np.testing.assert_allclose(jax.jit(jax.hessian(_expected_return))(at), h1 + h2 + h12 + h12.T, atol=1e-12)
        np.testing.assert_allclose(second(score_function), h2, atol=1e-12)
        np.testing.assert_allclose(second(low_variance_curvature), h1 + h2, atol=1e-12)
        np.testing.assert_allclose(second(dice), h1 + h2 + h12 + h12.T, atol=1e-12)


def test_what_low_variance_curvature_leaves_out_are_the_products_across_time():
    with jax.enable_x64(True):
        at = jnp.asarray(LOGITS.ravel())
        score = jax.jit(jax.jacobian(_log_prob))(at)
        # The only pair of different steps is (0, 1), paid by the rewards that follow both.
        across = jnp.einsum("p,p,pi,pj->ij", _probability(at), jnp.asarray(TO_GO[:, 1]), score[:, 0], score[:, 1])
        missing = lambda logits: _expected_return(logits) - _expected(low_variance_curvature, TO_GO)(logits)
        left_out = jax.jit(jax.hessian(missing))(at)
        np.testing.assert_allclose(left_out, across + across.T, atol=1e-12)
