"""The linear hypernetwork."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from quickstudy.nets.hyper import LinearHypernetwork, LowRankHypernetwork
from quickstudy.nets.task_policy import PolicyNetwork
from quickstudy.types import Spec

SPEC = Spec(jax.ShapeDtypeStruct((3,), jnp.float32), jax.ShapeDtypeStruct((), jnp.int32), 4)


def _target():
    return PolicyNetwork(width=5, depth=1).build(SPEC, key=jax.random.key(0))


@pytest.mark.parametrize("code", [[0.0, 0.0], [1.0, -3.0]], ids=["zero", "any"])
def test_at_first_every_code_gives_the_base(code):
    target = _target()
    change = LinearHypernetwork(target, 2)(jnp.array(code))
    assert eqx.tree_equal(eqx.apply_updates(target, change), target)


def test_the_change_is_linear_in_the_code():
    target = {"w": jnp.ones((2, 3)), "b": jnp.zeros(2)}
    directions = {"w": jnp.arange(12.0).reshape(2, 3, 2), "b": jnp.array([[1.0, 2.0], [-1.0, 0.5]])}
    hyper = eqx.tree_at(lambda h: h.directions, LinearHypernetwork(target, 2), directions)
    got = hyper(jnp.array([10.0, 1.0]))
    np.testing.assert_allclose(got["b"], [12, -9.5])
    np.testing.assert_allclose(got["w"], [[0 + 1, 20 + 3, 40 + 5], [60 + 7, 80 + 9, 100 + 11]])
    np.testing.assert_array_equal(hyper(jnp.zeros(2))["w"], np.zeros((2, 3)))


def test_the_change_has_the_targets_arrays_and_no_other_leaf():
    target = _target()
    change = LinearHypernetwork(target, 7)(jnp.ones(7))
    arrays = eqx.filter(target, eqx.is_inexact_array)
    assert jax.tree.structure(change) == jax.tree.structure(arrays)
    assert [x.shape for x in jax.tree.leaves(change)] == [x.shape for x in jax.tree.leaves(arrays)]


def test_at_first_the_directions_feel_a_gradient_and_the_code_does_not():
    target = _target()

    def output(hyper, code):
        policy = eqx.apply_updates(target, hyper(code))
        return policy(jnp.ones(3)).logits[0]

    hyper, code = LinearHypernetwork(target, 2), jnp.array([1.0, 2.0])
    by_directions, by_code = jax.grad(output, argnums=(0, 1))(hyper, code)
    bias = by_directions.directions.head.linear.bias
    np.testing.assert_allclose(bias, [[1, 2], [0, 0], [0, 0], [0, 0]])
    np.testing.assert_array_equal(by_code, [0, 0])


def _low_rank(target, rank=2):
    return LowRankHypernetwork(target, 3, width=4, rank=rank, key=jax.random.key(1))


@pytest.mark.parametrize("code", [[0.0, 0.0, 0.0], [1.0, -3.0, 2.0]], ids=["zero", "any"])
def test_at_first_every_code_gives_the_base_at_low_rank_too(code):
    target = _target()
    assert eqx.tree_equal(eqx.apply_updates(target, _low_rank(target)(jnp.array(code))), target)


def test_at_first_the_heads_feel_a_gradient():
    target = {"w": jnp.ones((2, 3)), "b": jnp.zeros(2)}
    loss = lambda hyper: sum(jnp.sum(x) for x in jax.tree.leaves(hyper(jnp.ones(3))))
    grads = eqx.filter_grad(loss)(_low_rank(target))
    assert all(np.abs(head).max() > 0 for head in jax.tree.leaves(grads.heads))


def test_matrices_change_by_as_many_directions_as_the_rank():
    target = {"w": jnp.zeros((6, 5)), "b": jnp.zeros(6)}
    hyper = _low_rank(target)
    heads = jax.tree.map(lambda head: jax.random.normal(jax.random.key(2), head.shape), hyper.heads)
    hyper = eqx.tree_at(lambda h: h.heads, hyper, heads)
    change = hyper(jnp.array([0.3, -1.0, 2.0]))
    assert np.linalg.matrix_rank(change["w"], tol=1e-4) == 2
    z = np.concatenate([[0.3, -1.0, 2.0], jax.nn.silu(hyper.trunk(jnp.array([0.3, -1.0, 2.0])))])
    np.testing.assert_allclose(change["b"], heads["b"] @ z, rtol=1e-5)
    np.testing.assert_allclose(change["w"], hyper.left["w"] @ np.diag(heads["w"] @ z) @ hyper.right["w"], rtol=1e-4)
