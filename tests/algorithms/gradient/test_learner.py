"""The inner loop, against NumPy."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import Staircase

from quickstudy.algorithms.gradient.generator import PolicyGenerator
from quickstudy.algorithms.gradient.learner import (
    GradientParams,
    InnerLoop,
    PolicyGradientLearner,
    constant_step_sizes,
)
from quickstudy.collect.graph import GraphCollector
from quickstudy.envs.bandit import BernoulliBandit
from quickstudy.envs.gridworld import GridNavigation
from quickstudy.envs.point import PointNavigation, PointTask
from quickstudy.errors import InvalidArgument
from quickstudy.nets.features import flat_obs
from quickstudy.nets.task_policy import PolicyNetwork
from quickstudy.types import Budget, TimeStep, Trajectory

KEY = jax.random.key(0)
NETWORK = PolicyNetwork(width=3, depth=1)
POINT, STAIRS = PointNavigation(horizon=5, num_episodes=2).env, Staircase()
ADVANTAGES = eqx.filter_jit(PolicyGradientLearner.advantages)
UPDATE = eqx.filter_jit(PolicyGradientLearner.update)


def _learner(part="all", **inner):
    return PolicyGradientLearner(
        InnerLoop(**{"num_streams": 4, "step_size": 0.5, "later_step_size": 0.25} | inner), part
    )


def _params(env, *, context_size=0):
    policy = NETWORK.build(env.spec, context_size=context_size, key=KEY)
    # A fresh head is nearly uniform; this one prefers something.
    weight = lambda p: p.head.linear.weight
    return GradientParams(eqx.tree_at(weight, policy, replace_fn=lambda w: 100 * w))


def _block(env, params, length=6):
    """One block ``[T, N]`` of four streams; episodes of the stairs end within it."""
    task = PointTask(jnp.array([[0.3, -0.4]]), jnp.zeros(1)) if env is POINT else jnp.array([1.5])
    budget = Budget(1, length, 4, fresh_blocks=True)
    trial = GraphCollector(env).collect(_learner(), params, task, budget, key=KEY)
    return jax.tree.map(lambda x: x[0, 0], trial.trajectory)


BLOCKS = {}
ENVS = pytest.mark.parametrize("env", [POINT, STAIRS], ids=["continuous", "discrete"])


def _given(env, *, context_size=0):
    if (env, context_size) not in BLOCKS:
        params = _params(env, context_size=context_size)
        BLOCKS[env, context_size] = params, _block(env, params)
    return BLOCKS[env, context_size]


def _reference_advantages(block, *, gamma, trace, ridge, normalize):
    """The same in NumPy's 64 bits, episode by episode."""
    reward, first = np.asarray(block.reward, float), np.asarray(block.timestep.first)
    last = np.asarray(block.terminated | block.truncated)
    length, num_streams = reward.shape
    features, returns, episodes = np.zeros((length, num_streams), object), np.zeros_like(reward), []
    for n in range(num_streams):
        begin = 0
        for t in range(length):
            begin = t if first[t, n] else begin
            obs = np.clip(np.asarray(flat_obs(jax.tree.map(lambda x, t=t, n=n: x[t, n], block.timestep.obs))), -10, 10)
            time = (t - begin) / 100
            features[t, n] = np.concatenate([obs, obs**2, [time, time**2, time**3, 1]])
            if last[t, n] or t == length - 1:
                episodes.append((n, range(begin, t + 1)))
    for n, steps in episodes:
        following = 0.0
        for t in reversed(steps):
            following = returns[t, n] = reward[t, n] + gamma * following
    x, y = np.stack(features.ravel()).astype(float), returns.ravel()
    weights = np.linalg.solve(x.T @ x / len(x) + ridge * np.eye(x.shape[1]), x.T @ y / len(x))
    value, advantage = (x @ weights).reshape(returns.shape), np.zeros_like(returns)
    for n, steps in episodes:
        running, next_value = 0.0, 0.0
        for t in reversed(steps):
            running = reward[t, n] + gamma * next_value - value[t, n] + gamma * trace * running
            advantage[t, n], next_value = running, value[t, n]
    return (advantage - advantage.mean()) / advantage.std() if normalize else advantage


