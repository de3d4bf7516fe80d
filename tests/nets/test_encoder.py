"""The order-free encoder: what it may and may not notice of how transitions came."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.nets.encoder import SetEncoder
from quickstudy.types import Spec, TimeStep, Trajectory

DISCRETE = Spec(jax.ShapeDtypeStruct((3,), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32), 4)
CONTINUOUS = Spec(jax.ShapeDtypeStruct((3,), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.float32), None)
SPECS = pytest.mark.parametrize("spec", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
ADD, CODE = eqx.filter_jit(SetEncoder.add), eqx.filter_jit(SetEncoder.code)


def _encoder(spec):
    encoder = SetEncoder(spec, width=6, code_size=2, key=jax.random.key(0))
    return eqx.tree_at(lambda e: e.prior, encoder, jnp.array([0.3, -0.7]))


def _block(spec, length=4, num_streams=3, seed=0):
    rng = np.random.default_rng(seed)
    normal = lambda *shape: jnp.asarray(rng.normal(size=(length, num_streams, *shape)), jnp.float32)
    flags = jnp.zeros((length, num_streams), bool)
    action = normal(2)
    if spec.num_actions is not None:
        action = jnp.asarray(rng.integers(0, spec.num_actions, (length, num_streams)), jnp.int32)
    timestep = TimeStep(normal(3), action, normal(), flags)
    return Trajectory(timestep, action, normal(), normal(3), flags, flags, None)


def _pick(block, index):
    return jax.tree.map(lambda x: x[index], block)


def _code(encoder, *blocks):
    evidence = encoder.initial()
    for block in blocks:
        evidence = ADD(encoder, evidence, block)
    return CODE(encoder, evidence)


@SPECS
def test_before_any_evidence_the_code_is_the_prior(spec):
    encoder = _encoder(spec)
    np.testing.assert_allclose(_code(encoder), [0.3, -0.7], rtol=1e-6)
    assert not np.allclose(_code(encoder, _block(spec)), [0.3, -0.7], atol=1e-3)


def test_a_fresh_prior_is_zero():
    np.testing.assert_array_equal(SetEncoder(DISCRETE, width=6, code_size=2, key=jax.random.key(0)).prior, [0, 0])


@SPECS
def test_the_order_of_steps_and_streams_is_not_noticed(spec):
    encoder, block = _encoder(spec), _block(spec)
    turned = _pick(_pick(block, np.array([2, 0, 3, 1])), (slice(None), np.array([1, 2, 0])))
    np.testing.assert_allclose(_code(encoder, turned), _code(encoder, block), rtol=1e-5)
    # Nor which of the two axes a transition lies on.
    swapped = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), block)
    np.testing.assert_allclose(_code(encoder, swapped), _code(encoder, block), rtol=1e-5)


@SPECS
def test_a_block_in_two_parts_is_the_same_evidence(spec):
    encoder, block = _encoder(spec), _block(spec)
    whole = ADD(encoder, encoder.initial(), block)
    parts = ADD(encoder, ADD(encoder, encoder.initial(), _pick(block, slice(1))), _pick(block, slice(1, None)))
    for a, b in zip(whole, parts, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5)
    assert float(whole.num_transitions) == 12


def test_evidence_by_hand():
    encoder, block = _encoder(DISCRETE), _block(DISCRETE)
    embeddings = []
    for t in range(4):
        for n in range(3):
            step = _pick(block, (t, n))
            chosen, reward = np.eye(4)[int(step.action)], float(step.reward)
            x = np.concatenate([step.timestep.obs, chosen, chosen * reward, [reward], step.next_obs])
            for layer in encoder.embed:
                x = np.maximum(np.asarray(layer.weight) @ x + np.asarray(layer.bias), 0)
            embeddings.append(x)
    evidence = ADD(encoder, encoder.initial(), block)
    np.testing.assert_allclose(evidence.total, np.sum(embeddings, 0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(evidence.maximum, np.max(embeddings, 0), rtol=1e-4, atol=1e-5)
    pools = np.concatenate([np.mean(embeddings, 0), np.max(embeddings, 0)])
    hidden, out = (np.asarray(layer.weight) for layer in encoder.read)
    np.testing.assert_allclose(CODE(encoder, evidence), np.tanh(out @ np.maximum(hidden @ pools, 0)), rtol=1e-3)


@SPECS
def test_the_same_transitions_twice_give_the_same_code(spec):
    # Mean and maximum: neither counts.
    encoder, block = _encoder(spec), _block(spec)
    np.testing.assert_allclose(_code(encoder, block, block), _code(encoder, block), rtol=1e-5)


@SPECS
@pytest.mark.parametrize("field", ["reward", "action", "next_obs"])
def test_every_part_of_a_transition_matters(spec, field):
    encoder, block, other = _encoder(spec), _block(spec), _block(spec, seed=1)
    changed = block._replace(**{field: getattr(other, field)})
    assert np.abs(_code(encoder, changed) - _code(encoder, block)).max() > 1e-4
