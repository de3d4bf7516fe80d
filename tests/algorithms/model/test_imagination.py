"""A policy and a value that are learned in models, where the best ones are known."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from quickstudy.algorithms.model.imagination import Behaviour, Imagination
from quickstudy.algorithms.model.learner import Acting, PolicyLearner
from quickstudy.algorithms.model.mml import MML
from quickstudy.algorithms.model.parts import Fitting, ModelNetwork
from quickstudy.envs.point import RotatedPointNavigation
from quickstudy.errors import InvalidArgument
from quickstudy.nets.dynamics import InnerModel, Scale
from quickstudy.planning.shooting import Planner
from quickstudy.trial import run_trial
from quickstudy.types import Budget, Spec

GAMMA = 0.9
CONTINUOUS = Spec(jax.ShapeDtypeStruct((1,), jnp.float32), jax.ShapeDtypeStruct((1,), jnp.float32), None)
DISCRETE = Spec(jax.ShapeDtypeStruct((1,), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32), 2)
IMAGINATION = Imagination(horizon=4, num_starts=16, width=16, gamma=GAMMA, lam=0.8)


class Pays(InnerModel):
    """A model in which the state stays and a step pays its first action's number times ``worth``, times the state."""

    worth: jax.Array

    def __init__(self, spec, worth):
        super().__init__(spec, width=2, depth=1, min_log_std=-4.0, key=jax.random.key(0))
        self.worth = worth

    def step_by(self, scale, obs, action):
        return obs, self.worth * obs[0] * action[0], jnp.ones(())


def _ensemble(spec, worths):
    return eqx.filter_vmap(lambda worth: Pays(spec, worth))(jnp.asarray(worths))


def _learned(spec, worths, num_steps=400):
    """A behaviour after some steps of Adam, in a model of each worth, from states that are 1 or 2."""
    scale, known = Scale.unit(1), jnp.zeros(2)
    behaviour = IMAGINATION.build(spec, 2, key=jax.random.key(1))
    assert behaviour is not None
    optimizer = optax.adam(1e-2)
    starts = jnp.broadcast_to(jnp.array([[1.0], [2.0]] * 8), (len(worths), 16, 1))

    @eqx.filter_jit
    def learn(behaviour):
        arrays, static = eqx.partition(behaviour, eqx.is_inexact_array)

        def step(carry, key):
            arrays, opt_state = carry
            loss = lambda arrays: IMAGINATION.loss(
                eqx.combine(arrays, static), _ensemble(spec, worths), scale, starts, known, key=key
            )
            grads, _ = jax.grad(loss, has_aux=True)(arrays)
            updates, opt_state = optimizer.update(grads, opt_state)
            return (eqx.apply_updates(arrays, updates), opt_state), None

        keys = jax.random.split(jax.random.key(2), num_steps)
        return eqx.combine(jax.lax.scan(step, (arrays, optimizer.init(arrays)), keys)[0][0], static)

    learned = learn(behaviour)
    at = lambda obs: (
        learned.action(scale, jnp.array([obs]), known),
        learned.value(scale, jnp.array([obs]), known),
    )
    return at(1.0), at(2.0)


@pytest.mark.parametrize("worth", [1.0, -1.0])
def test_the_policy_and_the_value_become_the_best(worth):
    (low_action, low), (high_action, high) = _learned(CONTINUOUS, [worth])
    np.testing.assert_allclose([low_action[0], high_action[0]], [worth, worth], atol=0.05)
    np.testing.assert_allclose([low, high], [1 / (1 - GAMMA), 2 / (1 - GAMMA)], rtol=0.08)


def test_a_discrete_policy_takes_the_action_that_pays():
    assert _learned(DISCRETE, [1.0])[1][0] == 0
    assert _learned(DISCRETE, [-1.0])[1][0] == 1


def test_models_that_disagree_count_alike():
    (action, value), _ = _learned(CONTINUOUS, [2.0, -1.0])
    np.testing.assert_allclose(action[0], 1.0, atol=0.05)
    np.testing.assert_allclose(value, 0.5 / (1 - GAMMA), rtol=0.15)


def test_learning_a_policy_leaves_the_model_alone():
    spec, scale = CONTINUOUS, Scale.unit(1)
    behaviour = Behaviour(spec, 2, width=4, gamma=GAMMA, key=jax.random.key(0))
    make = lambda key: InnerModel(spec, width=3, depth=1, min_log_std=-4.0, key=key)
    models = eqx.filter_vmap(make)(jax.random.split(jax.random.key(1), 2))
    arrays, static = eqx.partition((behaviour, models), eqx.is_inexact_array)

    def loss(arrays):
        behaviour, models = eqx.combine(arrays, static)
        starts = jnp.ones((2, 3, 1))
        return IMAGINATION.loss(behaviour, models, scale, starts, jnp.zeros(2), key=jax.random.key(2))[0]

    of_behaviour, of_models = jax.jit(jax.grad(loss))(arrays)
    assert all((x == 0).all() for x in jax.tree.leaves(of_models))
    assert any((x != 0).any() for x in jax.tree.leaves(of_behaviour))


