"""DDPG, TD3 and SAC: their losses by hand, what each gradient reaches, learning one task, and every bad input."""

import math
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.algorithms.baselines.continuous import (
    DDPG,
    SAC,
    ActorCritics,
    DeterministicRule,
    EntropyRule,
    squashed_normal,
    td3,
)
from quickstudy.envs.gridworld import GridNavigation
from quickstudy.envs.point import PointNavigation, PointTask
from quickstudy.errors import InvalidArgument
from quickstudy.nets.perceptron import Perceptron
from quickstudy.trial import run_trial
from quickstudy.types import Budget, Transitions

POINT = PointNavigation(horizon=8, num_episodes=2)


def _linear(weight, bias) -> Perceptron:
    """Without hidden layers."""
    layer = Perceptron(len(weight[0]), len(weight), width=1, depth=0, key=jax.random.key(0))
    return eqx.tree_at(
        lambda p: (p.layers[0].weight, p.layers[0].bias), layer, (jnp.asarray(weight), jnp.asarray(bias))
    )


def _networks(outputs: int, *critic_biases: float) -> ActorCritics:
    """One observation, one action: the actor says half of what it sees, critic i says obs + 2 action + bias_i."""
    actor = _linear([[0.5]] + [[0.0]] * (outputs - 1), [0.0] * outputs)
    return ActorCritics(actor, tuple(_linear([[1.0, 2.0]], [b]) for b in critic_biases), jnp.asarray(math.log(0.3)))


def _batch() -> Transitions:
    column, one = lambda x: jnp.asarray([[x]]), jnp.ones(1)
    return Transitions(column(1.0), column(0.25), 3 * one, column(2.0), 0.5 * one, 0 * one, one)


def test_ddpg_by_hand():
    networks = _networks(1, 0.5)
    critics, actor = DeterministicRule().losses(networks, networks, _batch(), jnp.asarray(0), key=jax.random.key(0))
    wanted = 3 + 0.5 * (2 + 2 * math.tanh(1.0) + 0.5)
    assert float(critics) == pytest.approx((1 + 0.5 + 0.5 - wanted) ** 2, rel=1e-5)
    assert float(actor) == pytest.approx(-(1 + 2 * math.tanh(0.5) + 0.5), rel=1e-5)


def test_td3_believes_the_lower_critic_and_its_actor_waits():
    networks, rule = _networks(1, 0.5, -1.5), DeterministicRule(twin=True, policy_delay=2, target_rate=0.5)
    critics, actor = rule.losses(networks, networks, _batch(), jnp.asarray(1), key=jax.random.key(0))
    wanted = 3 + 0.5 * (2 + 2 * math.tanh(1.0) - 1.5)
    assert float(critics) == pytest.approx((2.0 - wanted) ** 2 + (0.0 - wanted) ** 2, rel=1e-5)
    assert float(actor) == 0
    assert [float(rule.follows(jnp.asarray(step))) for step in (0, 1, 2)] == [0.5, 0, 0.5]


def test_smoothing_stays_within_its_cut():
    networks, rule = _networks(1, 0.0), DeterministicRule(smoothing=0.01)
    wanted = [
        3 - float(rule.losses(networks, networks, _batch(), jnp.asarray(0), key=jax.random.key(k))[0]) ** 0.5
        for k in range(5)
    ]
    assert len(set(wanted)) == 5
    assert max(wanted) - min(wanted) <= 0.5 * 2 * 0.05


def test_the_squashed_normal_is_a_density():
    outputs = jnp.asarray([0.3, -0.7])
    keys = jax.random.split(jax.random.key(0), 200_000)
    action, log_prob = jax.vmap(lambda key: squashed_normal(outputs, key=key))(keys)
    # The mean of 1 / p over draws of p is the size of the support, which is (-1, 1); few draws are near its ends.
    inside = jnp.abs(action[:, 0]) < 0.9
    assert float(jnp.mean(jnp.where(inside, jnp.exp(-log_prob), 0.0))) == pytest.approx(1.8, rel=0.02)


