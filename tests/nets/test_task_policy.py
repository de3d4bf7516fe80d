"""The policy that adapts, and which parts of it do."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.errors import InvalidArgument
from quickstudy.nets.policy import Categorical, DiagonalGaussian
from quickstudy.nets.task_policy import PolicyNetwork, part_of
from quickstudy.types import Spec

DISCRETE = Spec(jax.ShapeDtypeStruct((3,), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32), 4)
CONTINUOUS = Spec(jax.ShapeDtypeStruct((3,), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.float32), None)
OBS = jnp.array([0.5, -1.0, 2.0])


def _policy(spec=CONTINUOUS, *, context_size=0, **network):
    return PolicyNetwork(width=5, **network).build(spec, context_size=context_size, key=jax.random.key(0))


@pytest.mark.parametrize(("activation", "nonlinearity"), [("tanh", np.tanh), ("relu", lambda x: np.maximum(x, 0))])
def test_the_forward_pass_by_hand(activation, nonlinearity):
    policy = _policy(DISCRETE, activation=activation, depth=2)
    assert len(policy.layers) == 2
    x = np.asarray(OBS)
    for layer in policy.layers:
        x = nonlinearity(np.asarray(layer.weight) @ x + np.asarray(layer.bias))
    expected = np.asarray(policy.head.linear.weight) @ x
    np.testing.assert_allclose(policy(OBS).logits, expected, rtol=1e-4, atol=1e-7)


def test_the_head_fits_the_familys_actions():
    discrete, continuous = _policy(DISCRETE)(OBS), _policy(CONTINUOUS)(OBS)
    assert isinstance(discrete, Categorical)
    assert isinstance(continuous, DiagonalGaussian)
    assert (discrete.logits.shape, continuous.mean.shape) == ((4,), (2,))


def test_the_context_is_an_input_that_is_zero_at_first():
    policy = _policy(context_size=2)
    assert policy.layers[0].weight.shape == (5, 5)
    np.testing.assert_array_equal(policy.context, [0, 0])
    moved = eqx.tree_at(lambda p: p.context, policy, jnp.array([1.0, -1.0]))
    # The first layer sees observation and context side by side.
    shift = policy.layers[0].weight @ jnp.array([0, 0, 0, 1.0, -1.0])
    shifted = eqx.tree_at(lambda p: p.layers[0].bias, policy, policy.layers[0].bias + shift)
    assert not np.allclose(moved(OBS).mean, policy(OBS).mean)
    np.testing.assert_allclose(moved(OBS).mean, shifted(OBS).mean, rtol=1e-4)


def test_a_policy_without_context_has_no_such_parameter():
    assert _policy().context is None


@pytest.mark.parametrize("spec", [DISCRETE, CONTINUOUS], ids=["discrete", "continuous"])
@pytest.mark.parametrize("part", ["all", "head", "context"])
def test_a_part_is_true_for_its_own_parameters_alone(spec, part):
    policy = _policy(spec, context_size=2)
    mask = part_of(policy, part)
    assert jax.tree.structure(mask) == jax.tree.structure(policy)
    expected = {
        "context": part in ("all", "context"),
        "layers": part == "all",
        "head": part in ("all", "head"),
    }
    for name, chosen in expected.items():
        leaves = jax.tree.leaves(getattr(mask, name))
        assert leaves
        assert leaves == [chosen] * len(leaves)


def test_the_parts_together_are_the_whole():
    policy = _policy(context_size=2)
    adapts, fixed = eqx.partition(policy, part_of(policy, "head"))
    assert [x.shape for x in jax.tree.leaves(adapts)] == [(2, 5), (2,), (2,)]
    assert eqx.tree_equal(eqx.combine(adapts, fixed), policy)


def test_a_part_that_is_empty_is_refused():
    with pytest.raises(InvalidArgument, match=r"part='context' leaves nothing to adapt: the policy has no context"):
        part_of(_policy(), "context")


@pytest.mark.parametrize(("name", "value"), [("width", 0), ("depth", 0), ("width", -3), ("depth", 1.5)])
def test_counts_below_one_are_refused(name, value):
    with pytest.raises((InvalidArgument, TypeError), match=name):
        PolicyNetwork(**{name: value})
