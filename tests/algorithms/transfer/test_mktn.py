"""MKTN: the memory by hand, the head against Gaussian conditioning, its reductions, and every bad input."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toys import numbered_block

from quickstudy.algorithms.memory import TrialStore, empty_memory, remember
from quickstudy.algorithms.transfer.mktn import (
    MKTN,
    TransferLearner,
    act_by_draw,
    fit_inner,
    in_hindsight,
    knowledge_loss,
    lesson_of,
)
from quickstudy.algorithms.transfer.parts import Head, InnerNetwork, Known, known_of, moments, prior_head
from quickstudy.envs.gridworld import GridNavigation
from quickstudy.envs.point import PointNavigation
from quickstudy.errors import InvalidArgument
from quickstudy.nets.action_terms import DiscreteTerms
from quickstudy.nets.knowledge import Knowledge, MetaKnowledge
from quickstudy.trial import run_trial
from quickstudy.types import Budget, TimeStep, Transitions

GRID = GridNavigation(size=3, horizon=4, num_episodes=3)
INNER = InnerNetwork(capacity=12, gamma=0.6, num_sweeps=3, noise=0.4)
METHOD = MKTN(width=8, num_features=4, inner=INNER)


@pytest.fixture(scope="module")
def params():
    params = METHOD.init(GRID.env.spec, key=jax.random.key(0)).params
    k_mean, k_precision = jax.random.split(jax.random.key(1))
    return params.__class__(
        params.knowledge,
        jax.random.normal(k_mean, (4,)),
        jax.random.normal(k_precision, (4,)),
    )


def _data() -> Transitions:
    memory, _, _ = remember(empty_memory(12, 6), numbered_block(0, 4, 2))
    data = memory.transitions
    return data._replace(reward=data.reward / 10)


def test_the_head_is_the_gaussian_posterior_of_its_own_greedy_actions(params):
    data = _data()
    known = known_of(params.knowledge, data)
    inner = InnerNetwork(capacity=12, gamma=0.6, num_sweeps=1, noise=0.4)
    start = jnp.asarray([1.0, -1.0, 0.5, 2.0])
    head = fit_inner(params, inner, data, known, Head(start, jnp.eye(4)))
    best = np.argmax(known.following.value + known.following.features @ start, axis=-1)
    rows = np.arange(8)
    following = (known.following.value, known.following.features)
    value, features = (np.asarray(x, np.float64)[rows, best[:8]] for x in following)
    discount = 0.6 * np.asarray(data.discount)[:8]
    x = np.asarray(known.features)[:8] - discount[:, None] * features
    y = np.asarray(data.reward - known.value)[:8] + discount * value
    # Conditioning in the space of observations: a different formula from the code's.
    covariance = np.diag(np.exp(-np.asarray(params.log_precision, np.float64)))
    gain = covariance @ x.T @ np.linalg.inv(x @ covariance @ x.T + 0.4**2 * np.eye(8))
    mean = np.asarray(params.prior_mean)
    np.testing.assert_allclose(head.mean, mean + gain @ (y - x @ mean), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(head.root @ head.root.T, covariance - gain @ x @ covariance, rtol=1e-3, atol=1e-4)


def test_by_the_fixed_point_features_are_the_instruments(params):
    """Least-squares temporal differences: A φ = b, and the covariance that errors in b leave, A⁻¹ S A⁻ᵀ."""
    data, inner = _data(), InnerNetwork(capacity=12, gamma=0.6, num_sweeps=1, noise=0.4, regression="fixed-point")
    known, start = known_of(params.knowledge, data), prior_head(params, inner)
    head = fit_inner(params, inner, data, known, start)
    best = np.argmax(known.following.value + known.following.features @ start.mean, axis=-1)
    rows = np.arange(8)
    value, features = (
        np.asarray(x, np.float64)[rows, best[:8]] for x in (known.following.value, known.following.features)
    )
    discount = 0.6 * np.asarray(data.discount)[:8]
    here = np.asarray(known.features, np.float64)[:8]
    difference = here - discount[:, None] * features
    surprise = np.asarray(data.reward - known.value)[:8] + discount * value
    prior = np.diag(np.exp(np.asarray(params.log_precision, np.float64)))
    inverse = np.linalg.inv(prior + here.T @ difference / 0.16)
    mean = inverse @ (prior @ params.prior_mean + here.T @ surprise / 0.16)
    covariance = inverse @ (prior + here.T @ here / 0.16) @ inverse.T
    np.testing.assert_allclose(head.mean, mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(head.root @ head.root.T, covariance, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("regression", "better"),
    [
        ("fixed-point", 1.0),
        # d, the difference of what may follow, minimises γ² d² / 2 + (d − 1)² / 2
        ("residual", (1 + 1 / (1 + 0.9**2)) / 2),
    ],
)
def test_where_transitions_are_random_the_fixed_point_is_right_and_the_residual_is_not(params, regression, better):
    """State 0 leads to 1, where the reward is 1, or to 2, where it is 0, and episodes end there."""
    one_hot = lambda states: jax.nn.one_hot(jnp.asarray(states), 4)
    known = Known(jnp.zeros(4), one_hot([0, 0, 1, 2]), Knowledge(jnp.zeros((4, 1)), one_hot([1, 2, 0, 0])[:, None]))
    data = jax.tree.map(lambda x: x[:4], _data())._replace(
        reward=jnp.asarray([0.0, 0.0, 1.0, 0.0]), discount=jnp.asarray([1.0, 1.0, 0.0, 0.0])
    )
    knowledge = MetaKnowledge(1, DiscreteTerms(1), width=1, num_features=4, key=jax.random.key(0))
    params = params.__class__(knowledge, jnp.zeros(4), jnp.zeros(4))
    inner = InnerNetwork(capacity=4, gamma=0.9, num_sweeps=1, noise=1e-2, regression=regression)
    head = fit_inner(params, inner, data, known, prior_head(params, inner))
    np.testing.assert_allclose(head.mean, [0.45, better, 1.0 - better, 0.0], atol=2e-3)


def test_a_damped_regression_keeps_some_of_the_policy_before_it(params):
    data = _data()
    known, start = known_of(params.knowledge, data), Head(jnp.asarray([1.0, -1.0, 0.5, 2.0]), jnp.eye(4))
    one, two = (InnerNetwork(capacity=12, gamma=0.6, num_sweeps=n, noise=0.4, damping=0.75) for n in (1, 2))
    first = fit_inner(params, one, data, known, start)
    policy = start._replace(mean=0.75 * start.mean + 0.25 * first.mean)
    expected = fit_inner(params, one, data, known, policy)
    np.testing.assert_allclose(fit_inner(params, two, data, known, start).mean, expected.mean, rtol=1e-4)


def test_leverage_counts_what_is_alike_once_and_rows_are_drawn_by_it(params):
    """With a small σ: n rows of a kind have 1/n each, and all together the dimensions that they determine."""
    inner = InnerNetwork(capacity=12, gamma=0.6, num_sweeps=1, noise=1e-2)
    data = jax.tree.map(lambda x: x[jnp.asarray([0, 0, 0, 1, 8, 8, 8, 8])], _data())  # row 8 is empty
    leverage = np.asarray(lesson_of(params, inner, data).leverage)
    np.testing.assert_allclose(leverage, [1 / 3, 1 / 3, 1 / 3, 1, 0, 0, 0, 0], atol=0.02)
    method = MKTN(width=8, num_features=4, inner=inner, rows="leverage", batch_size=2, lesson_rows=600)
    lessons = jax.tree.map(lambda x: jnp.stack([x, x]), lesson_of(params, inner, data))
    rows = np.asarray(method._rows(lessons, key=jax.random.key(0)))
    assert np.mean(rows == 3) == pytest.approx(0.5, abs=0.05)
    assert rows.max() == 3


def test_without_data_the_head_is_the_prior_and_without_a_head_it_is_nothing(params):
    data = _data()._replace(weight=jnp.zeros(12))
    known = known_of(params.knowledge, data)
    head, prior = fit_inner(params, INNER, data, known, prior_head(params, INNER)), prior_head(params, INNER)
    np.testing.assert_allclose(head.mean, params.prior_mean, rtol=1e-5)
    np.testing.assert_allclose(head.root @ head.root.T, prior.root @ prior.root.T, rtol=1e-5, atol=1e-6)
    nothing = fit_inner(params, InnerNetwork(head=False), _data(), known, prior)
    np.testing.assert_array_equal(nothing.mean, np.zeros(4))
    np.testing.assert_array_equal(nothing.root, np.zeros((4, 4)))


def test_without_a_discount_the_head_is_a_regression_on_rewards(params):
    data = _data()
    inner = InnerNetwork(capacity=12, gamma=0.0, num_sweeps=1, noise=0.4)
    known = known_of(params.knowledge, data)
    head = fit_inner(params, inner, data, known, prior_head(params, inner))
    x, y = np.asarray(known.features)[:8], np.asarray(data.reward - known.value)[:8]
    precision = np.diag(np.exp(np.asarray(params.log_precision)))
    expected = np.linalg.solve(precision + x.T @ x / 0.16, precision @ params.prior_mean + x.T @ y / 0.16)
    np.testing.assert_allclose(head.mean, expected, rtol=1e-3, atol=1e-4)


def test_the_draw_lasts_an_episode_and_the_block_moves_the_head(params):
    learner = TransferLearner(INNER)
    run = jax.jit(lambda key: run_trial(learner, params, GRID.env, jnp.asarray(8), Budget(12, 1), key=key))
    trial = run(jax.random.key(3))
    draws = np.asarray(trial.carry)[:, 0]
    for start in (1, 5, 9):  # `carry` is the memory before a block: one step behind
        np.testing.assert_array_equal(draws[start : start + 3], draws[start][None].repeat(3, 0))
    assert np.unique(draws[[1, 5, 9], 0]).size == 3
    assert np.isfinite(trial.info["uncertainty"]).all()
    head, prior = trial.final.state.head, prior_head(params, INNER)
    assert np.sum(np.square(head.root)) < 0.9 * np.sum(np.square(prior.root))
    assert trial.final.state.memory.num_stored == 12


def test_actions_are_greedy_for_the_draw_unless_they_explore(params):
    head = prior_head(params, INNER)
    draw, obs = jnp.arange(4.0), jax.nn.one_hot(2, 6)
    values = params.knowledge(obs).action_values(head.mean + head.root @ draw)
    assert act_by_draw(params, INNER, head, draw, obs) == jnp.argmax(values)
    timestep = TimeStep(obs, jnp.asarray(0), jnp.zeros(()), jnp.asarray(False))
    keys = jax.random.split(jax.random.key(0), 100)
    for learner, share in ((METHOD.learner, 1.0), (METHOD.explorer, 0.3 + 0.7 / 5)):
        state = learner.init(params, key=keys[0])
        act = lambda key, learner=learner, state=state: learner.act(params, state, draw, timestep, key=key)[0]
        assert np.mean(jax.vmap(act)(keys) == jnp.argmax(values)) == pytest.approx(share, abs=0.15)


def pairs(params, num_steps, **options):
    """What was done where, in a trial whose actions are all random; and the learner's last state."""
    inner = eqx.tree_at(lambda inner: inner.capacity, INNER, num_steps)
    explorer = MKTN(width=8, num_features=4, inner=inner, epsilon=1.0, **options).explorer
    run = lambda key: run_trial(explorer, params, GRID.env, jnp.asarray(8), Budget(num_steps, 1), key=key)
    trial = jax.jit(run)(jax.random.key(3))
    obs, action = (np.asarray(x)[:, 0, 0] for x in (trial.trajectory.timestep.obs, trial.trajectory.action))
    return [(tuple(cell), int(tried)) for cell, tried in zip(obs, action, strict=True)], trial.final.state


