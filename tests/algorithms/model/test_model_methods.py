"""MML, GrBAL and ReBAL: what each does in a task, against numbers worked out otherwise."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.algorithms.memory import transitions_of
from quickstudy.algorithms.model.grbal import AdaptedModel, GrBAL
from quickstudy.algorithms.model.learner import Acting, TaskState
from quickstudy.algorithms.model.mml import (
    DOUBT_OF_ONE,
    MML,
    SHORT,
    STIFFNESS,
    WHOLE,
    GeneratedModel,
    mean_log_likelihood,
    random_context,
)
from quickstudy.algorithms.model.parts import (
    Correction,
    Fitting,
    ModelNetwork,
    ensemble_loss,
    random_runs,
    random_stretch,
)
from quickstudy.algorithms.model.rebal import ReBAL
from quickstudy.envs.point import RotatedPointNavigation
from quickstudy.errors import InvalidArgument
from quickstudy.nets.gaussian_product import Evidence
from quickstudy.nets.init import drawn
from quickstudy.planning.shooting import Planner
from quickstudy.trial import run_trial
from quickstudy.types import Budget, Transitions

FAMILY = RotatedPointNavigation()
NETWORK = ModelNetwork(width=6, depth=1, num_members=2)
FITTING = Fitting(num_gradient_steps=2, batch_size=4, num_targets=6, capacity=20, num_trials=16)
ACTING = Acting(Planner(horizon=2, num_candidates=4, num_elites=2), train_candidates=4)
INNER = GeneratedModel(decay=1.0, hazard=0.0)
METHOD = MML(
    NETWORK,
    code_size=3,
    encoder_width=8,
    factor_rank=2,
    hyper_width=5,
    rank=2,
    inner=INNER,
    acting=ACTING,
    fitting=FITTING,
)


@eqx.filter_jit
def _params(method=METHOD):
    """Meta-parameters as they are at first, but for heads of the hypernetwork that are not zero."""
    params = method.init(FAMILY.env.spec, key=jax.random.key(0)).params
    if not isinstance(method, MML):
        return params
    heads = drawn(jax.tree.map(lambda x: jnp.full(x.shape, 0.3), params.meta.hyper.heads), key=jax.random.key(7))
    return eqx.tree_at(lambda p: p.meta.hyper.heads, params, heads)


@eqx.filter_jit
def _trajectory(method=METHOD, length=5):
    task = FAMILY.tasks("validation").sample(key=jax.random.key(1))
    trial = run_trial(method.explorer, _params(method), FAMILY.env, task, Budget(1, length), key=jax.random.key(1))
    return jax.tree.map(lambda x: x[0], trial.trajectory)


@eqx.filter_jit
def _init(model, params):
    return model.init(params, key=jax.random.key(1))


@eqx.filter_jit
def _update(model, params, state, trajectory):
    return model.update(params, state, trajectory)


@eqx.filter_jit
def _correct(correction, params, data):
    return correction(params.meta.base, params.scale, data)


def _assert_same(one, other, **tolerance):
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, **{"rtol": 1e-5, "atol": 1e-6} | tolerance)


def test_at_first_every_task_gets_the_base():
    params = METHOD.init(FAMILY.env.spec, key=jax.random.key(0)).params
    state = _init(METHOD.inner, params)
    assert eqx.tree_equal(state.ensemble, params.meta.base)
    state, _ = _update(METHOD.inner, params, state, _trajectory())
    assert eqx.tree_equal(state.ensemble, params.meta.base)


def test_what_is_known_of_a_task_does_not_depend_on_the_order():
    params, trajectory = _params(), _trajectory()
    start = _init(METHOD.inner, params)
    turned = jax.tree.map(lambda x: x[::-1], trajectory)
    one, other = (_update(METHOD.inner, params, start, t)[0] for t in (trajectory, turned))
    _assert_same(one.ensemble, other.ensemble, rtol=1e-4, atol=1e-5)
    assert not eqx.tree_equal(one.ensemble, start.ensemble)


def test_blocks_add_up():
    params, trajectory = _params(), _trajectory(length=6)
    start = _init(METHOD.inner, params)
    whole, info = _update(METHOD.inner, params, start, trajectory)
    state = start
    for part in (slice(0, 2), slice(2, 6)):
        block = jax.tree.map(lambda x, part=part: x[part], trajectory)
        state, _ = _update(METHOD.inner, params, state, block)
    _assert_same(state.ensemble, whole.ensemble, rtol=1e-4, atol=1e-5)
    assert info["width"] < 1


def test_members_agree_when_the_posterior_is_narrow():
    params = _params()
    same = jax.tree.map(lambda x: jnp.stack([x[0], x[0]]), eqx.filter(params.meta, eqx.is_array))
    member = eqx.tree_at(lambda m: (m.base, m.hyper), params.meta, (same.base, same.hyper))
    model, params = INNER, eqx.tree_at(lambda p: p.meta, params, member)
    start = _init(model, params)
    sure = Evidence(1e8 * jnp.eye(3), jnp.full(3, 2e8))
    state, _ = _update(model, params, start._replace(known=start.known._replace(evidence=sure)), _trajectory())
    differ = lambda ensemble: max(np.abs(x[0] - x[1]).max() for x in jax.tree.leaves(ensemble))
    assert differ(start.ensemble) > 0.1
    assert differ(state.ensemble) < 1e-3


def test_evidence_that_fades_is_worth_less():
    params, trajectory = _params(), _trajectory()
    factors = params.meta.evidence(params.scale, transitions_of(trajectory))
    model = GeneratedModel(decay=0.5)
    state = _init(model, params)
    for _ in range(2):
        state, _ = _update(model, params, state, trajectory)
    np.testing.assert_allclose(state.known.evidence.precision, factors.precision * (1 + 0.5**5), rtol=1e-5)


def test_models_that_are_linearised_find_the_code_that_transitions_came_from():
    params, code = _params(), jnp.array([0.2, -0.1, 0.3])
    true = code + jnp.array([0.002, 0.004, -0.002])

    def as_of(code, row):
        ensemble = params.meta.generate(jnp.stack([code, code]))
        said = eqx.filter_vmap(lambda model: model.predict(params.scale, row.obs, row.action).change)(ensemble)
        return row._replace(next_obs=params.scale.moved(row.obs, said.mean(axis=0)))

    rows = jax.vmap(lambda row: as_of(true, row))(transitions_of(_trajectory(length=8)))
    find = eqx.filter_jit(lambda weight: params.meta.linearised(params.scale, rows._replace(weight=weight), code))
    found = find(jnp.ones(8)).moved(code, 1e-5)
    assert np.linalg.norm(found - true) < 0.1 * np.linalg.norm(code - true)
    stiff = find(jnp.ones(8)).moved(code, 1e9)
    np.testing.assert_allclose(stiff, code, atol=1e-5)
    first_half = jnp.arange(8) < 4
    _assert_same(find(1.0 * first_half).plus(find(1.0 * ~first_half)), find(jnp.ones(8)), rtol=1e-4, atol=1e-4)


def test_a_refined_code_is_what_the_models_are_generated_from():
    params, trajectory = _params(), _trajectory()
    model = GeneratedModel(decay=0.9, hazard=0.0, refines=True)
    start = _init(model, params)
    state, _ = _update(model, params, start, trajectory)
    plain, _ = _update(replace(model, refines=False), params, start, trajectory)
    code = plain.known.evidence.posterior[0]
    said = params.meta.linearised(params.scale, transitions_of(trajectory), code)
    _assert_same(state.known.linearised, said)
    refined = model.code(state.known)
    np.testing.assert_allclose(refined, said.moved(code, STIFFNESS), rtol=1e-5)
    assert np.abs(refined - code).max() > 1e-3
    codes = state.known.evidence.drawn(start.known.draws) + (refined - code)[None]
    _assert_same(state.ensemble, params.meta.generate(codes))
    again, _ = _update(model, params, state, trajectory)
    code = again.known.evidence.posterior[0]
    said = params.meta.linearised(params.scale, transitions_of(trajectory), code)
    _assert_same(again.known.linearised, state.known.linearised.times(0.9**5).plus(said))


def test_a_task_whose_models_predict_no_worse_keeps_its_evidence():
    params, trajectory = METHOD.init(FAMILY.env.spec, key=jax.random.key(0)).params, _trajectory()
    factors = params.meta.evidence(params.scale, transitions_of(trajectory))
    model = GeneratedModel(decay=1.0)
    state = _init(model, params)
    for _ in range(3):
        state, _ = _update(model, params, state, trajectory)
    assert float(state.known.doubt) == 0.0
    np.testing.assert_allclose(state.known.evidence.precision, 3 * factors.precision, rtol=1e-5)
    np.testing.assert_array_equal(state.known.later.precision, 0.0)  # nothing of this task is held for another


def test_a_task_that_has_changed_begins_anew():
    params, trajectory = _params(), _trajectory()
    model = GeneratedModel(decay=1.0, hazard=0.01, refines=True)
    factors = params.meta.evidence(params.scale, transitions_of(trajectory))
    start = _init(model, params)
    sure = Evidence(1e8 * jnp.eye(3), jnp.full(3, 1e9))  # a code that is far from what the transitions say
    wrong = params.meta.generate(sure.drawn(start.known.draws))
    state = TaskState(wrong, start.known._replace(evidence=sure, linearised=sure))
    said = [mean_log_likelihood(e, params.scale, transitions_of(trajectory)) for e in (wrong, start.ensemble)]
    assert np.all(said[0] + 1.0 < said[1])  # the transitions are far less likely so
    state, _ = _update(model, params, state, trajectory)
    np.testing.assert_allclose(state.known.evidence.precision, factors.precision, rtol=1e-4)
    code = state.known.evidence.posterior[0]
    _assert_same(state.known.linearised, params.meta.linearised(params.scale, transitions_of(trajectory), code))
    assert float(state.known.doubt) == 0.0


def test_doubt_grows_by_no_more_than_a_transition_may_say_and_evidence_is_collected_meanwhile():
    params, trajectory = _params(), _trajectory(length=2)
    model = GeneratedModel(decay=1.0, hazard=1e-6)
    factors = params.meta.evidence(params.scale, transitions_of(trajectory))
    start = _init(model, params)
    sure = Evidence(1e8 * jnp.eye(3), jnp.full(3, 1e9))
    wrong = params.meta.generate(sure.drawn(start.known.draws))
    state, _ = _update(model, params, TaskState(wrong, start.known._replace(evidence=sure)), trajectory)
    assert 0.0 < float(state.known.doubt) <= 2 * DOUBT_OF_ONE
    np.testing.assert_allclose(state.known.later.precision, factors.precision, rtol=1e-4)
    np.testing.assert_allclose(state.known.evidence.weighted, sure.weighted, rtol=1e-4)


def test_the_un_adapted_model_does_not_change():
    params, model = _params(), GeneratedModel(adapts=False)
    start = _init(model, params)
    state, _ = _update(model, params, start, _trajectory())
    assert eqx.tree_equal(state, start)


@pytest.mark.parametrize("pull", [0.0, 3.0])
def test_the_correction_steps_downhill_and_is_pulled_back(pull):
    params, data = _params(), transitions_of(_trajectory())
    origin = params.meta.base
    slope = eqx.filter_jit(eqx.filter_grad(lambda e: ensemble_loss(e, params.scale, data)[0]))
    expected = jax.tree.map(lambda x, g: x - 0.05 * g, origin, slope(origin))
    expected = jax.tree.map(lambda x, g, start: x - 0.05 * (g + pull * (x - start)), expected, slope(expected), origin)
    _assert_same(_correct(Correction(2, 0.05, pull), params, data), expected, rtol=1e-4)


def test_a_strong_pull_keeps_the_generated_weights():
    params, data = _params(), transitions_of(_trajectory())
    distance = lambda c: sum(
        jnp.sum(jnp.square(x - y))
        for x, y in zip(jax.tree.leaves(_correct(c, params, data)), jax.tree.leaves(params.meta.base), strict=True)
    )
    free, pulled = (distance(Correction(50, 0.01, pull)) for pull in (0.0, 20.0))
    assert pulled < 0.05 * free
    assert eqx.tree_equal(_correct(Correction(), params, data), params.meta.base)


def test_grbal_takes_one_step_from_the_same_start_on_the_latest_transitions():
    method = GrBAL(NETWORK, AdaptedModel(0.02, num_past=4), ACTING, FITTING)
    params, trajectory = _params(method), _trajectory(method, length=6)
    model = method.learner.model
    state = _init(model, params)
    assert eqx.tree_equal(state.ensemble, params.meta.base)
    for part in (slice(0, 3), slice(3, 6)):
        block = jax.tree.map(lambda x, part=part: x[part], trajectory)
        state, _ = _update(model, params, state, block)
    latest = jax.tree.map(lambda x: x[-4:], transitions_of(trajectory))
    _assert_same(state.ensemble, _correct(Correction(1, 0.02), params, latest), rtol=1e-4)


def test_grbal_learns_through_the_step():
    method = GrBAL(NETWORK, AdaptedModel(0.1, num_past=4), ACTING, FITTING)
    params, data = _params(method), transitions_of(_trajectory(method, length=12))
    loss = lambda meta: method.task_loss(meta, params.scale, data, jax.random.key(5))[0]
    sizes = eqx.filter_jit(eqx.filter_grad(loss))(params.meta).log_step_sizes
    assert max(np.abs(x).max() for x in jax.tree.leaves(sizes)) > 1e-6


def test_rebal_remembers_what_the_cell_remembers():
    method = ReBAL(NETWORK, 4, ACTING, FITTING)
    params, trajectory = _params(method), _trajectory(method)
    model = method.learner.model
    state = _init(model, params)
    state, _ = _update(model, params, state, trajectory)
    memory, rows = jnp.zeros(4), transitions_of(trajectory)
    for i in range(5):
        memory = params.meta.read(params.scale, memory, jax.tree.map(lambda x, i=i: x[i], rows))
    np.testing.assert_allclose(state.known, memory, rtol=1e-5)
    for member in range(2):
        bias = params.meta.base.motion[0].bias[member] + params.meta.motion_bias.weight[member] @ memory
        np.testing.assert_allclose(state.ensemble.motion[0].bias[member], bias, rtol=1e-4, atol=1e-6)


def test_rebal_predicts_from_the_past_alone():
    method = ReBAL(NETWORK, 4, ACTING, FITTING)
    params, rows = _params(method), transitions_of(_trajectory(method))
    last = lambda data: method.task_loss(params.meta, params.scale, data, jax.random.key(0))[1]["error"]
    first_last = jax.tree.map(lambda x: jnp.roll(x, -1, axis=0), rows)
    first_only = first_last._replace(weight=first_last.weight.at[:-1].set(0.0))
    alone = ensemble_loss(params.meta.ensemble(jnp.zeros(4)), params.scale, jax.tree.map(lambda x: x[:1], rows))[1]
    np.testing.assert_allclose(last(first_only), alone, rtol=1e-5)


def _numbered(size, capacity=8):
    """Transitions whose reward is their number; the empty ones come first."""
    filled = jnp.arange(capacity) - (capacity - size)
    row = jnp.where(filled >= 0, filled, -1.0)
    obs, weight = jnp.zeros((capacity, 2)), (filled >= 0).astype(jnp.float32)
    return Transitions(obs, obs, row, obs, weight, weight, weight)


def test_a_stretch_is_consecutive_and_never_empty_rows():
    stretch = jax.vmap(lambda k: random_stretch(_numbered(5), 4, key=k))(jax.random.split(jax.random.key(0), 20))
    np.testing.assert_array_equal(np.diff(stretch.reward, axis=1) % 5, np.ones((20, 3)))
    assert stretch.weight.all()
    short = random_stretch(_numbered(3), 6, key=jax.random.key(0))
    np.testing.assert_array_equal(short.weight, [1, 1, 1, 0, 0, 0])
    assert sorted(np.asarray(short.reward[:3]).tolist()) == [0, 1, 2]


def test_runs_follow_the_data_and_end_with_them():
    runs = random_runs(_numbered(5), 40, 3, key=jax.random.key(0))
    assert runs.reward.shape == (40, 3)
    assert set(np.asarray(runs.reward[:, 0]).tolist()) == {0, 1, 2, 3, 4}
    assert (runs.weight[:, 0] == 1).all()
    np.testing.assert_array_equal(runs.weight, runs.reward[:, :1] + jnp.arange(3)[None] < 5)
    inside = np.asarray(runs.weight[:, 1:] == 1)
    np.testing.assert_array_equal(np.diff(runs.reward, axis=1)[inside], 1)


def test_most_contexts_are_as_long_as_they_get():
    keys = jax.random.split(jax.random.key(0), 2000)
    contexts, whole = jax.vmap(lambda k: random_context(_numbered(8), 7, key=k))(keys)
    lengths = contexts.weight.sum(-1)
    shares = [*((1 - WHOLE) * np.log2([2, 3 / 2, 4 / 3, 5 / 4, 6 / 5, 7 / 6, 8 / 7]) / 3), WHOLE]
    np.testing.assert_allclose([(lengths == n).mean() for n in range(8)], shares, atol=0.03)
    np.testing.assert_array_equal(whole, lengths == 7)


def test_what_short_contexts_leave_open_counts_less():
    params, data = _params(), transitions_of(_trajectory())
    kinds = set()
    for seed in range(20):
        key = jax.random.key(seed)
        _, whole = random_context(data, METHOD.num_context, key=jax.random.split(key, 5)[0])
        loss, info = METHOD.task_loss(params.meta, params.scale, data, key)
        assert np.isclose(loss, info["surprise"] * (1.0 if whole else SHORT))
        kinds.add(bool(whole))
    assert kinds == {True, False}


def test_a_model_that_diverges_acts_at_random_and_is_counted():
    params = eqx.tree_at(lambda p: p.scale.change_std, _params(), jnp.full(2, jnp.nan))
    task = FAMILY.tasks("validation").sample(key=jax.random.key(0))
    run = eqx.filter_jit(run_trial)
    trial = run(METHOD.learner, params, FAMILY.env, task, Budget(4, 5), key=jax.random.key(0))
    assert trial.trajectory.aux.all()
    assert np.isfinite(trial.trajectory.action).all()
    assert np.abs(trial.trajectory.action).max() > 0.5


def test_trials_of_training_may_be_shorter():
    budgets = replace(METHOD, acting=replace(ACTING, block_length=4, train_length=12)).budgets(FAMILY)
    assert budgets.train == Budget(3, 4)
    assert budgets.test == Budget(20, 4)
    with pytest.raises(InvalidArgument, match=r"acting\.train_length=10 must be a multiple of the 4 steps of a block"):
        replace(METHOD, acting=replace(ACTING, block_length=4, train_length=10)).budgets(FAMILY)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: ModelNetwork(num_members=0), "network.num_members must be a whole number of at least 1, got 0"),
        (lambda: ModelNetwork(min_log_std=1.0), r"network.min_log_std must lie in \(-inf, 1\), got 1.0"),
        (lambda: MML(factor_rank=0), "factor_rank must be a whole number of at least 1, got 0"),
        (lambda: Correction(num_steps=-1), "correction.num_steps must be at least 0, got -1"),
        (lambda: GeneratedModel(decay=0.0), r"inner.decay must lie in \(0, 1\], got 0.0"),
        (lambda: GeneratedModel(hazard=1.0), r"inner.hazard must lie in \[0, 1\), got 1.0"),
        (lambda: Acting(epsilon=1.5), r"acting.epsilon must lie in \[0, 1\], got 1.5"),
        (lambda: Fitting(learning_rate=0.0), "fitting.learning_rate must be positive, got 0.0"),
        *(
            (lambda m=m: m(acting=Acting(optimism=0.5)), "acting.optimism=0.5 .* network.num_members .* 2, got 1")
            for m in (MML, GrBAL, ReBAL)
        ),
        (lambda: MML(code_size=0), "code_size must be a whole number of at least 1, got 0"),
    ],
)
def test_what_cannot_work_is_refused(build, message):
    with pytest.raises(InvalidArgument, match=message):
        build()


def test_random_actions_last_as_long_as_they_are_held():
    method = replace(METHOD, acting=replace(ACTING, epsilon=0.5, hold=4))
    actions = np.asarray(_trajectory(method, length=400).action)
    held = np.all(actions[1:] == actions[:-1], axis=(1, 2))
    np.testing.assert_allclose(held.mean(), 0.5 * 3 / 4, atol=0.1)
