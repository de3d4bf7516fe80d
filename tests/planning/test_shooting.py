"""Planners by shooting, against problems that can be solved exactly."""

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.errors import InvalidArgument
from quickstudy.planning.shooting import (
    RULES,
    CategoricalProposal,
    GaussianProposal,
    Planner,
    candidate_weights,
    plan,
    plan_return,
)

A, B, Q, R = 1.1, 0.5, 1.0, 0.3
"""A scalar linear system ``s' = A s + B u`` that pays ``−Q s² − R u²``."""


def _linear(state, action):
    reward = -Q * state**2 - R * action[0] ** 2
    return A * state + B * action[0], reward, jnp.ones(())


def _riccati(horizon: int) -> list[float]:
    """The optimal value is ``−p s²``, p before each of the steps to go, from none to ``horizon``."""
    p = [0.0]
    for _ in range(horizon):
        p.append(Q + A**2 * p[-1] - (A * B * p[-1]) ** 2 / (R + B**2 * p[-1]))
    return p


def _lqr_score(state):
    return lambda candidate: plan_return(_linear, jnp.asarray(state), candidate, gamma=1.0)


@pytest.mark.parametrize("rule", ["cem", "mppi"])
def test_planners_find_what_the_riccati_equation_says(rule):
    planner = Planner(rule=rule, horizon=5, num_candidates=256, num_iterations=12, num_elites=16, gamma=1.0, spread=0.3)
    planned = plan(_lqr_score(0.6), planner.proposal(None, (1,)), planner, key=jax.random.key(0))
    p = _riccati(5)
    gain = A * B * p[4] / (R + B**2 * p[4])
    np.testing.assert_allclose(planned.value, -p[5] * 0.36, rtol=0.02)
    assert planned.value <= -p[5] * 0.36 * (1 - 1e-6)  # nothing is better than the optimum
    np.testing.assert_allclose(planned.action[0], -gain * 0.6, atol=0.06)


def test_the_return_of_a_plan_by_hand():
    # Rewards 1, 2, 3 with chances ½ to go on: 1 + .9·.5·2 + .81·.25·3, then V = 10 with weight .729·.125.
    model = lambda state, action: (state + 1, action * (state + 1.0), jnp.asarray(0.5))
    value = plan_return(model, jnp.zeros(()), jnp.ones(3), gamma=0.9, terminal_value=lambda s: 10.0 * (s == 3))
    np.testing.assert_allclose(value, 1 + 0.9 + 0.81 * 0.25 * 3 + 0.729 * 0.125 * 10, rtol=1e-6)


def _chain(state, action):
    """Action 0 goes left for .1; action 1 goes right for nothing, until state 5, where it pays 1."""
    right = jnp.minimum(state + 1, 5)
    reward = jnp.where(action == 0, 0.1, jnp.where(right == 5, 1.0, 0.0))
    return jnp.where(action == 0, jnp.maximum(state - 1, 0), right), reward, jnp.ones(())


@pytest.mark.parametrize("rule", RULES)
def test_discrete_plans_are_those_of_exhaustive_search(rule):
    horizon = 7
    score = lambda candidate: plan_return(_chain, jnp.zeros((), jnp.int32), candidate, gamma=0.95)
    every = jnp.asarray(list(itertools.product(range(2), repeat=horizon)), jnp.int32)
    values = jax.vmap(score)(every)
    planner = Planner(rule=rule, horizon=horizon, num_candidates=400, num_iterations=4, gamma=0.95)
    planned = plan(score, planner.proposal(2, ()), planner, key=jax.random.key(1))
    np.testing.assert_allclose(planned.value, values.max(), rtol=1e-6)
    assert planned.action == every[jnp.argmax(values)][0] == 1
    assert planned.action.dtype == jnp.int32


def test_a_warm_start_helps():
    planner = Planner(rule="mppi", horizon=8, num_candidates=16, num_iterations=1, gamma=1.0, spread=0.15)
    fresh = planner.proposal(None, (1,))

    def episode(key, warm):
        def step(carry, key):
            state, proposal = carry
            planned = plan(_lqr_score(state), proposal if warm else fresh, planner, key=key)
            state, reward, _ = _linear(state, planned.action)
            return (state, planned.proposal.shifted(planner)), reward

        return jax.lax.scan(step, (jnp.asarray(0.8), fresh), jax.random.split(key, 20))[1].sum()

    keys = jax.random.split(jax.random.key(3), 50)
    warm, cold = (jax.vmap(lambda k, w=w: episode(k, w))(keys) for w in (True, False))
    assert (warm > cold).mean() > 0.8
    assert warm.mean() > cold.mean()


