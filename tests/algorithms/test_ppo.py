"""PPO's targets by hand, and its gradient where it reduces to the policy gradient."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import Staircase

from quickstudy.algorithms.actor_critic import ActorCriticAux, ActorCriticLearner
from quickstudy.algorithms.context.rl2 import RL2
from quickstudy.algorithms.ppo import (
    PPO,
    ValueScale,
    _follow,
    episode_targets,
    lifetime_targets,
    streams_of,
)
from quickstudy.collect.graph import GraphCollector
from quickstudy.errors import InvalidArgument
from quickstudy.nets.actor_critic import AbstractActorCritic, RecurrentActorCritic
from quickstudy.nets.policy import Categorical
from quickstudy.types import Budget, TimeStep, Trajectory

HALF = PPO(gamma=0.5, trace=1.0)


class _Identity(AbstractActorCritic):
    """Its value is its observation."""

    standardizer: None = None

    def initial_carry(self):
        return ()

    def step(self, carry, timestep):
        return carry, Categorical(jnp.zeros(2)), timestep.obs[0]

    def unroll(self, timesteps, *, remat):
        raise NotImplementedError


def _scale(mean=0.0, std=1.0):
    return ValueScale(jnp.asarray(mean), jnp.asarray(std**2 - 1e-6), jnp.asarray(1.0))


def _targets(targets, *, terminated=(0, 0, 0), truncated=(0, 0, 0), over=False, scale=None, ppo=HALF):
    """Rewards 1, 2, 4; values 1, 2, 3, and 4 in the end."""
    scale = _scale() if scale is None else scale
    normalize = lambda x: (jnp.asarray(x) - scale.mean) / scale.std
    value = normalize([1.0, 2.0, 3.0])
    timestep = TimeStep(value[:, None], jnp.zeros(3, jnp.int32), jnp.zeros(3), jnp.zeros(3, bool))
    stream = Trajectory(
        timestep=timestep,
        action=jnp.zeros(3, jnp.int32),
        reward=jnp.array([1.0, 2.0, 4.0]),
        next_obs=normalize([2.0, 8.0, 4.0])[:, None],
        terminated=jnp.array(terminated, bool),
        truncated=jnp.array(truncated, bool),
        aux=ActorCriticAux(jnp.zeros(3), value),
    )
    final = TimeStep(normalize([4.0]), jnp.asarray(0, jnp.int32), jnp.asarray(0.0), jnp.asarray(over))
    return np.asarray(targets(ppo, _Identity(), scale, stream, (), final))


BORDERS = [{"terminated": (0, 1, 0)}, {"truncated": (0, 1, 0)}, {}]


@pytest.mark.parametrize("border", BORDERS, ids=["terminated", "truncated", "none"])
def test_the_future_of_a_lifetime_crosses_the_borders_of_episodes(border):
    # Returns 4 + ½·4 = 6, 2 + ½·6 = 5, 1 + ½·5 = 3.5, less values 3, 2, 1.
    np.testing.assert_allclose(_targets(lifetime_targets, **border), [2.5, 3, 3], rtol=1e-5)


@pytest.mark.parametrize("border", [{"terminated": (0, 0, 1)}, {"truncated": (0, 0, 1)}])
def test_a_lifetime_that_ends_with_an_episode_is_worth_nothing_beyond(border):
    # Returns 4, 4, 3.
    np.testing.assert_allclose(_targets(lifetime_targets, over=True, **border), [2, 2, 1], rtol=1e-5)


def test_the_lifetime_of_the_mortal_ends_with_termination_and_not_with_the_clock():
    mortal = RL2(mortal=True)._targets
    np.testing.assert_allclose(_targets(mortal, terminated=(0, 1, 0)), [1, 0, 3], rtol=1e-5)
    np.testing.assert_allclose(_targets(mortal, truncated=(0, 1, 0)), [2.5, 3, 3], rtol=1e-5)


def test_an_episode_that_terminates_ends_the_future():
    # Returns 4 + ½·4 = 6; 2; 1 + ½·2 = 2, less values 3, 2, 1.
    np.testing.assert_allclose(_targets(episode_targets, terminated=(0, 1, 0)), [1, 0, 3], rtol=1e-5)


def test_an_episode_that_is_truncated_bootstraps_from_its_true_successor():
    # Returns 6; 2 + ½·8 = 6; 1 + ½·6 = 4, less values 3, 2, 1.
    np.testing.assert_allclose(_targets(episode_targets, truncated=(0, 1, 0)), [3, 4, 3], rtol=1e-5)


@pytest.mark.parametrize("targets", [lifetime_targets, episode_targets])
def test_advantages_are_in_units_of_reward_whatever_the_critics_scale(targets):
    expected = _targets(targets, terminated=(0, 1, 0))
    got = _targets(targets, terminated=(0, 1, 0), scale=_scale(mean=10.0, std=2.0))
    np.testing.assert_allclose(got, expected, rtol=1e-4)


@pytest.mark.parametrize("targets", [lifetime_targets, episode_targets])
def test_a_trace_of_zero_looks_one_step_ahead(targets):
    got = _targets(targets, ppo=PPO(gamma=0.5, trace=0.0))
    successor = np.array([2.0, 3.0, 4.0] if targets is lifetime_targets else [2.0, 8.0, 4.0])
    np.testing.assert_allclose(got, np.array([1.0, 2, 4]) + 0.5 * successor - [1, 2, 3], rtol=1e-5)


def test_streams_keep_their_order():
    index = jnp.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    trajectory = Trajectory(TimeStep(index, index, index, index), index, index, index, index > 0, index > 0, None)
    got = streams_of(trajectory).action
    assert got.shape == (2, 5, 12)
    np.testing.assert_array_equal(got[1, 2], np.asarray(index)[1, :, :, 2].ravel())


def test_minibatches_are_strided_over_tasks():
    got = PPO(num_minibatches=2)._split(jnp.arange(16).reshape(8, 2))
    np.testing.assert_array_equal(got[:, :, 0] // 2, [[0, 2, 4, 6], [1, 3, 5, 7]])


def test_tasks_that_do_not_divide_into_minibatches_are_refused():
    with pytest.raises(InvalidArgument, match=r"number of tasks \(6\) must be a multiple of ppo.num_minibatches \(4\)"):
        PPO(num_minibatches=4)._split(jnp.arange(6))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_epochs", 0),
        ("num_minibatches", 0),
        ("anneal_steps", 0),
        ("gamma", 1.5),
        ("trace", -0.1),
        ("learning_rate", 0.0),
        ("clip", -0.2),
        ("max_grad_norm", 0.0),
    ],
)
def test_hyperparameters_that_cannot_work_are_refused(name, value):
    with pytest.raises(InvalidArgument, match=f"ppo.{name} must"):
        PPO(**{name: value})


def test_the_value_scale_starts_at_the_first_batch_and_then_follows_slowly():
    fresh = ValueScale(jnp.zeros(()), jnp.ones(()), jnp.zeros(()))
    first = _follow(fresh, jnp.array([[[2.0, 6.0]]]))
    assert (float(first.mean), float(first.variance)) == (4.0, 4.0)
    second = _follow(first, jnp.array([[[24.0, 24.0]]]))
    np.testing.assert_allclose([second.mean, second.variance], [4 + 0.05 * 20, 4 - 0.05 * 4], rtol=1e-6)


@pytest.fixture(scope="module")
def rollout():
    """A tiny network, its trials in eight tasks, and what the loss reads of them."""
    collector = GraphCollector(Staircase())
    key = jax.random.key(0)
    params = RecurrentActorCritic(
        collector.spec, cell="gru", width=4, readout=0, associative=False, standardize=False, key=key
    )
    # A fresh policy is uniform; this one prefers something.
    params = eqx.tree_at(lambda p: p.policy.linear.weight, params, replace_fn=lambda w: 100 * w)
    tasks = jnp.linspace(0.5, 2, 8)
    trials = collector.collect(ActorCriticLearner(), params, tasks, Budget(2, 4, 2), key=jax.random.key(1))
    batch = eqx.filter_jit(PPO()._batch)(params, _scale(), trials, lifetime_targets)
    return params, trials, batch


def _policy_gradient(params, batch, ppo):
    """Gradient of the loss's policy term alone."""
    loss = lambda params: ppo._loss(params, batch, jnp.asarray(0.0))
    return eqx.filter_jit(eqx.filter_grad(loss, has_aux=True))(params)


