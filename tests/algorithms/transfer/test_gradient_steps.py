"""The inner network by gradient: its steps against autodiff, draws that take them, and where they lead."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import numbered_block

from quickstudy.algorithms.memory import empty_memory, remember
from quickstudy.algorithms.transfer.gradient_steps import descend, foresight_loss
from quickstudy.algorithms.transfer.mktn import MKTN, lesson_of
from quickstudy.algorithms.transfer.parts import Head, InnerNetwork, TransferParams, known_of, prior_head
from quickstudy.envs.gridworld import GridNavigation
from quickstudy.trial import run_trial

GRID = GridNavigation(size=3, horizon=4, num_episodes=3)
INNER = InnerNetwork(capacity=12, gamma=0.6, noise=0.4, form="gradient", num_steps=3)
METHOD = MKTN(width=8, num_features=4, inner=INNER, step_size=0.3)


@pytest.fixture(scope="module")
def params():
    params = METHOD.init(GRID.env.spec, key=jax.random.key(0)).params
    k_mean, k_step = jax.random.split(jax.random.key(1))
    steps = 0.5 * jax.random.normal(k_step, (4,))
    return TransferParams(params.knowledge, jax.random.normal(k_mean, (4,)), params.log_precision, steps)


def _data():
    data = remember(empty_memory(12, 6), numbered_block(0, 4, 2))[0].transitions
    return data._replace(reward=data.reward / 10)


def _objective(params, data, known, head, phi):
    """The loss of one head by its formula, row by row."""
    total = 0.0
    for row in np.flatnonzero(np.asarray(data.weight)):
        following = known.following.value[row] + known.following.features[row] @ head.mean
        best = int(jnp.argmax(following))
        target = data.reward[row] + INNER.gamma * data.discount[row] * following[best]
        total += 0.5 * (known.value[row] + known.features[row] @ phi - target) ** 2
    pull = 0.5 * INNER.noise**2 * jnp.sum(jnp.exp(params.log_precision) * (phi - params.prior_mean) ** 2)
    return (total + pull) / data.weight.sum()


def _rate(params, data, known):
    """α by its formula, row by row."""
    rows = np.flatnonzero(np.asarray(data.weight))
    square = np.mean([np.sum(np.asarray(known.features[row]) ** 2) for row in rows])
    pull = INNER.noise**2 / len(rows) * np.exp(np.asarray(params.log_precision)).max()
    return 2 / (1 + np.exp(-np.asarray(params.step_logit))) / (square + pull)


def test_a_step_goes_down_the_gradient_by_the_learned_step_sizes(params):
    data = _data()
    known, head = known_of(params.knowledge, data), prior_head(params, INNER)
    phi = head.mean
    for _ in range(INNER.num_steps):
        phi = phi - _rate(params, data, known) * jax.grad(lambda p: _objective(params, data, known, head, p))(phi)
    np.testing.assert_allclose(descend(params, INNER, data, known, head).mean, phi, rtol=1e-4, atol=1e-6)


def test_every_draw_of_the_head_has_taken_the_same_steps(params):
    """With a* held, a draw that descends alone arrives where mean and root say."""
    data = _data()
    known, head = known_of(params.knowledge, data), prior_head(params, INNER)
    draw = jnp.asarray([0.3, -1.0, 0.5, 2.0])
    found = descend(params, INNER, data, known, head)
    rows, count = np.arange(8), 8.0
    best = np.argmax(known.following.value + known.following.features @ head.mean, axis=-1)[:8]
    value, features = known.following.value[rows, best], known.following.features[rows, best]
    x, discount = known.features[:8], INNER.gamma * data.discount[:8]
    start = head.mean + head.root @ draw
    prior, phi = start, start
    for _ in range(INNER.num_steps):
        error = x @ phi + known.value[:8] - data.reward[:8] - discount * (value + features @ start)
        pull = INNER.noise**2 * jnp.exp(params.log_precision) * (phi - prior)
        phi = phi - _rate(params, data, known) * (x.T @ error + pull) / count
    np.testing.assert_allclose(found.mean + found.root @ draw, phi, rtol=1e-4, atol=1e-5)


def test_without_data_only_the_pull_moves_and_the_prior_stays(params):
    data = _data()._replace(weight=jnp.zeros(12))
    known, head = known_of(params.knowledge, data), prior_head(params, INNER)
    found = descend(params, INNER, data, known, head)
    np.testing.assert_allclose(found.mean, head.mean)
    np.testing.assert_allclose(found.root, head.root)


def test_without_an_inner_network_nothing_moves(params):
    inner, data = eqx.tree_at(lambda inner: inner.head, INNER, False), _data()
    found = descend(params, inner, data, known_of(params.knowledge, data), prior_head(params, inner))
    np.testing.assert_array_equal(found.mean, np.zeros(4))
    np.testing.assert_array_equal(found.root, np.zeros((4, 4)))


def test_many_steps_without_a_discount_lead_to_the_regression_on_rewards(params):
    inner = InnerNetwork(capacity=12, gamma=0.0, noise=0.4, form="gradient", num_steps=4000)
    data = _data()
    known = known_of(params.knowledge, data)
    found = descend(params, inner, data, known, prior_head(params, inner))
    x, y = np.asarray(known.features)[:8], np.asarray(data.reward - known.value)[:8]
    precision = np.diag(np.exp(np.asarray(params.log_precision)))
    expected = np.linalg.solve(x.T @ x + 0.16 * precision, x.T @ y + 0.16 * precision @ np.asarray(params.prior_mean))
    np.testing.assert_allclose(found.mean, expected, rtol=2e-2, atol=2e-2)


def test_step_sizes_learn_to_foresee_and_updates_change_them(params):
    hindsight = lesson_of(params, INNER, _data())
    loss = lambda step_sizes: foresight_loss(
        eqx.tree_at(lambda p: p.step_logit, params, step_sizes),
        INNER,
        hindsight.data,
        hindsight.target,
        key=jax.random.key(0),
    )
    slope = jax.grad(loss)(params.step_logit)
    assert loss(params.step_logit - 0.1 * slope / jnp.linalg.norm(slope)) < loss(params.step_logit)
    run = lambda task, key: run_trial(
        METHOD.explorer, state.params, GRID.env, task, METHOD.budgets(GRID).train, key=key
    )
    state = METHOD.init(GRID.env.spec, key=jax.random.key(0))
    trials = jax.jit(jax.vmap(run))(jnp.arange(4, 8), jax.random.split(jax.random.key(2), 4))
    after, info = jax.jit(lambda trials: METHOD.update(state, trials, key=jax.random.key(3)))(trials)
    assert np.isfinite(info["foresight"])
    assert np.all(after.params.step_logit != state.params.step_logit)
    assert isinstance(trials.final.state.head, Head)