def test_rare_tries_come_first_where_the_agent_is(params):
    done, final = pairs(params, 12, tries="rare")
    untried = {}
    for cell, action in done:
        left = untried.setdefault(cell, set(range(5)))
        assert action in left or not left
        left.discard(action)
    assert len(untried) > 1
    # Nobody acts on the head there, so it is not fitted; the transitions are remembered all the same.
    np.testing.assert_array_equal(final.head.mean, params.prior_mean)
    assert final.memory.num_stored == 12


def test_rare_tries_look_for_what_was_seldom_done(params):
    """Once everything has been tried where the agent is, it goes where it has been least."""
    num_rare, num_any = (len(set(pairs(params, 60, tries=tries)[0])) for tries in ("rare", "any"))
    assert num_rare > 1.3 * num_any


def test_the_spread_says_how_far_a_draw_is_from_the_mean(params):
    timestep = TimeStep(jax.nn.one_hot(2, 6), jnp.asarray(0), jnp.zeros(()), jnp.asarray(True))
    draws = []
    for spread in (0.0, 1.0, 2.0):
        learner = TransferLearner(eqx.tree_at(lambda inner: inner.spread, INNER, spread))
        state = learner.init(params, key=jax.random.key(0))
        draws.append(learner.act(params, state, jnp.zeros(4), timestep, key=jax.random.key(1))[1])
    np.testing.assert_array_equal(draws[0], np.zeros(4))
    np.testing.assert_allclose(draws[2], 2 * draws[1], rtol=1e-6)