ONLY_POLICY = PPO(value_weight=0.0)


def test_at_the_behaviour_policy_the_gradient_is_the_policy_gradient(rollout):
    params, _, batch = rollout
    got, info = _policy_gradient(params, batch, ONLY_POLICY)

    def reinforce(params):
        policies, _ = jax.vmap(jax.vmap(lambda t: params.unroll(t, remat=False)))(batch.timestep)
        log_prob = jax.vmap(jax.vmap(jax.vmap(lambda p, a: p.log_prob(a))))(policies, batch.action)
        return -(batch.advantage * log_prob).mean()

    expected = eqx.filter_jit(eqx.filter_grad(reinforce))(params)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-6)
    assert max(float(jnp.abs(x).max()) for x in jax.tree.leaves(expected)) > 1e-2
    assert abs(float(info["kl"])) < 1e-6
    assert float(info["clip_fraction"]) == 0


@pytest.mark.parametrize(
    ("ratio", "sign", "moves"), [(3.0, 1, False), (3.0, -1, True), (0.3, -1, False), (0.3, 1, True)]
)
def test_a_clipped_ratio_has_no_gradient_where_the_bound_is_pessimistic(rollout, ratio, sign, moves):
    params, _, batch = rollout
    batch = batch._replace(log_prob=batch.log_prob - jnp.log(ratio), advantage=sign * jnp.ones_like(batch.advantage))
    grad, info = _policy_gradient(params, batch, ONLY_POLICY)
    largest = max(float(jnp.abs(x).max()) for x in jax.tree.leaves(grad))
    assert (largest > 1e-3) if moves else (largest == 0)
    assert float(info["clip_fraction"]) == 1
    bound = {(3.0, 1): -1.2, (3.0, -1): 3.0, (0.3, 1): -0.3, (0.3, -1): 0.8}[ratio, sign]
    np.testing.assert_allclose(info["policy_loss"], bound, rtol=1e-4)