def test_shifting_drops_the_first_step():
    planner = Planner(horizon=3, spread=0.25)
    shifted = GaussianProposal(jnp.asarray([[1.0], [2.0], [3.0]]), jnp.ones((3, 1))).shifted(planner)
    np.testing.assert_array_equal(shifted.mean, [[2.0], [3.0], [3.0]])
    np.testing.assert_array_equal(shifted.std, np.full((3, 1), 0.25))
    shifted = CategoricalProposal(jnp.asarray([[1.0, 0.0], [0.2, 0.8], [0.0, 1.0]])).shifted(planner)
    np.testing.assert_allclose(shifted.probabilities, [[0.2, 0.8], [0.0, 1.0], [0.5, 0.5]])


def test_weights_by_hand():
    scores = jnp.asarray([1.0, -jnp.inf, 3.0, 2.0])
    shooting, cem = (Planner(rule=rule, num_elites=2) for rule in ("shooting", "cem"))
    np.testing.assert_allclose(candidate_weights(scores, shooting), [0, 0, 1, 0])
    np.testing.assert_allclose(candidate_weights(scores, cem), [0, 0, 0.5, 0.5])
    std = np.std([1.0, 3.0, 2.0])
    raw = np.exp(np.array([-2.0, -np.inf, 0.0, -1.0]) / (0.7 * std))
    np.testing.assert_allclose(candidate_weights(scores, Planner(temperature=0.7)), raw / raw.sum(), rtol=1e-5)


def test_mppi_does_not_care_for_the_scale_of_scores():
    scores, planner = jnp.asarray([0.3, -1.0, 2.0]), Planner()
    np.testing.assert_allclose(candidate_weights(scores, planner), candidate_weights(1e4 * scores, planner), rtol=1e-4)
    np.testing.assert_allclose(candidate_weights(jnp.full(4, 2.0), planner), np.full(4, 0.25))


@pytest.mark.parametrize("num_actions", [None, 3])
@pytest.mark.parametrize("rule", RULES)
def test_where_all_plans_are_discarded_the_action_is_random_and_the_proposal_stays(rule, num_actions):
    planner = Planner(rule=rule, horizon=2, num_candidates=8)
    start = planner.proposal(num_actions, () if num_actions else (2,))
    act = lambda key: plan(lambda candidate: jnp.asarray(jnp.nan), start, planner, key=key)
    planned = jax.vmap(act)(jax.random.split(jax.random.key(0), 200))
    assert planned.failed.all()
    np.testing.assert_array_equal(planned.value, np.full(200, -np.inf))
    if num_actions:
        assert set(np.asarray(planned.action).tolist()) == {0, 1, 2}
    else:
        assert (np.abs(planned.action).max(0) > 0.9).all()
        assert (np.abs(planned.action.mean(0)) < 0.2).all()
    for got, old in zip(jax.tree.leaves(planned.proposal), jax.tree.leaves(start), strict=True):
        np.testing.assert_array_equal(got[0], old)


def test_what_is_not_finite_is_discarded():
    score = lambda candidate: jnp.where(candidate[0, 0] > 0, jnp.nan, -jnp.square(candidate[0, 0] + 0.4))
    planner = Planner(horizon=1, num_candidates=64, num_iterations=6)
    planned = plan(score, planner.proposal(None, (1,)), planner, key=jax.random.key(0))
    assert not planned.failed
    np.testing.assert_allclose(planned.action, [-0.4], atol=0.1)


def test_noise_may_be_correlated_in_time():
    planner = Planner(horizon=40, num_candidates=2000, spread=0.1, correlation=0.8)
    plans = planner.proposal(None, (1,)).sample(planner, key=jax.random.key(0))[1:, :, 0]
    np.testing.assert_allclose(plans.std(), 0.1, rtol=0.05)
    np.testing.assert_allclose(np.corrcoef(plans[:, 20], plans[:, 21])[0, 1], 0.8, atol=0.05)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"horizon": 0}, "planner.horizon must be a whole number of at least 1, got 0"),
        ({"num_candidates": 0}, "planner.num_candidates must be a whole number of at least 1, got 0"),
        ({"gamma": 1.5}, r"planner.gamma must lie in \[0, 1\], got 1.5"),
        ({"temperature": 0.0}, "planner.temperature must be positive, got 0.0"),
        ({"num_candidates": 4}, "planner.num_elites=8 is more than planner.num_candidates=4: lower it"),
    ],
)
def test_what_cannot_work_is_refused(changes, message):
    with pytest.raises(InvalidArgument, match=message):
        replace(Planner(), **changes)