def test_optimism_counts_in_standard_deviations_of_an_actions_value(params):
    head, draw, changed = prior_head(params, INNER), jnp.zeros(4), 0
    hopeful = eqx.tree_at(lambda inner: inner.optimism, INNER, 100.0)
    for obs in jnp.eye(6):
        known = params.knowledge(obs)
        deviation = np.linalg.norm(np.asarray(known.features) @ np.asarray(head.root), axis=-1)
        values = np.asarray(known.action_values(head.mean))
        best = np.argmax(values + 100.0 * deviation)
        assert act_by_draw(params, hopeful, head, draw, obs) == best
        changed += best != np.argmax(values)
    assert changed  # or the test could not fail


def test_optimism_about_continuous_actions_is_refused():
    method = MKTN(inner=InnerNetwork(optimism=1.0))
    with pytest.raises(InvalidArgument, match=r"inner.optimism=1.0 needs discrete actions.*set it to 0"):
        method.init(PointNavigation().env.spec, key=jax.random.key(0))


def test_in_hindsight_what_was_reached_pays():
    data = _data()
    goals = set()
    for seed in range(20):
        imagined = in_hindsight(data, jnp.asarray(-0.5), jnp.asarray(2.0), key=jax.random.key(seed))
        reward, reached = np.asarray(imagined.reward), np.asarray(data.next_obs)
        assert set(reward) == {np.float32(-0.5), np.float32(2.0)}
        (goal,) = {tuple(cell) for cell in reached[reward == 2.0]}
        assert goal not in {tuple(cell) for cell in reached[reward < 0]}
        assert goal in {tuple(cell) for cell in reached[np.asarray(data.weight) > 0]}  # an empty row was never reached
        goals.add(goal)
    assert len(goals) > 1