@ENVS
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("trace", [1.0, 0.7])
def test_advantages_equal_numpys_and_respect_the_ends_of_episodes(env, normalize, trace):
    _, block = _given(env)
    # The streams of the stairs hold several episodes.
    assert env is POINT or np.asarray(block.timestep.first)[1:].any()
    settings = {"gamma": 0.9, "trace": trace, "ridge": 1e-2, "normalize": normalize}
    got = ADVANTAGES(_learner(**settings), block)
    np.testing.assert_allclose(got, _reference_advantages(block, **settings), rtol=2e-3, atol=2e-3)


def _flat_block(reward, *, first, terminated, truncated):
    """One stream of a constant observation."""
    column = lambda x, dtype: jnp.asarray(x, dtype)[:, None]
    length = len(reward)
    obs, action = jnp.ones((length, 1, 1)), jnp.zeros((length, 1), jnp.int32)
    timestep = TimeStep(obs, action, jnp.zeros((length, 1)), column(first, bool))
    ends = column(terminated, bool), column(truncated, bool)
    return Trajectory(timestep, action, column(reward, jnp.float32), obs, *ends, None)


@pytest.mark.parametrize("how", ["terminated", "truncated"])
def test_returns_do_not_cross_the_end_of_an_episode(how):
    # A ridge beyond all bounds leaves no baseline: advantages are discounted returns.
    learner = _learner(gamma=0.5, ridge=1e12, normalize=False)
    ends = {"terminated": [0, 0, 0, 0], "truncated": [0, 0, 0, 0]} | {how: [0, 1, 0, 0]}
    block = _flat_block([1.0, 2, 4, 8], first=[1, 0, 1, 0], **ends)
    # 1 + ½·2, 2 | 4 + ½·8, 8: the block's end ends the second episode.
    np.testing.assert_allclose(ADVANTAGES(learner, block)[:, 0], [2, 2, 8, 8], rtol=1e-5)


def test_normalised_advantages_have_mean_zero_and_deviation_one():
    _, block = _given(POINT)
    got = np.asarray(ADVANTAGES(_learner(normalize=True), block))
    np.testing.assert_allclose([got.mean(), got.std()], [0, 1], atol=1e-5)


def test_a_block_of_equal_rewards_teaches_nothing_and_stays_finite():
    block = _flat_block([1.0, 1, 1, 1], first=[1, 1, 1, 1], terminated=[1, 1, 1, 1], truncated=[0, 0, 0, 0])
    got = ADVANTAGES(_learner(), block)
    assert np.isfinite(got).all()


def _mean_score(policy, block, advantage, chosen):
    """``mean_t A_t ∇ log π(a_t|s_t)`` with respect to one part, step by step."""
    length, num_streams = block.reward.shape

    def score(part, obs, action):
        return eqx.tree_at(chosen, policy, part)(flat_obs(obs)).log_prob(action)

    per_step = jax.jit(jax.vmap(jax.vmap(jax.grad(score), (None, 0, 0)), (None, 0, 0)))
    scores = per_step(chosen(policy), block.timestep.obs, block.action)
    weigh = lambda s: np.tensordot(advantage, np.asarray(s, float), 2) / (length * num_streams)
    return jax.tree.map(weigh, scores)


PARTS = {"all": lambda p: p, "head": lambda p: p.head, "context": lambda p: p.context}