def test_sac_by_hand():
    networks = _networks(2, 0.5, -1.5)
    key = jax.random.key(3)
    critics, actor = EntropyRule().losses(networks, networks, _batch(), jnp.asarray(0), key=key)
    k_following, k_here = (jax.random.split(k, 1)[0] for k in jax.random.split(key))
    following, log_following = squashed_normal(networks.actor(jnp.asarray([2.0])), key=k_following)
    here, log_here = squashed_normal(networks.actor(jnp.asarray([1.0])), key=k_here)
    wanted = 3 + 0.5 * (2 + 2 * following[0] - 1.5 - 0.3 * log_following)
    assert float(critics) == pytest.approx(float((2.0 - wanted) ** 2 + (0.0 - wanted) ** 2), rel=1e-5)
    temperature = -math.log(0.3) * (log_here - 1)
    assert float(actor) == pytest.approx(float(0.3 * log_here - (1 + 2 * here[0] - 1.5) + temperature), rel=1e-4)


@pytest.mark.parametrize("rule", [DeterministicRule(twin=True), EntropyRule()], ids=["td3", "sac"])
def test_neither_loss_has_a_gradient_of_the_other(rule):
    networks = _networks(rule.outputs_per_action, 0.5, -1.5)
    both = lambda p: rule.losses(p, networks, _batch(), jnp.asarray(0), key=jax.random.key(0))
    by_critics = eqx.filter_grad(lambda p: both(p)[0])(networks)
    by_actor = eqx.filter_grad(lambda p: both(p)[1])(networks)
    size = lambda tree: sum(float(jnp.abs(x).sum()) for x in jax.tree.leaves(tree))
    assert size(by_critics.critics) > 0
    assert size(by_critics.actor) == 0
    assert size(by_actor.actor) > 0
    assert size(by_actor.critics) == 0


def test_the_temperature_falls_while_the_policy_is_more_random_than_wanted():
    networks = _networks(2, 0.0, 0.0)
    wide = eqx.tree_at(lambda p: p.actor.layers[0].bias, networks, jnp.asarray([0.0, -0.5]))
    narrow = eqx.tree_at(lambda p: p.actor.layers[0].bias, networks, jnp.asarray([0.0, -4.0]))
    batch = jax.tree.map(lambda x: jnp.repeat(x, 64, axis=0), _batch())
    slope = lambda p: (
        eqx.filter_grad(lambda p: EntropyRule().losses(p, p, batch, jnp.asarray(0), key=jax.random.key(0))[1])(
            p
        ).log_temperature
    )
    # The wanted entropy, -1 nat, is that of a normal with a standard deviation of about .09.
    assert float(slope(narrow)) < 0 < float(slope(wide))


@pytest.mark.parametrize("build", [DDPG, td3, SAC])
def test_it_learns_the_way_to_one_goal(build):
    method = replace(build(), width=32, capacity=1600, random_steps=80)
    params = method.init(POINT.env.spec, key=jax.random.key(0)).params
    task = PointTask(jnp.asarray([0.4, -0.3]), jnp.zeros(()))
    run = jax.jit(lambda key: run_trial(method.learner, params, POINT.env, task, Budget(1600, 1), key=key))
    reward = run(jax.random.key(1)).trajectory.reward[:, 0, 0]
    still, known = float(POINT.env.standing_still_return(task)), float(POINT.env.goal_known_return(task))
    assert np.mean(reward[-400:]) * 8 > known + 0.25 * (still - known)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: DeterministicRule(learning_rate=0.0), "rule.learning_rate must be positive, got 0.0"),
        (lambda: DeterministicRule(gamma=-0.1), r"rule.gamma must lie in \[0, 1\], got -0.1"),
        (lambda: DeterministicRule(target_rate=2.0), r"rule.target_rate must lie in \(0, 1\], got 2.0"),
        (lambda: DeterministicRule(policy_delay=0), "rule.policy_delay must be a whole number of at least 1, got 0"),
        (lambda: DeterministicRule(noise=-1.0), "rule.noise must be at least 0, got -1.0"),
        (lambda: EntropyRule(initial_temperature=0.0), "rule.initial_temperature must be positive, got 0.0"),
        (lambda: EntropyRule(batch_size=0), "rule.batch_size must be a whole number of at least 1, got 0"),
        (lambda: SAC(random_steps=-1), "random_steps must be at least 0, got -1"),
        (lambda: DDPG(capacity=0), "capacity must be a whole number of at least 1, got 0"),
        (
            lambda: SAC().init(GridNavigation().env.spec, key=jax.random.key(0)),
            "SAC needs continuous actions, and this family's are discrete: try dqn",
        ),
    ],
)
def test_bad_input_is_named(build, message):
    with pytest.raises(InvalidArgument, match=message):
        build()