def test_hindsight_is_a_share_of_the_lessons(params):
    """One of four trials paid, once; what pays in imagined tasks pays as much, and is in every one of them.

    All else cost 1 a step. Empty rows, the last four, have a reward of 0, which nothing ever paid.
    """
    rewards = np.where(np.arange(12) < 8, -1.0, 0.0).astype(np.float32)[None].repeat(4, 0)
    rewards[2, 3] = 2.0
    data = jax.tree.map(lambda x: jnp.stack([x] * 4), _data())._replace(reward=jnp.asarray(rewards))
    store = TrialStore(data, jnp.asarray(4))
    paid = {}
    for share in (0.0, 0.5, 1.0):
        method = MKTN(width=8, num_features=4, inner=INNER, num_lessons=64, num_trials=4, hindsight=share)
        reward = np.asarray(method._lessons(params, store, key=jax.random.key(0)).data.reward)[:, :8]
        assert set(np.unique(reward)) == {-1.0, 2.0}
        paid[share] = (reward > 0).any(axis=1).mean()
    assert paid[0.0] < 0.5 < paid[0.5] < 0.8 < paid[1.0] == 1.0


def test_a_lesson_has_the_head_of_all_data_and_the_loss_is_what_it_misses(params):
    inner, data = InnerNetwork(capacity=12, gamma=0.6, num_sweeps=2, noise=0.4), _data()
    lesson = lesson_of(params, inner, data)
    known = known_of(params.knowledge, data)
    head = fit_inner(params, inner, data, known, prior_head(params, inner))
    np.testing.assert_allclose(lesson.head.mean, head.mean, rtol=1e-5)
    following = np.asarray(known.following.value + known.following.features @ head.mean).max(-1)
    y = np.asarray(data.reward + 0.6 * data.discount * following)
    np.testing.assert_allclose(lesson.target, y, rtol=1e-4, atol=1e-5)
    loss, info = knowledge_loss(params.knowledge, lesson, inner)
    value, features = np.asarray(known.value)[:8], np.asarray(known.features)[:8]
    bias = np.mean((value - y[:8]) ** 2)
    spread = np.sum((features @ np.asarray(head.root)) ** 2, axis=-1)
    error = np.mean((value + features @ head.mean - y[:8]) ** 2 + spread)
    np.testing.assert_allclose([info["bias"], info["error"]], [bias, error], rtol=1e-3)
    np.testing.assert_allclose(loss, bias + error, rtol=1e-3)