@ENVS
@pytest.mark.parametrize(
    ("surrogate", "part"),
    [
        ("score-function", "all"),
        ("low-variance-curvature", "all"),
        ("dice", "all"),
        ("low-variance-curvature", "head"),
        ("low-variance-curvature", "context"),
    ],
)
def test_an_update_is_the_mean_advantage_times_score(env, surrogate, part):
    params, block = _given(env, context_size=2)
    learner = _learner(part, surrogate=surrogate, gamma=0.9, ridge=1e-2)
    state = learner.init(params, key=KEY)
    new, info = UPDATE(learner, params, state, block, key=KEY)
    advantage = _reference_advantages(block, gamma=0.9, trace=1.0, ridge=1e-2, normalize=True)
    gradient = _mean_score(params.policy, block, advantage, PARTS[part])
    expected = jax.tree.map(lambda x, g: x + 0.5 * g, PARTS[part](params.policy), gradient)
    for a, b in zip(jax.tree.leaves(PARTS[part](new.policy)), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-3, atol=5e-4)
    # The rest stays as it is.
    back = eqx.tree_at(PARTS[part], new.policy, PARTS[part](params.policy))
    assert eqx.tree_equal(back, params.policy)
    assert bool(info["finite"])
    norm = np.sqrt(sum(np.sum(g**2) for g in jax.tree.leaves(gradient)))
    assert norm > 0.02
    np.testing.assert_allclose(info["inner_gradient_norm"], norm, rtol=5e-3)
    assert int(new.num_updates) == 1


def _change(old, new):
    return np.concatenate([np.ravel(b - a) for a, b in zip(jax.tree.leaves(old), jax.tree.leaves(new), strict=True)])


def test_the_second_update_takes_the_later_step_size():
    params, block = _given(POINT)
    learner = _learner()
    state = learner.init(params, key=KEY)
    first, _ = UPDATE(learner, params, state, block, key=KEY)
    later, _ = UPDATE(learner, params, state._replace(num_updates=jnp.asarray(1, jnp.int32)), block, key=KEY)
    np.testing.assert_allclose(_change(state.policy, first.policy), 2 * _change(state.policy, later.policy), atol=1e-6)