def test_the_loss_is_the_sum_of_its_terms(rollout):
    params, _, batch = rollout
    loss, info = eqx.filter_jit(PPO(value_weight=0.7)._loss)(params, batch, jnp.asarray(0.1))
    expected = info["policy_loss"] + 0.7 * info["value_loss"] - 0.1 * info["entropy"]
    np.testing.assert_allclose(loss, expected, rtol=1e-6)
    _, values = jax.vmap(jax.vmap(lambda t: params.unroll(t, remat=False)))(batch.timestep)
    np.testing.assert_allclose(info["value_loss"], 0.5 * np.square(values - batch.target).mean(), rtol=1e-5)


def test_targets_are_advantages_plus_values(rollout):
    _, trials, batch = rollout
    values = streams_of(trials.trajectory).aux.value
    np.testing.assert_allclose(batch.target, batch.advantage + values, rtol=1e-5, atol=1e-6)


@pytest.fixture(scope="module")
def one_step(rollout):
    """One gradient step an update, at any point of training."""
    params, trials, _ = rollout
    ppo = PPO(
        num_epochs=1,
        num_minibatches=1,
        anneal_steps=10,
        learning_rate=1e-2,
        final_learning_rate=1e-3,
        entropy_weight=0.4,
    )
    state = ppo.init(params)

    @eqx.filter_jit
    def update(step):
        at = eqx.tree_at(lambda s: (s.step, s.opt_state[1][1].count), state, (step, step))
        return ppo.update(at, trials, lifetime_targets)

    return state, lambda step: update(jnp.asarray(step, jnp.int32))


@pytest.mark.parametrize(
    ("step", "entropy_weight", "learning_rate"), [(0, 0.4, 1e-2), (5, 0.2, 5.5e-3), (10, 0, 1e-3), (99, 0, 1e-3)]
)
def test_entropy_weight_and_learning_rate_fall_linearly_and_then_stay(one_step, step, entropy_weight, learning_rate):
    state, update = one_step
    new, info = update(step)
    np.testing.assert_allclose(info["entropy_weight"], entropy_weight, atol=1e-6)
    # Adam's first step moves every weight by the learning rate, wherever the gradient is not tiny.
    before, after = (jax.tree.leaves(eqx.filter(s.params, eqx.is_array)) for s in (state, new))
    largest = max(float(jnp.abs(a - b).max()) for a, b in zip(before, after, strict=True))
    np.testing.assert_allclose(largest, learning_rate, rtol=0.02)
    assert int(new.step) == step + 1
    assert set(info) >= {"loss", "policy_loss", "value_loss", "entropy", "kl", "clip_fraction", "gradient_norm"}
