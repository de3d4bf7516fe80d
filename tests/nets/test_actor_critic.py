"""Acting step by step and learning from a whole stream compute the same numbers."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.nets.actor_critic import ActionScore, MemorylessActorCritic, RecurrentActorCritic
from quickstudy.types import Spec, TimeStep

LENGTH = 7
DISCRETE = Spec(jax.ShapeDtypeStruct((2,), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32), 3)
CONTINUOUS = Spec(jax.ShapeDtypeStruct((2,), jnp.float32), jax.ShapeDtypeStruct((1,), jnp.float32), None)


def _stream(spec):
    k_obs, k_action, k_reward = jax.random.split(jax.random.key(1), 3)
    if spec.num_actions is None:
        action = jax.random.normal(k_action, (LENGTH, *spec.action.shape))
    else:
        action = jax.random.randint(k_action, (LENGTH,), 0, spec.num_actions)
    first = jnp.zeros(LENGTH, bool).at[jnp.array([0, 3])].set(True)
    return TimeStep(jax.random.normal(k_obs, (LENGTH, 2)), action, jax.random.normal(k_reward, (LENGTH,)), first)


def _network(kind, spec):
    key = jax.random.key(0)
    if kind == "memoryless":
        return MemorylessActorCritic(spec, width=8, depth=2, standardize=False, key=key)
    cell, *extras = kind.split("+")
    readout, associative, standardize = 6 * ("readout" in extras), "associative" in extras, "standardize" in extras
    network = RecurrentActorCritic(
        spec, cell=cell, width=8, readout=readout, associative=associative, standardize=standardize, key=key
    )
    return network.after(jax.tree.map(lambda x: x[None, None], _stream(spec)))


CASES = [
    ("gru", DISCRETE),
    ("gru+readout", DISCRETE),
    ("gru+associative", DISCRETE),
    ("gru+readout+associative", CONTINUOUS),
    ("gru+readout+standardize", CONTINUOUS),
    ("gru+associative+standardize", DISCRETE),
    ("gru", CONTINUOUS),
    ("lstm", DISCRETE),
    ("memoryless", DISCRETE),
    ("memoryless", CONTINUOUS),
]
IDS = [f"{kind}, {'continuous' if spec.num_actions is None else 'discrete'}" for kind, spec in CASES]


@pytest.mark.parametrize(("kind", "spec"), CASES, ids=IDS)
def test_unroll_equals_step_by_step(kind, spec):
    network, timesteps = _network(kind, spec), _stream(spec)
    policies, values = eqx.filter_jit(network.unroll)(timesteps, remat=False)
    step = eqx.filter_jit(network.step)
    carry = network.initial_carry()
    for t in range(LENGTH):
        carry, policy, value = step(carry, jax.tree.map(lambda x, t=t: x[t], timesteps))
        np.testing.assert_allclose(values[t], value, rtol=1e-5, atol=1e-6)
        for whole, one in zip(jax.tree.leaves(policies), jax.tree.leaves(policy), strict=True):
            np.testing.assert_allclose(whole[t], one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_rematerialisation_changes_neither_values_nor_gradients(kind):
    network, timesteps = _network(kind, DISCRETE), _stream(DISCRETE)

    @eqx.filter_jit
    @eqx.filter_value_and_grad
    def loss(network, remat):
        policies, values = network.unroll(timesteps, remat=remat)
        return jnp.square(values).sum() + jnp.square(policies.logits).sum()

    (plain, plain_grad), (remat, remat_grad) = loss(network, False), loss(network, True)
    np.testing.assert_allclose(plain, remat, rtol=1e-6)
    for a, b in zip(jax.tree.leaves(plain_grad), jax.tree.leaves(remat_grad), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
@pytest.mark.parametrize("field", ["obs", "prev_action", "prev_reward", "first"])
def test_everything_in_the_past_reaches_the_present(kind, field):
    network, timesteps = _network(kind, DISCRETE), _stream(DISCRETE)
    changed = getattr(timesteps, field)
    past = ~changed[0] if changed.dtype == bool else (changed[0] + 1) % 3
    altered = timesteps._replace(**{field: changed.at[0].set(past)})
    last = lambda stream: np.asarray(network.unroll(stream, remat=False)[1][-1])
    assert not np.isclose(last(timesteps), last(altered), rtol=1e-6, atol=0)


def test_what_happened_here_is_recalled_through_the_associative_memory_alone():
    """With the recurrent layer cut off from the value head, a reward acts where it was earned, and nowhere else."""
    network = _network("gru+associative", DISCRETE)
    network = eqx.tree_at(lambda n: n.value.weight, network, network.value.weight.at[:, :8].set(0.0))
    here, there = jnp.eye(2)
    obs = jnp.stack([here, there, here, there])
    stream = TimeStep(obs, jnp.array([0, 1, 2, 0]), jnp.array([0.0, 1.0, 2.0, 3.0]), jnp.zeros(4, bool))
    value = lambda stream: np.asarray(network.unroll(stream, remat=False)[1])
    changed = stream._replace(prev_reward=stream.prev_reward.at[1].set(5.0))  # earned by an action taken here
    np.testing.assert_array_equal(value(stream) != value(changed), [False, False, True, False])


def test_actions_are_scored_alike():
    """Experience with the actions exchanged exchanges their scores, whatever the weights and the context."""
    score = ActionScore(3, 5, key=jax.random.key(0))
    context, of_each = jnp.array([0.3, -1.0, 2.0]), jax.random.normal(jax.random.key(1), (4, 2))
    order = jnp.array([2, 0, 3, 1])
    np.testing.assert_allclose(score(context, of_each[order]), score(context, of_each)[order], rtol=1e-6)
    by_hand = [
        score.out @ np.maximum(score.of_action.weight @ x + score.of_context.weight @ context, 0) for x in of_each
    ]
    np.testing.assert_allclose(score(context, of_each), by_hand, rtol=1e-5)


def test_what_is_scored_is_what_the_memory_holds_of_each_action_here():
    network = _network("gru+associative", DISCRETE)
    nothing_else = lambda n: (n.policy.linear.weight, n.score.of_context.weight)
    network = eqx.tree_at(nothing_else, network, replace_fn=jnp.zeros_like)
    here, there = jnp.eye(2)
    stream = TimeStep(
        jnp.stack([here, there, here]), jnp.array([0, 1, 2]), jnp.array([0.0, 3.0, 9.0]), jnp.zeros(3, bool)
    )
    policies, _ = network.unroll(stream, remat=False)
    never, once = jnp.zeros(2), jnp.arcsinh(jnp.array([1.0, 3.0]))  # action 2 was taken elsewhere
    nowhere = jnp.zeros(network.score.of_context.in_features)
    np.testing.assert_allclose(policies.logits[2], network.score(nowhere, jnp.stack([never, once, never])), atol=1e-7)


@pytest.mark.parametrize("field", ["prev_action", "prev_reward", "first"])
def test_a_network_without_memory_sees_the_observation_alone(field):
    network, timesteps = _network("memoryless", DISCRETE), _stream(DISCRETE)
    other = jnp.zeros_like(getattr(timesteps, field))
    altered = timesteps._replace(**{field: other}, obs=timesteps.obs.at[:-1].set(9.0))
    last = lambda stream: np.asarray(network.unroll(stream, remat=False)[1][-1])
    np.testing.assert_array_equal(last(timesteps), last(altered))
