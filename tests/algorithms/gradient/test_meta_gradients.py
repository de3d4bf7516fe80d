"""Gradients through the inner loop: finite differences, closed forms, and methods that reduce to one another."""

import equinox as eqx
import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest
from toys import Staircase, arrays_of, staircases

from quickstudy.algorithms.gradient.anil import ANIL
from quickstudy.algorithms.gradient.cavia import CAVIA
from quickstudy.algorithms.gradient.emaml import EMAML
from quickstudy.algorithms.gradient.generator import PolicyGenerator
from quickstudy.algorithms.gradient.judge import Judge, Rollouts, every_update, last_block, later_return, rollouts_of
from quickstudy.algorithms.gradient.learner import (
    GradientParams,
    InnerLoop,
    PolicyAux,
    PolicyGradientLearner,
    constant_step_sizes,
    log_probs,
    policies,
)
from quickstudy.algorithms.gradient.maml import MAML, first_order_maml
from quickstudy.algorithms.gradient.meta_sgd import MetaSGD
from quickstudy.algorithms.gradient.mpo import MPO
from quickstudy.algorithms.gradient.outer import ClippedAscent, TrustRegion, majority
from quickstudy.algorithms.gradient.promp import ProMP
from quickstudy.algorithms.gradient.reptile import Reptile
from quickstudy.collect.graph import GraphCollector
from quickstudy.envs.bandit import BernoulliBandit
from quickstudy.envs.point import PointNavigation
from quickstudy.errors import InvalidArgument, NonFinite
from quickstudy.nets.task_policy import PolicyNetwork, part_of
from quickstudy.train import meta_train
from quickstudy.types import Budget, TimeStep, Trajectory

KEY = jax.random.key(0)
NETWORK = PolicyNetwork(width=3, depth=1)
POINT = PointNavigation(horizon=4, num_episodes=2)
BANDIT = BernoulliBandit(num_arms=3, num_pulls=4)
COLLECTOR = GraphCollector(POINT.env)
UPDATE = eqx.filter_jit(PolicyGradientLearner.update)
ASCENT = ClippedAscent(num_epochs=2, learning_rate=0.01)


def _inner(**changes):
    return InnerLoop(**{"num_streams": 4, "step_size": 0.5, "later_step_size": 0.3, "gamma": 0.9} | changes)


def _collect(learner, params, num_updates=2, num_tasks=2):
    tasks = POINT.tasks("train").batch(num_tasks, key=jax.random.key(1))
    budget = Budget(num_updates + 1, 4, 4, fresh_blocks=True)
    return COLLECTOR.collect(learner, params, tasks, budget, key=KEY)


def _double(tree):
    cast = lambda x: x.astype(jnp.float64) if eqx.is_inexact_array(x) else x
    return jax.tree.map(cast, tree)


def _policy():
    policy = NETWORK.build(COLLECTOR.spec, key=KEY)
    return eqx.tree_at(lambda p: p.head.linear.weight, policy, replace_fn=lambda w: 50 * w)


def _generating():
    """MPO's parameters, with a generator that generates something."""
    policy = _policy()
    generator = PolicyGenerator(COLLECTOR.spec, policy, width=3, code_size=2, key=jax.random.key(2))
    fill = lambda x: 0.1 * jax.random.normal(jax.random.key(x.size), x.shape)
    generator = eqx.tree_at(lambda g: g.hypernetwork.directions, generator, replace_fn=lambda d: jax.tree.map(fill, d))
    return GradientParams(policy, constant_step_sizes(policy, 0.5), generator)


def _flat(tree):
    return jax.flatten_util.ravel_pytree(eqx.filter(tree, eqx.is_inexact_array))[0]


@eqx.filter_jit
def _gradient(params, learner, rollouts, credit):
    """Of the value, where the rollouts come from."""
    judge = Judge(learner, rollouts, last_block(rollouts), credit)
    return judge.gradient(lambda judgement: judgement.value, params, jnp.inf)[1:]


