"""The optimiser of methods that learn from stored trials."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax

from quickstudy.algorithms.fitting import annealed_muon, descend_by


def _moved(learned, grads, num_steps=1):
    """What one step of a few moves, with step size 1."""
    optimizer = annealed_muon(1.0, num_steps)
    return optimizer.update(grads, optimizer.init(learned), learned)[0]


def test_matrices_move_along_orthogonal_matrices_and_biases_by_adam():
    layer = eqx.nn.Linear(6, 4, key=jax.random.key(0))
    moved = _moved(layer, jax.tree.map(lambda x: 0.1 * x, layer))
    np.testing.assert_allclose(np.linalg.svd(moved.weight)[1], 0.2 * np.sqrt(6), rtol=0.35)  # Muon's are near 1
    np.testing.assert_allclose(np.abs(moved.bias), np.abs(moved.bias).max(), rtol=1e-3)


def test_members_of_an_ensemble_move_on_their_own():
    layers = eqx.filter_vmap(lambda k: eqx.nn.Linear(6, 4, key=k))(jax.random.split(jax.random.key(0), 3))
    one = jax.tree.map(lambda x: x[0], layers)
    together = _moved(layers, jax.tree.map(lambda x: 0.01 * x, layers))
    alone = _moved(one, jax.tree.map(lambda x: 0.01 * x, one))
    np.testing.assert_allclose(together.weight[0], alone.weight, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(together.bias[0], alone.bias, rtol=1e-3)


def test_the_step_size_falls_to_a_hundredth():
    layer = {"numbers": jnp.ones(3)}
    optimizer = annealed_muon(1.0, 10)
    state, sizes = optimizer.init(layer), []
    for _ in range(11):
        moved, state = optimizer.update(layer, state, layer)
        sizes.append(-float(moved["numbers"][0]))
    np.testing.assert_allclose(sizes[10], 0.01, rtol=0.02)
    assert sizes == sorted(sizes, reverse=True)


def _descended(bad):
    """Plain descent on half a square, where ``bad`` says which keys have a loss without a number."""

    def loss(x, key):
        value = 0.5 * jnp.square(x) * jnp.where(bad(key), jnp.nan, 1.0)
        return value, {"seen": value}

    optimizer = optax.sgd(0.5, momentum=0.9)
    return descend_by(optimizer, jnp.ones(()), optimizer.init(jnp.ones(())), loss, num_steps=6, key=jax.random.key(0))


def test_a_step_whose_gradient_is_not_finite_is_not_taken():
    third = jax.random.split(jax.random.key(0), 6)[2]
    is_third = lambda key: jnp.all(jax.random.key_data(key) == jax.random.key_data(third))
    found, state, info = _descended(is_third)
    x, velocity, losses = 1.0, 0.0, []
    for _ in range(5):
        losses.append(0.5 * x**2)
        velocity = 0.9 * velocity + x
        x -= 0.5 * velocity
    np.testing.assert_allclose(found, x, rtol=1e-5)
    np.testing.assert_allclose(jax.tree.leaves(state)[0], velocity, rtol=1e-5)
    np.testing.assert_allclose(info["loss"], np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(info["seen"], np.mean(losses), rtol=1e-5)
    np.testing.assert_allclose(info["dropped_steps"], 1 / 6, rtol=1e-5)


def test_training_without_a_single_finite_gradient_has_no_loss():
    found, _, info = _descended(lambda _: True)
    assert float(found) == 1
    assert np.isnan(info["loss"])
    assert float(info["dropped_steps"]) == 1