def test_the_knowledge_is_taught_by_neither_the_targets_nor_the_average_of_the_corrected_value(params):
    lesson = lesson_of(params, INNER, _data())
    alone = lesson._replace(head=jax.tree.map(jnp.zeros_like, lesson.head))
    both = [jax.grad(lambda k, x=x: knowledge_loss(k, x, INNER)[0])(params.knowledge) for x in (lesson, alone)]
    for which in (lambda k: k.output.bias[:5], lambda k: k.linear.bias[:5]):  # the outputs that are q_K
        np.testing.assert_allclose(which(both[0]), which(both[1]), rtol=1e-5)


def test_the_prior_becomes_the_moments_of_heads():
    means = jax.random.normal(jax.random.key(0), (50, 4)) * jnp.asarray([[1.0, 2.0, 0.5, 1.0]]) + 3.0
    roots = jnp.broadcast_to(0.3 * jnp.eye(4), (50, 4, 4))
    mean, log_precision = moments(jnp.zeros(4), jnp.zeros(4), Head(means, roots), rate=1.0)
    np.testing.assert_allclose(mean, means.mean(0), rtol=1e-5)
    np.testing.assert_allclose(jnp.exp(-log_precision), means.var(0) + 0.09, rtol=1e-4)


def test_tasks_are_given_an_average_of_what_is_learned():
    run = lambda params, key: run_trial(METHOD.learner, params, GRID.env, jnp.asarray(8), Budget(12, 1), key=key)
    small = {"num_lessons": 4, "num_gradient_steps": 2, "batch_size": 2, "num_trials": 8}
    after = {}
    for decay in (0.0, 0.75):
        method = MKTN(width=8, num_features=4, inner=INNER, average_decay=decay, **small)
        start = method.init(GRID.env.spec, key=jax.random.key(0))
        trials = jax.vmap(run, in_axes=(None, 0))(start.params, jax.random.split(jax.random.key(0), 4))
        after[decay] = method.update(start, trials, key=jax.random.key(1))[0]
    latest, average = after[0.0], after[0.75]
    for given in (latest.params, average.extra.latest):  # without an average, and beside it
        jax.tree.map(np.testing.assert_array_equal, *map(jax.tree.leaves, (given, latest.extra.latest)))
    arrays = lambda params: np.asarray(params.knowledge.output.weight)
    expected = 0.75 * arrays(start.params) + 0.25 * arrays(latest.params)
    assert not np.allclose(arrays(start.params), arrays(latest.params))
    np.testing.assert_allclose(arrays(average.params), expected, rtol=1e-5)