def _gradient_tree(learner, trials, params, credit=None):
    rollouts = rollouts_of(learner, trials)
    credit = jnp.zeros(len(rollouts.weight)) if credit is None else credit
    return _gradient(params, learner, rollouts, credit)[1]


def _value_gradient(*args):
    return _flat(_gradient_tree(*args))


SETTINGS = {
    "score-function": (GradientParams, "score-function", last_block, 0.0, jnp.inf),
    "everything": (None, "low-variance-curvature", every_update, 0.7, 0.3),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_meta_gradient_equals_finite_differences(setting):
    make, surrogate, weights, credit, clip = SETTINGS[setting]
    params = _generating() if make is None else make(_policy())
    learner = PolicyGradientLearner(_inner(surrogate=surrogate))
    trials = _collect(learner, params)
    with jax.enable_x64(True):
        params, trials = _double((params, trials))
        rollouts = rollouts_of(learner, trials)
        judge = Judge(learner, rollouts, _double(weights(rollouts)), credit * later_return(rollouts))
        loss = lambda judgement: 0.1 * judgement.kl_before - judgement.value - 0.2 * judgement.entropy
        # Not where the rollouts come from, but a little beside.
        arrays, static = eqx.partition(params, eqx.is_inexact_array)
        start, restore = jax.flatten_util.ravel_pytree(arrays)
        start += 0.03 * jax.random.normal(KEY, start.shape)
        at = lambda x: eqx.combine(restore(x), static)
        gradient = eqx.filter_jit(lambda x: judge.gradient(loss, at(x), clip))
        value = lambda x: gradient(x)[0]
        got, judgement, grads = gradient(start)
        np.testing.assert_allclose(loss(judgement), got, rtol=1e-12)
        grads, step = np.asarray(_flat(grads)), 1e-5
        assert grads.dtype == np.float64
        units = step * np.eye(len(start))
        differences = [(value(start + e) - value(start - e)) / (2 * step) for e in units]
        assert np.abs(grads).max() > 0.01
        np.testing.assert_allclose(grads, differences, rtol=1e-5, atol=1e-8)


def test_the_curvature_is_the_hessian_of_the_divergence():
    params = GradientParams(_policy())
    learner = PolicyGradientLearner(_inner())
    trials = _collect(learner, params, num_updates=1)
    with jax.enable_x64(True):
        params, trials = _double((params, trials))
        rollouts = rollouts_of(learner, trials)
        judge = Judge(learner, rollouts, last_block(rollouts), jnp.zeros(2))
        arrays, static = eqx.partition(params, eqx.is_inexact_array)
        start, restore = jax.flatten_util.ravel_pytree(arrays)
        v = jax.random.normal(KEY, start.shape)
        product = eqx.filter_jit(lambda v: judge.curvature(params, eqx.combine(restore(v), static), 4))
        divergence = eqx.filter_jit(lambda x: judge.value(eqx.combine(restore(x), static), jnp.inf).kl_after)
        # The divergence is zero and flat where the rollouts come from: ½ h² vᵀHv is all there is to second order.
        step = 1e-3
        curved = (divergence(start + step * v) + divergence(start - step * v) - 2 * divergence(start)) / step**2
        assert float(curved) > 0.1
        np.testing.assert_allclose(v @ _flat(product(v)), curved, rtol=1e-3)


# The quadratic: actions are paid -(a - g)², and the policy is N(c, σ²) with c the only parameter that adapts, so that
# its expected return is -(c - g)² - σ². Six streams play the nodes of Gauss-Hermite quadrature of degree 5, under which
# all expectations here are exact.
NODES = np.array([0.0, 0.0, 0.0, 0.0, np.sqrt(3), -np.sqrt(3)])
GOALS, START = np.array([0.8, 0.5]), 0.25
ALPHA, BETA = 0.1, 0.07


def _linear_policy(mean):
    """Its mean is its context."""
    spec = COLLECTOR.spec._replace(action=jax.ShapeDtypeStruct((1,), jnp.float32))
    spec = spec._replace(obs=jax.ShapeDtypeStruct((1,), jnp.float32))
    policy = PolicyNetwork(width=1, depth=1, activation="relu").build(spec, context_size=1, key=KEY)
    values = (jnp.stack([mean]), [[0.0, 1.0]], [5.0], [[1.0]], [-5.0])
    where = lambda p: (p.context, p.layers[0].weight, p.layers[0].bias, p.head.linear.weight, p.head.linear.bias)
    return eqx.tree_at(where, _double(policy), tuple(jnp.asarray(v, float) for v in values))


@eqx.filter_jit
def _quadratic_block(mean, goal):
    obs, flags = jnp.zeros((1, 6, 1)), jnp.ones((1, 6), bool)
    distribution = jax.vmap(jax.vmap(_linear_policy(mean)))(obs)
    action = distribution.mean + jnp.exp(distribution.log_std) * NODES[None, :, None]
    log_prob = jax.vmap(jax.vmap(lambda p, a: p.log_prob(a)))(distribution, action)
    timestep = TimeStep(obs, jnp.zeros_like(action), jnp.zeros((1, 6)), flags)
    reward = -jnp.square(action[..., 0] - goal)
    return Trajectory(timestep, action, reward, obs, flags, ~flags, PolicyAux(log_prob, distribution))


def _quadratic(num_updates, **inner):
    """Closed-form means after every update, a judge of exact rollouts, and its gradient by context and step sizes."""
    shrink = [1 - 2 * ALPHA] + [1 - 2 * BETA] * (num_updates - 1)
    means = [GOALS + np.prod(shrink[:i]) * (START - GOALS) for i in range(num_updates + 1)]
    inner = _inner(normalize=False, ridge=1e-9, step_size=ALPHA, later_step_size=BETA, **inner)
    learner = PolicyGradientLearner(inner, "context")
    blocks = [
        [_quadratic_block(jnp.asarray(means[b][k]), jnp.asarray(GOALS[k])) for b in range(num_updates + 1)]
        for k in range(2)
    ]
    stack = lambda trees: jax.tree.map(lambda *x: jnp.stack(x), *trees)
    trajectory = stack([stack(task) for task in blocks])
    advantage = jax.jit(jax.vmap(jax.vmap(learner.advantages)))(trajectory)
    rollouts = Rollouts(trajectory, advantage, jnp.array([0.5, 0.5]), jnp.zeros(()))
    return np.array(means), shrink, learner, Judge(learner, rollouts, last_block(rollouts), jnp.zeros(2))


@pytest.mark.parametrize("num_updates", [1, 2])
def test_the_meta_gradient_on_a_quadratic_is_the_closed_form(num_updates):
    with jax.enable_x64(True):
        means, shrink, learner, judge = _quadratic(num_updates)
        policy = _linear_policy(jnp.asarray(START))
        # The inner loop goes where the closed form says.
        state = learner.init(GradientParams(policy), key=KEY)
        for block in range(num_updates):
            first = jax.tree.map(lambda x, block=block: x[0, block], judge.rollouts.trajectory)
            state, _ = UPDATE(learner, GradientParams(policy), state, first, key=KEY)
        np.testing.assert_allclose(state.policy.context, [means[-1, 0]], rtol=1e-7)
        # d/dθ of -(φ - g)² with φ - g = (1 - 2α)(1 - 2β)… (θ - g).
        judgement, grads = _gradient(GradientParams(policy), learner, judge.rollouts, judge.credit)
        expected = np.mean(-2 * (means[-1] - GOALS) * np.prod(shrink))
        np.testing.assert_allclose(grads.policy.context, [expected], rtol=1e-6)
        assert abs(float(judgement.kl_before)) < 1e-10


@pytest.mark.parametrize("inner", [{"first_order": True}, {"surrogate": "score-function"}])
def test_without_the_curvature_the_gradient_is_that_at_the_adapted_mean(inner):
    # On the quadratic the score function's second derivative is zero in expectation: the mean advantage over σ².
    with jax.enable_x64(True):
        means, _, learner, judge = _quadratic(1, **inner)
        params = GradientParams(_linear_policy(jnp.asarray(START)))
        _, grads = _gradient(params, learner, judge.rollouts, judge.credit)
        np.testing.assert_allclose(grads.policy.context, [np.mean(-2 * (means[-1] - GOALS))], rtol=1e-5)


def test_the_step_sizes_gradient_on_a_quadratic_is_the_closed_form():
    with jax.enable_x64(True):
        means, _, learner, judge = _quadratic(1)
        policy = _linear_policy(jnp.asarray(START))
        sizes = eqx.filter(constant_step_sizes(policy, ALPHA), part_of(policy, "context"))
        _, grads = _gradient(GradientParams(policy, sizes), learner, judge.rollouts, judge.credit)
        # φ = θ - 2α(θ - g), so dφ/dα = -2(θ - g).
        expected = np.mean(-2 * (means[-1] - GOALS) * -2 * (START - GOALS))
        np.testing.assert_allclose(grads.step_sizes.context, [expected], rtol=1e-6)


def _surrogate_gradient(policy, block, advantage):
    """``mean_t A_t ∇ log π`` at a policy, through its own ratio."""

    def objective(policy):
        log_prob = log_probs(policies(policy, block), block)
        return jnp.mean(advantage * jnp.exp(log_prob - jax.lax.stop_gradient(log_prob)))

    return jax.grad(objective)(policy)


def test_first_order_maml_is_the_gradient_at_the_adapted_parameters():
    algorithm = eqx.tree_at(lambda a: a.inner, first_order_maml(), _inner(surrogate="score-function", first_order=True))
    assert first_order_maml().inner.first_order
    learner, params = algorithm.learner, GradientParams(_policy())
    trials = _collect(learner, params)
    got = _value_gradient(learner, trials, params)

    @eqx.filter_jit
    def by_hand(params, trajectory):
        state, (first, second, last) = learner.init(params, key=KEY), trajectory
        for block in (first, second):
            state, _ = learner.update(params, state, block, key=KEY)
        return _surrogate_gradient(state.policy, last, learner.advantages(last))

    blocks = lambda k: [jax.tree.map(lambda x, b=b: x[k, b], trials.trajectory) for b in range(3)]
    expected = np.mean([_flat(by_hand(params, blocks(k))) for k in range(2)], 0)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-5)