def test_learned_step_sizes_multiply_each_parameters_gradient():
    params, block = _given(POINT)
    learner = _learner()
    plain, _ = UPDATE(learner, params, learner.init(params, key=KEY), block, key=KEY)
    sizes = constant_step_sizes(params.policy, 0.5)
    learned = GradientParams(params.policy, sizes)
    same, _ = UPDATE(learner, learned, learner.init(learned, key=KEY), block, key=KEY)
    for a, b in zip(jax.tree.leaves(same.policy), jax.tree.leaves(plain.policy), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
    # One that is reversed for the bias of the head, and no other.
    reversed_ = eqx.tree_at(lambda p: p.step_sizes.head.linear.bias, learned, replace_fn=lambda a: -a)
    turned, _ = UPDATE(learner, reversed_, learner.init(reversed_, key=KEY), block, key=KEY)
    bias = lambda state: state.policy.head.linear.bias
    moved = bias(plain) - params.policy.head.linear.bias
    assert np.abs(moved).max() > 1e-3
    np.testing.assert_allclose(bias(turned) - params.policy.head.linear.bias, -moved, rtol=1e-5)
    np.testing.assert_allclose(turned.policy.head.linear.weight, plain.policy.head.linear.weight, rtol=1e-6)


def test_first_order_is_the_same_update_without_a_second_derivative():
    params, block = _given(POINT)

    def end(params, learner):
        state, _ = learner.update(params, learner.init(params, key=KEY), block, key=KEY)
        return state.policy.head.linear.bias[0]

    ends, slopes = {}, {}
    for first_order in (True, False):
        learner = _learner(first_order=first_order)
        ends[first_order], slopes[first_order] = eqx.filter_jit(eqx.filter_value_and_grad(end))(params, learner)
    np.testing.assert_array_equal(ends[True], ends[False])
    # The step is a constant: only the bias that the end started from counts.
    np.testing.assert_array_equal(slopes[True].policy.head.linear.bias, [1, 0])
    np.testing.assert_array_equal(slopes[True].policy.head.linear.weight, np.zeros((2, 3)))
    np.testing.assert_array_equal(slopes[True].policy.layers[0].weight, np.zeros((3, 2)))
    assert np.abs(slopes[False].policy.head.linear.weight).max() > 1e-3


def _with_generator(env):
    params, block = _given(env)
    generator = PolicyGenerator(env.spec, params.policy, width=4, code_size=2, key=jax.random.key(1))
    fill = lambda x: jax.random.normal(jax.random.key(x.size), x.shape)
    directions = jax.tree.map(fill, generator.hypernetwork.directions)
    generator = eqx.tree_at(lambda g: g.hypernetwork.directions, generator, directions)
    generator = eqx.tree_at(lambda g: g.encoder.prior, generator, jnp.array([0.5, -1.0]))
    return GradientParams(params.policy, None, generator), block


def test_a_generator_replaces_its_part_and_leaves_the_gradients_alone():
    params, block = _with_generator(STAIRS)
    plain, learner = GradientParams(params.policy), _learner()
    state = learner.init(params, key=KEY)
    encoder, directions = params.generator.encoder, params.generator.hypernetwork.directions

    def generated(code):
        return np.concatenate([np.ravel(d @ code) for d in jax.tree.leaves(directions)])

    prior = jnp.array([0.5, -1.0])
    np.testing.assert_allclose(_change(params.policy, state.policy), generated(prior), rtol=1e-4, atol=1e-6)
    new, _ = UPDATE(learner, params, state, block, key=KEY)
    evidence = eqx.filter_jit(encoder.add)(encoder.initial(), block)
    assert eqx.tree_equal(new.evidence, evidence, rtol=1e-5, atol=1e-6)
    assert float(new.evidence.num_transitions) == 24
    # φ' - φ = D (c' - c) + the step that a learner without generator takes from the same φ.
    by_gradient, _ = UPDATE(learner, plain, state._replace(evidence=None), block, key=KEY)
    step = _change(state.policy, by_gradient.policy)
    moved = generated(encoder.code(evidence) - prior)
    assert min(np.abs(step).max(), np.abs(moved).max()) > 0.01
    np.testing.assert_allclose(_change(state.policy, new.policy), step + moved, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("generator", [False, True], ids=["gradient", "generator"])
def test_a_reward_that_is_not_finite_changes_nothing(poison, generator):
    params, block = _with_generator(STAIRS) if generator else _given(STAIRS)
    learner = _learner()
    state = learner.init(params, key=KEY)
    bad = block._replace(reward=block.reward.at[2, 1].set(poison))
    new, info = UPDATE(learner, params, state, bad, key=KEY)
    assert not bool(info["finite"])
    assert float(info["inner_gradient_norm"]) == 0
    assert eqx.tree_equal(new, state)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_updates", 0),
        ("num_streams", 0),
        ("block_length", -1),
        ("step_size", 0.0),
        ("step_size", -0.1),
        ("later_step_size", -1.0),
        ("step_size", float("nan")),
        ("ridge", 0.0),
        ("gamma", 1.5),
        ("trace", -0.1),
    ],
)
def test_an_inner_loop_that_cannot_work_is_refused(name, value):
    with pytest.raises(InvalidArgument, match=f"inner.{name} must"):
        InnerLoop(**{name: value})


def test_an_unknown_surrogate_is_refused():
    with pytest.raises(Exception, match="surrogate"):
        InnerLoop(surrogate="reinforce")


@pytest.mark.parametrize(
    ("family", "block_length", "train", "test"),
    [
        # A block is an episode: a pull, a walk to the goal, a search.
        (BernoulliBandit(num_pulls=10), 0, (3, 1), (10, 1)),
        (BernoulliBandit(num_pulls=10), 5, (3, 5), (2, 5)),
        (PointNavigation(), 0, (3, 100), (4, 100)),
        (PointNavigation(), 200, (3, 200), (2, 200)),
        (GridNavigation(), 0, (3, 15), (4, 15)),
    ],
    ids=["bandit", "bandit blocks of 5", "point", "point blocks of 200", "grid"],
)
def test_budgets(family, block_length, train, test):
    inner = InnerLoop(num_updates=2, num_streams=7, block_length=block_length)
    assert inner.train_budget(family) == Budget(*train, 7, fresh_blocks=True)
    assert inner.test_budget(family) == Budget(*test, 7, fresh_blocks=True)
    assert inner.test_budget(family).steps_per_stream == family.budget.steps_per_stream


def test_blocks_that_do_not_fill_the_familys_trial_are_refused():
    with pytest.raises(InvalidArgument, match=r"inner.block_length=40 must be whole .* GridNavigation"):
        InnerLoop(block_length=40).test_budget(GridNavigation())