def test_continuous_actions_are_the_best_of_the_drawn_parabola():
    family = PointNavigation(horizon=4, num_episodes=3)
    params = METHOD.init(family.env.spec, key=jax.random.key(0)).params
    learner, task = TransferLearner(INNER), family.tasks("test").sample(key=jax.random.key(1))
    trial = jax.jit(lambda key: run_trial(learner, params, family.env, task, Budget(12, 1), key=key))(jax.random.key(2))
    actions = np.asarray(trial.trajectory.action)[:, 0, 0]
    assert actions.shape == (12, 2)
    state, draw = trial.final.state, jnp.ones(4)
    obs = jnp.asarray([0.1, -0.2])
    found = act_by_draw(params, INNER, state.head, draw, obs)
    coefficients = params.knowledge(obs).action_values(state.head.mean + state.head.root @ draw)
    axis = np.linspace(-1.0, 1.0, 101)
    box = np.stack(np.meshgrid(axis, axis), -1).reshape(-1, 2)
    values = np.concatenate([np.ones((len(box), 1)), box, box**2], 1) @ np.asarray(coefficients)
    terms = np.concatenate([np.ones(1), np.asarray(found), np.asarray(found) ** 2])
    assert terms @ np.asarray(coefficients) >= values.max() - 1e-5
    # What is remembered is what was done.
    np.testing.assert_array_equal(state.memory.transitions.action, actions)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MKTN(num_features=0), "num_features must be a whole number of at least 1, got 0"),
        (lambda: MKTN(prior_precision=0.0), "prior_precision must be positive, got 0.0"),
        (lambda: InnerNetwork(num_steps=0), "inner.num_steps must be a whole number of at least 1, got 0"),
        (lambda: MKTN(step_size=2.0), r"step_size must lie in \(0, 2\), got 2.0"),
        (lambda: InnerNetwork(noise=0.0), "inner.noise must be positive, got 0.0"),
        (lambda: MKTN(epsilon=1.5), r"epsilon must lie in \[0, 1\], got 1.5"),
        (lambda: InnerNetwork(spread=-1.0), "inner.spread must be at least 0, got -1.0"),
        (lambda: MKTN(train_block_length=7).budgets(GRID), "train_block_length=7 must divide the 12 steps"),
        (lambda: InnerNetwork(damping=1.0), r"inner.damping must lie in \[0, 1\), got 1.0"),
        (lambda: MKTN(prior_rate=0.0), r"prior_rate must lie in \(0, 1\], got 0.0"),
        (lambda: MKTN(hindsight=1.5), r"hindsight must lie in \[0, 1\], got 1.5"),
        (lambda: InnerNetwork(optimism=-1.0), "inner.optimism must be at least 0, got -1.0"),
        (lambda: MKTN(average_decay=1.0), r"average_decay must lie in \[0, 1\), got 1.0"),
        (lambda: InnerNetwork(gamma=1.0), r"inner.gamma must lie in \[0, 1\), got 1.0"),
        (lambda: InnerNetwork(guidance=0.0), "inner.guidance must be positive, or the prior is improper; got 0.0"),
        (lambda: InnerNetwork(block_length=-1), "inner.block_length must be at least 0"),
        (lambda: InnerNetwork(block_length=5).budget(GRID), "inner.block_length=5 must divide the 12 steps"),
        (lambda: remember(empty_memory(5, 6), numbered_block(0, 6)), "capacity=5 is less than the 6 transitions"),
    ],
)
def test_bad_inputs_are_refused(build, message):
    with pytest.raises(InvalidArgument, match=message):
        build()


def test_a_batch_of_tasks_larger_than_the_store_is_refused(params):
    run = lambda key: run_trial(METHOD.learner, params, GRID.env, jnp.asarray(8), Budget(12, 1), key=key)
    trials = jax.eval_shape(jax.vmap(run), jax.random.split(jax.random.key(0), 4))
    small = MKTN(width=8, num_features=4, inner=INNER, num_trials=3)
    state = small.init(GRID.env.spec, key=jax.random.key(0))
    with pytest.raises(InvalidArgument, match="num_trials=3 is less than the 4 tasks"):
        jax.eval_shape(lambda t: small.update(state, t, key=jax.random.key(1))[1], trials)