def test_reptile_with_one_inner_step_is_the_direction_of_joint_training():
    algorithm = Reptile(NETWORK, _inner(), meta_step_size=0.25)
    state = algorithm.init(COLLECTOR.spec, key=KEY)
    trials = _collect(algorithm.learner, state.params, num_updates=0, num_tasks=3)
    new, info = eqx.filter_jit(algorithm.update)(state, trials, key=KEY)

    blocks = [jax.tree.map(lambda x, k=k: x[k, 0], trials.trajectory) for k in range(3)]

    @eqx.filter_jit
    def joint(policy):
        """The mean over tasks of the policy-gradient objective."""
        advantage = [algorithm.learner.advantages(block) for block in blocks]
        log_prob = [log_probs(policies(policy, block), block) for block in blocks]
        return jnp.mean(jnp.stack(advantage) * jnp.stack(log_prob))

    gradient = _flat(eqx.filter_grad(joint)(state.params.policy))
    assert np.abs(gradient).max() > 0.01
    # ε · α times it.
    moved = _flat(new.params.policy) - _flat(state.params.policy)
    np.testing.assert_allclose(moved, 0.25 * 0.5 * gradient, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(info["loss"], 0.5 * np.linalg.norm(gradient), rtol=1e-3)
    assert int(new.step) == 1


def test_credit_adds_the_exploring_policies_score():
    learner, params = PolicyGradientLearner(_inner()), GradientParams(_policy())
    trials = _collect(learner, params, num_updates=1)
    credit = jnp.array([2.0, -1.0])
    difference = _value_gradient(learner, trials, params, credit) - _value_gradient(learner, trials, params)

    @eqx.filter_jit
    def explored(policy):
        blocks = [jax.tree.map(lambda x, k=k: x[k, 0], trials.trajectory) for k in range(2)]
        score = jnp.stack([log_probs(policies(policy, block), block).mean() for block in blocks])
        return jnp.mean(credit * score)

    expected = _flat(eqx.filter_grad(explored)(params.policy))
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(difference, expected, rtol=1e-3, atol=1e-5)


def _trained(algorithm, family):
    budget = algorithm.inner.train_budget(family)
    collector = GraphCollector(family.env)
    state = meta_train(algorithm, collector, family.tasks("train"), budget, num_steps=2, num_tasks=4, key=KEY)
    return arrays_of(state.meta)


@pytest.mark.parametrize(("family", "num_updates"), [(POINT, 2), (BANDIT, 1)], ids=["point", "bandit"])
def test_mpo_with_a_constant_generator_and_fixed_step_sizes_is_promp(family, num_updates):
    inner = _inner(num_updates=num_updates)
    promp = _trained(ProMP(NETWORK, inner, ASCENT), family)
    # After one update there is but one that can be judged.
    judge_every_update = num_updates == 1
    constant = MPO(
        NETWORK,
        code_size=0,
        learn_step_sizes=False,
        judge_every_update=judge_every_update,
        inner=inner,
        ascent=ASCENT,
    )
    mpo = _trained(constant, family)
    for a, b in zip(mpo, promp, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_generator_without_directions_plays_promps_trial():
    promp = ProMP(NETWORK, _inner())
    fresh = MPO(NETWORK, code_size=2, encoder_width=3, learn_step_sizes=False, inner=_inner())
    trials = []
    for algorithm in (promp, fresh):
        params = algorithm.init(COLLECTOR.spec, key=KEY).params
        trials.append(_collect(algorithm.learner, params))
    by_promp, by_mpo = (arrays_of(trial.trajectory) for trial in trials)
    for a, b in zip(by_mpo, by_promp, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_recomputed_inner_steps_give_the_same_gradient():
    params = GradientParams(_policy())
    trials = _collect(PolicyGradientLearner(_inner()), params, num_updates=1)
    recomputed, plain = (
        _value_gradient(PolicyGradientLearner(_inner(remat=remat)), trials, params) for remat in (True, False)
    )
    assert np.abs(plain).max() > 0.01
    np.testing.assert_allclose(recomputed, plain, atol=1e-6)


STAIRS = GraphCollector(Staircase())


def _stairs(algorithm, *tasks):
    """The state, and trials of stairs; a task that is not a number pays none."""
    state = algorithm.init(STAIRS.spec, key=KEY)
    budget = Budget(2, 4, 4, fresh_blocks=True)
    return state, STAIRS.collect(algorithm.learner, state.params, jnp.array(tasks), budget, key=KEY)


DROPPING = {
    "promp": lambda: ProMP(NETWORK, _inner(), ASCENT),
    "reptile": lambda: Reptile(NETWORK, _inner()),
    "mpo": lambda: MPO(NETWORK, code_size=2, encoder_width=3, credit=0.5, inner=_inner(), ascent=ASCENT),
}


@pytest.mark.parametrize("method", ["reptile", "mpo"])
def test_a_task_that_is_not_finite_is_dropped_and_counted(method):
    algorithm = DROPPING[method]()
    state, trials = _stairs(algorithm, 1.0, jnp.nan, -2.0, jnp.nan)
    np.testing.assert_array_equal(trials.info["finite"], [[True] * 2, [False] * 2, [True] * 2, [False] * 2])
    rollouts = rollouts_of(algorithm.learner, trials)
    np.testing.assert_array_equal(rollouts.weight, [0.5, 0, 0.5, 0])
    assert float(rollouts.dropped) == 2
    update = eqx.filter_jit(algorithm.update)
    new, info = update(state, trials, key=KEY)
    # The batch without them, in which the others count twice so that it is of the same size.
    clean = jax.tree.map(lambda x: x[np.array([0, 0, 2, 2])] if eqx.is_array(x) else x, trials)
    expected, clean_info = update(state, clean, key=KEY)
    assert (float(info["dropped_tasks"]), float(clean_info["dropped_tasks"])) == (2, 0)
    assert np.abs(_flat(new.params) - _flat(state.params)).max() > 1e-3
    np.testing.assert_allclose(_flat(new.params), _flat(expected.params), rtol=1e-4, atol=2e-5)
    np.testing.assert_allclose(info["loss"], clean_info["loss"], rtol=1e-3, atol=1e-5)


def test_one_bad_block_drops_its_task():
    algorithm = DROPPING["promp"]()
    _, trials = _stairs(algorithm, 1.0, 2.0, -2.0, 1.5)
    finite = trials.info["finite"].at[3, 1].set(False)
    rollouts = rollouts_of(algorithm.learner, trials._replace(info={"finite": finite}))
    np.testing.assert_allclose(rollouts.weight, [1 / 3, 1 / 3, 1 / 3, 0])


@pytest.mark.parametrize(("dropped", "stops"), [(0, False), (2, False), (3, True), (4, True)])
def test_more_than_half_dropped_makes_the_loss_nan(dropped, stops):
    rollouts = Rollouts(None, jnp.zeros((4, 2, 1, 1)), jnp.full(4, 0.25), jnp.asarray(float(dropped)))
    info = majority({"loss": jnp.asarray(1.0), "other": jnp.asarray(2.0)}, rollouts)
    assert bool(np.isnan(info["loss"])) == stops
    assert (float(info["dropped_tasks"]), float(info["other"])) == (dropped, 2)


def test_a_run_stops_when_more_than_half_are_dropped():
    algorithm = DROPPING["reptile"]()
    train = lambda *members: meta_train(
        algorithm,
        STAIRS,
        staircases("train", *members),
        Budget(2, 4, 4, fresh_blocks=True),
        num_steps=1,
        num_tasks=8,
        key=KEY,
    )
    with pytest.raises(NonFinite, match="meta-update 1: loss of seed 0 is nan"):
        train(1.0, jnp.nan, jnp.nan, jnp.nan)
    # About one in four is dropped, and the run goes on.
    assert int(train(1.0, 1.5, 2.0, jnp.nan).step) == 1


def test_later_returns_are_in_deviations_from_the_mean_of_the_tasks_that_were_kept():
    algorithm = DROPPING["promp"]()
    _, trials = _stairs(algorithm, 1.0, jnp.nan, -2.0, 1.5)
    rollouts = rollouts_of(algorithm.learner, trials)
    got = np.asarray(later_return(rollouts))
    paid = np.asarray(rollouts.trajectory.reward)[:, 1].mean((1, 2))
    kept = paid[[0, 2, 3]]
    np.testing.assert_allclose(got[[0, 2, 3]], (kept - kept.mean()) / kept.std(), rtol=1e-4)
    np.testing.assert_array_equal(got[1], got[0])


def test_block_weights():
    rollouts = Rollouts(None, jnp.zeros((4, 3, 1, 1)), jnp.full(4, 0.25), jnp.zeros(()))
    np.testing.assert_array_equal(last_block(rollouts), [0, 0, 1])
    np.testing.assert_array_equal(every_update(rollouts), [0, 0.5, 0.5])


def test_anil_adapts_its_head_alone():
    algorithm = ANIL(NETWORK, _inner(), ASCENT)
    state = algorithm.init(COLLECTOR.spec, key=KEY)
    trials = _collect(algorithm.learner, state.params, num_updates=1)
    ends, start = trials.final.state.policy, state.params.policy
    np.testing.assert_array_equal(ends.layers[0].weight, np.broadcast_to(start.layers[0].weight, (2, 3, 2)))
    assert np.abs(ends.head.linear.bias - start.head.linear.bias[None]).max() > 1e-3


def test_cavia_adapts_a_context_that_starts_at_zero_in_every_task():
    algorithm = CAVIA(NETWORK, 2, _inner(), ASCENT)
    state = algorithm.init(COLLECTOR.spec, key=KEY)
    trials = _collect(algorithm.learner, state.params, num_updates=1)
    ends, start = trials.final.state.policy, state.params.policy
    assert np.abs(ends.context).max() > 1e-4
    np.testing.assert_array_equal(ends.head.linear.weight, np.broadcast_to(start.head.linear.weight, (2, 2, 3)))
    new, _ = eqx.filter_jit(algorithm.update)(state, trials, key=KEY)
    np.testing.assert_array_equal(new.params.policy.context, [0, 0])
    assert np.abs(new.params.policy.layers[0].weight - start.layers[0].weight).max() > 1e-3


METHODS = {
    "maml": MAML(NETWORK),
    "promp": ProMP(NETWORK),
    "reptile": Reptile(NETWORK),
    "meta-sgd": MetaSGD(NETWORK),
    "anil": ANIL(NETWORK),
    "cavia": CAVIA(NETWORK),
    "e-maml": EMAML(NETWORK),
    "mpo": MPO(NETWORK, encoder_width=4, code_size=2),
}


@pytest.mark.parametrize("family", [POINT, BANDIT], ids=["continuous", "discrete"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_does_continuous_and_discrete_actions(method, family):
    algorithm, env = METHODS[method], family.env
    params = jax.eval_shape(lambda: eqx.filter(algorithm.init(env.spec, key=KEY).params, eqx.is_array))
    size = env.spec.num_actions or env.spec.action.shape[0]
    assert params.policy.head.linear.bias.shape == (size,)
    assert (params.policy.head.log_std is None) == (env.spec.num_actions is not None)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CAVIA(context_size=0), "context_size must be a whole number of at least 1, got 0"),
        (lambda: EMAML(credit=0.0), "credit must be positive .*, got 0.0"),
        (lambda: EMAML(credit=-1.0), "credit must be positive .*, got -1.0"),
        (lambda: MPO(code_size=-1), "code_size must be at least 0 .*, got -1"),
        (lambda: MPO(encoder_width=0), "encoder_width must be"),
        (lambda: Reptile(meta_step_size=0.0), r"meta_step_size must lie in \(0, 1\], got 0.0"),
        (lambda: Reptile(meta_step_size=1.5), r"meta_step_size must lie in \(0, 1\], got 1.5"),
        (lambda: ProMP(inner=InnerLoop(num_updates=0)), "inner.num_updates must be"),
        (lambda: ProMP(inner=InnerLoop(step_size=-0.1)), "inner.step_size must be positive, got -0.1"),
        (lambda: ClippedAscent(num_epochs=0), "ascent.num_epochs must be"),
        (lambda: ClippedAscent(learning_rate=-1.0), "ascent.learning_rate must be positive, got -1.0"),
        (lambda: ClippedAscent(clip=0.0), "ascent.clip must be positive, got 0.0"),
        (lambda: TrustRegion(max_kl=0.0), "trust_region.max_kl must be positive, got 0.0"),
        (lambda: TrustRegion(shrink=1.0), "trust_region.shrink must lie in \\(0, 1\\), got 1.0"),
        (lambda: TrustRegion(num_trials=0), "trust_region.num_trials must be"),
    ],
)
def test_methods_that_cannot_work_are_refused(build, message):
    with pytest.raises(InvalidArgument, match=message):
        build()


def test_an_unknown_outer_loop_is_refused():
    with pytest.raises(Exception, match="outer"):
        MAML(outer="newton")


def test_a_mask_that_freezes_everything_is_refused():
    # A policy without context has nothing that belongs to it.
    learner, params = PolicyGradientLearner(_inner(), "context"), GradientParams(_policy())
    with pytest.raises(InvalidArgument, match="leaves nothing to adapt"):
        _collect(learner, params)
