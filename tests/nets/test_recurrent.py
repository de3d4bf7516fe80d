import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from quickstudy.errors import InvalidArgument
from quickstudy.nets.recurrent import make_cell, unroll

both = pytest.mark.parametrize("name", ["gru", "lstm"])
NUM_FEATURES, WIDTH, LENGTH = 3, 4, 6


def cell_and_inputs(name):
    """A cell with nonzero biases everywhere, a nonzero hidden state, and a sequence."""
    cell = make_cell(name, NUM_FEATURES, WIDTH, key=jax.random.key(0))
    arrays, static = eqx.partition(cell, eqx.is_inexact_array)
    flat, unflatten = ravel_pytree(arrays)
    cell = eqx.combine(unflatten(flat + 0.3 * jax.random.normal(jax.random.key(1), flat.shape)), static)
    hidden = jax.tree.map(lambda x: x + jnp.linspace(-0.5, 0.5, WIDTH), cell.initial())
    return cell, hidden, jax.random.normal(jax.random.key(2), (LENGTH, NUM_FEATURES))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def gru_by_hand(cell, hidden, xs):
    w, u, b, b_n, h, *xs = (
        np.asarray(a, np.float64) for a in (cell.weight_ih, cell.weight_hh, cell.bias, cell.bias_n, hidden, *xs)
    )
    H, outputs = WIDTH, []
    for x in xs:
        r = sigmoid(w[:H] @ x + b[:H] + u[:H] @ h)
        z = sigmoid(w[H : 2 * H] @ x + b[H : 2 * H] + u[H : 2 * H] @ h)
        n = np.tanh(w[2 * H :] @ x + b[2 * H :] + r * (u[2 * H :] @ h + b_n))
        h = (1 - z) * n + z * h
        outputs.append(h)
    return np.stack(outputs)


def lstm_by_hand(cell, hidden, xs):
    w, u, b, h, c, *xs = (np.asarray(a, np.float64) for a in (cell.weight_ih, cell.weight_hh, cell.bias, *hidden, *xs))
    H, outputs = WIDTH, []
    for x in xs:
        i, f, g, o = ((w @ x + u @ h + b)[k * H : (k + 1) * H] for k in range(4))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs)


@both
def test_unroll_follows_the_equations(name):
    cell, hidden, xs = cell_and_inputs(name)
    by_hand = {"gru": gru_by_hand, "lstm": lstm_by_hand}[name]
    np.testing.assert_allclose(unroll(cell, hidden, xs), by_hand(cell.cell, hidden, xs), atol=1e-6)


@both
def test_step_is_equinox_s_own(name):
    cell, hidden, xs = cell_and_inputs(name)
    ours, theirs = cell.advance(hidden, xs[0]), cell.cell(xs[0], hidden)
    for one, other in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


@both
@pytest.mark.parametrize("remat", [False, True])
def test_gradient_is_the_finite_difference(name, remat):
    with jax.enable_x64(True):
        inputs = jax.tree.map(
            lambda x: jnp.asarray(x, jnp.float64) if eqx.is_inexact_array(x) else x, cell_and_inputs(name)
        )
        arrays, static = eqx.partition(inputs, eqx.is_inexact_array)
        flat, unflatten = ravel_pytree(arrays)
        weights = jnp.sin(jnp.arange(LENGTH * WIDTH, dtype=jnp.float64)).reshape(LENGTH, WIDTH)

        @jax.jit
        def loss(flat):
            cell, hidden, xs = eqx.combine(unflatten(flat), static)
            return jnp.sum(weights * unroll(cell, hidden, xs, remat=remat))

        nudges = 1e-5 * jnp.eye(len(flat))
        difference = jax.jit(jax.vmap(lambda d: (loss(flat + d) - loss(flat - d)) / 2e-5))(nudges)
        gradient = jax.jit(jax.grad(loss))(flat)
        assert gradient.dtype == jnp.float64
        np.testing.assert_allclose(gradient, difference, atol=1e-8)


@both
def test_streams_mapped_together_share_one_gradient(name):
    """The sum over streams of their gradients, whichever way the map batches the weight gradients."""
    cell, hidden, _ = cell_and_inputs(name)
    streams = jax.random.normal(jax.random.key(3), (5, LENGTH, NUM_FEATURES))
    loss = lambda cell, xs: jnp.sum(unroll(cell, hidden, xs) ** 2)
    together = eqx.filter_jit(eqx.filter_grad(lambda cell: jax.vmap(lambda xs: loss(cell, xs))(streams).sum()))(cell)
    one = eqx.filter_jit(eqx.filter_grad(loss))
    one_by_one = [one(cell, xs) for xs in streams]
    np.testing.assert_allclose(
        ravel_pytree(together)[0], sum(ravel_pytree(g)[0] for g in one_by_one), rtol=1e-5, atol=1e-5
    )


@both
def test_hidden_state_is_all_that_is_remembered(name):
    cell, hidden, xs = cell_and_inputs(name)
    later = hidden
    for x in xs[:2]:
        later = cell.advance(later, x)
    np.testing.assert_allclose(unroll(cell, later, xs[2:]), unroll(cell, hidden, xs)[2:], atol=1e-6)


@both
def test_initial_state_is_zero_and_output_is_its_visible_part(name):
    cell = make_cell(name, NUM_FEATURES, WIDTH, key=jax.random.key(0))
    assert all((leaf == 0).all() and leaf.shape == (WIDTH,) for leaf in jax.tree.leaves(cell.initial()))
    hidden = (jnp.full(WIDTH, 2.0), jnp.full(WIDTH, 3.0)) if name == "lstm" else jnp.full(WIDTH, 2.0)
    np.testing.assert_array_equal(cell.output(hidden), jnp.full(WIDTH, 2.0))


@pytest.mark.parametrize(("name", "gates"), [("gru", 3), ("lstm", 4)])
def test_recurrent_weights_start_orthogonal_gate_by_gate(name, gates):
    (weight,) = (
        leaf
        for leaf in jax.tree.leaves(make_cell(name, NUM_FEATURES, WIDTH, key=jax.random.key(0)))
        if eqx.is_array(leaf) and leaf.shape == (gates * WIDTH, WIDTH)
    )
    blocks = np.asarray(weight).reshape(gates, WIDTH, WIDTH)
    np.testing.assert_allclose(blocks @ blocks.swapaxes(1, 2), np.tile(np.eye(WIDTH), (gates, 1, 1)), atol=1e-6)
    assert len({block.tobytes() for block in blocks}) == gates


def test_unknown_cell_is_named():
    unchecked = inspect.unwrap(make_cell)  # the tests' type checker would refuse the name first
    with pytest.raises(InvalidArgument, match="rnn"):
        unchecked("rnn", NUM_FEATURES, WIDTH, key=jax.random.key(0))