METHOD = MML(
    ModelNetwork(width=6, depth=1, num_members=2),
    code_size=3,
    encoder_width=8,
    acting=Acting(Planner(horizon=1, num_candidates=32, num_elites=2), ends_with_value=True),
    fitting=Fitting(num_gradient_steps=2, batch_size=4, num_targets=6, capacity=20, num_trials=16),
    imagination=Imagination(horizon=2, width=4),
)
FAMILY = RotatedPointNavigation()


def test_plans_end_with_the_value():
    """One that grows along the first coordinate by far more than rewards do makes the agent go there."""
    params = eqx.filter_jit(METHOD.init)(FAMILY.env.spec, key=jax.random.key(0)).params

    @eqx.filter_jit
    def first_action(slope):
        critic = params.meta.behaviour.critic
        layers = tuple(eqx.tree_at(lambda x: x.weight, layer, jnp.zeros_like(layer.weight)) for layer in critic.layers)
        grows = eqx.tree_at(lambda x: x.weight, layers[0], layers[0].weight.at[0, 0].set(1.0))
        grows = eqx.tree_at(lambda x: x.bias, grows, grows.bias.at[0].set(5.0))
        passes = eqx.tree_at(lambda x: x.weight, layers[1], layers[1].weight.at[0, 0].set(1.0))
        says = eqx.tree_at(lambda x: x.weight, layers[2], layers[2].weight.at[0, 0].set(slope))
        changed = eqx.tree_at(lambda p: p.meta.behaviour.critic.layers, params, (grows, passes, says))
        # A model in which actions move the point by what they say.
        motion = params.meta.base.motion
        weight = jnp.zeros_like(motion[0].weight).at[:, 0, 2].set(1.0)
        first = eqx.tree_at(lambda x: (x.weight, x.bias), motion[0], (weight, jnp.full_like(motion[0].bias, 3.0)))
        last = eqx.tree_at(lambda x: x.weight, motion[1], jnp.zeros_like(motion[1].weight).at[:, 0, 0].set(1.0))
        changed = eqx.tree_at(lambda p: p.meta.base.motion, changed, (first, last))
        task = FAMILY.tasks("validation").sample(key=jax.random.key(0))
        trial = run_trial(METHOD.learner, changed, FAMILY.env, task, Budget(1, 1), key=jax.random.key(1))
        return trial.trajectory.action[0, 0, 0, 0]

    assert first_action(0.1) > 0.5
    assert first_action(-0.1) < -0.5


def test_the_policy_acts_by_what_is_known_of_the_task():
    method = replace(METHOD, acts_by="policy")
    params = eqx.filter_jit(method.init)(FAMILY.env.spec, key=jax.random.key(0)).params
    task = FAMILY.tasks("validation").sample(key=jax.random.key(0))
    run = eqx.filter_jit(run_trial)
    trial = run(method.learner, params, FAMILY.env, task, Budget(3, 2), key=jax.random.key(1))
    assert isinstance(method.learner, PolicyLearner)
    state = method.learner.init(params, key=jax.random.key(1))
    obs = trial.trajectory.timestep.obs[0, 0, 0]
    behaviour = method.inner.behaviour(params, state)
    assert behaviour is not None
    np.testing.assert_allclose(trial.trajectory.action[0, 0, 0], behaviour.action(obs), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Imagination(horizon=-1), "imagination.horizon must be at least 0, got -1"),
        (lambda: Imagination(num_starts=0), "imagination.num_starts must be a whole number of at least 1, got 0"),
        (lambda: Imagination(gamma=1.0), r"imagination.gamma must lie in \[0, 1\), got 1.0"),
        (lambda: MML(acts_by="policy"), "acts_by='policy' .* set imagination.horizon to at least 1, got 0"),
        (lambda: MML(acting=Acting(ends_with_value=True)), "acting.ends_with_value=True .* set imagination.horizon"),
        (lambda: MML(num_ahead=3), "num_ahead=3 must divide the fitting.num_targets=32"),
    ],
)
def test_what_cannot_work_is_refused(build, message):
    with pytest.raises(InvalidArgument, match=message):
        build()
