"""The optimiser of methods that learn from stored trials."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from quickstudy.algorithms.fitting import annealed_muon


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
