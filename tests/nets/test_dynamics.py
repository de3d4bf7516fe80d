"""The inner model, its normalisation and its loss."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.nets.dynamics import MAX_LOG_STD, InnerModel, Scale, rollout_loss, transition_loss, transition_numbers
from quickstudy.types import Spec, Transitions

DISCRETE = Spec(jax.ShapeDtypeStruct((2,), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32), 3)
CONTINUOUS = Spec(jax.ShapeDtypeStruct((2,), jnp.float32), jax.ShapeDtypeStruct((1,), jnp.float32), None)
SCALE = Scale(
    jnp.asarray([1.0, -1.0]),
    jnp.asarray([2.0, 4.0]),
    jnp.asarray([0.5, 0.0]),
    jnp.asarray([0.1, 2.0]),
    jnp.asarray(3.0),
    jnp.asarray(5.0),
)


MIN_LOG_STD = -3.0


def _model(spec=DISCRETE):
    return InnerModel(spec, width=4, depth=1, min_log_std=MIN_LOG_STD, key=jax.random.key(0))


def _saying(model, motion, outcome):
    """The model with outputs that do not depend on its inputs."""
    where = lambda m: (m.motion[-1].weight, m.motion[-1].bias, m.outcome[-1].weight, m.outcome[-1].bias)
    zero = jnp.zeros_like
    return eqx.tree_at(
        where, model, (zero(where(model)[0]), jnp.asarray(motion), zero(where(model)[2]), jnp.asarray(outcome))
    )


def test_a_step_undoes_the_normalisation():
    model = _saying(_model(), [1.0, -2.0, 0.0, 0.0], [0.4, 0.0, np.log(3.0)])
    obs, reward, goes_on = model.step(SCALE, jnp.asarray([10.0, 20.0]), jnp.asarray(1))
    np.testing.assert_allclose(obs, [10 + 0.5 + 0.1, 20 - 4.0], rtol=1e-6)
    np.testing.assert_allclose(reward, 3 + 5 * 0.4, rtol=1e-6)
    np.testing.assert_allclose(goes_on, 0.25, rtol=1e-6)


@pytest.mark.parametrize(("spec", "action"), [(DISCRETE, jnp.asarray(2)), (CONTINUOUS, jnp.asarray([0.3]))])
def test_the_outcome_is_judged_where_the_step_led(spec, action):
    model = _model(spec)
    obs = jnp.asarray([0.2, 0.4])
    said = model.predict(SCALE, obs, action)
    led = obs + SCALE.change_mean + SCALE.change_std * said.change
    again = model.predict(SCALE, obs, action, led)
    np.testing.assert_allclose([again.reward, again.end], [said.reward, said.end], rtol=1e-5)
    elsewhere = model.predict(SCALE, obs, action, led + 1.0)
    assert elsewhere.reward != said.reward
    np.testing.assert_array_equal(elsewhere.change, said.change)


def test_the_loss_by_hand():
    # Log standard deviations whose sigmoid is ½ lie in the middle of their range.
    middle = (MIN_LOG_STD + MAX_LOG_STD) / 2
    model = _saying(_model(), [1.0, -2.0, 0.0, 0.0], [0.4, 0.0, -0.7])
    row = Transitions(
        jnp.asarray([0.0, 0.0]),
        jnp.asarray(0),
        jnp.asarray(8.0),
        jnp.asarray([0.7, 2.0]),
        jnp.zeros(()),
        jnp.ones(()),
        jnp.ones(()),
    )
    loss, error = transition_loss(model, SCALE, row)
    missed = np.array([2.0 - 1.0, 1.0 + 2.0, 1.0 - 0.4])  # of the two changes, (.2/.1, 2/2), and of the reward, 5/5
    gaussian = np.exp(middle) * (0.5 * missed**2 * np.exp(-2 * middle) + middle)
    np.testing.assert_allclose(loss, gaussian.sum() + np.log1p(np.exp(0.7)), rtol=1e-5)
    np.testing.assert_allclose(error, (1 + 9) / 2, rtol=1e-5)


def test_the_scale_is_that_of_the_transitions_that_are_there():
    rng = np.random.default_rng(0)
    obs, change = rng.normal(1.0, 3.0, (4, 5, 2)), rng.normal(-2.0, 0.5, (4, 5, 2))
    change[..., 1] = 0.25  # never changes: its deviation is left at 1
    weight = (rng.random((4, 5)) < 0.6).astype(np.float32)
    reward, ones = rng.normal(size=(4, 5)), np.ones((4, 5))
    fields = (obs, np.zeros((4, 5), np.int32), reward, obs + change, ones, ones, weight)
    scale = Scale.of(Transitions(*(jnp.asarray(x, None if x.dtype == np.int32 else jnp.float32) for x in fields)))
    there = weight > 0
    np.testing.assert_allclose(scale.obs_mean, obs[there].mean(0), rtol=1e-4)
    np.testing.assert_allclose(scale.obs_std, obs[there].std(0), rtol=1e-4)
    np.testing.assert_allclose(scale.change_std, [change[there][:, 0].std(), 1.0], rtol=1e-4)
    np.testing.assert_allclose(
        [scale.reward_mean, scale.reward_std], [reward[there].mean(), reward[there].std()], rtol=1e-4
    )


def test_a_transition_as_numbers():
    row = Transitions(
        jnp.asarray([3.0, 3.0]),
        jnp.asarray(2),
        jnp.asarray(13.0),
        jnp.asarray([3.6, 7.0]),
        jnp.zeros(()),
        jnp.ones(()),
        jnp.ones(()),
    )
    np.testing.assert_allclose(transition_numbers(SCALE, row, 3), [1, 1, 0, 0, 1, 1, 2, 2, 1], rtol=1e-5)


def _rows(num, key=5):
    keys = jax.random.split(jax.random.key(key), 3)
    obs = jax.random.normal(keys[0], (num + 1, 2))
    actions, ones = jnp.arange(num) % 3, jnp.ones(num)
    return Transitions(obs[:-1], actions, jax.random.normal(keys[1], (num,)), obs[1:], ones, 0 * ones, ones)


def test_losses_of_a_run_are_taken_where_the_model_thinks_it_is():
    model, rows = _model(), _rows(3)
    row = lambda i: jax.tree.map(lambda x: x[i], rows)
    obs, expected = rows.obs[0], []
    for i in range(3):
        expected.append(transition_loss(model, SCALE, row(i)._replace(obs=obs)))
        obs, _, _ = model.step(SCALE, obs, rows.action[i])
    means = np.mean(expected, axis=0)
    np.testing.assert_allclose(rollout_loss(model, SCALE, rows), means, rtol=1e-4)
    alone = jax.tree.map(lambda x: x[:1], rows)
    np.testing.assert_allclose(rollout_loss(model, SCALE, alone), expected[0], rtol=1e-5)


@pytest.mark.parametrize("change", [{"last": jnp.array([0.0, 1.0, 0.0])}, {"weight": jnp.array([1.0, 1.0, 0.0])}])
def test_a_run_ends_with_the_episode_or_the_data(change):
    model, rows = _model(), _rows(3)._replace(**change)
    two = jax.tree.map(lambda x: x[:2], rows)
    np.testing.assert_allclose(rollout_loss(model, SCALE, rows), rollout_loss(model, SCALE, two), rtol=1e-5)
