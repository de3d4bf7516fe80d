import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg

from quickstudy.planning.linear_quadratic import regulator, riccati


def test_riccati_agrees_with_scipy():
    rng = np.random.default_rng(0)
    for _ in range(5):
        A, B = np.eye(4) + 0.2 * rng.normal(size=(4, 4)), rng.normal(size=(4, 2))
        Q, R = np.diag(rng.uniform(0.1, 1, 4)), np.diag(rng.uniform(0.1, 1, 2))
        found = riccati(*(jnp.asarray(x, jnp.float32) for x in (A, B, Q, R)))
        np.testing.assert_allclose(found, scipy.linalg.solve_discrete_are(A, B, Q, R), rtol=1e-3, atol=1e-3)


def test_the_scalar_regulator_by_hand():
    """``x' = sin x + u`` with unit costs: P = 1 + P / (1 + P) has the golden ratio as its root, and K = P / (1 + P)."""
    golden = (1 + 5**0.5) / 2
    gain, value = jax.jit(lambda: regulator(lambda x, u: jnp.sin(x) + u, jnp.ones(1), jnp.ones(1)))()
    np.testing.assert_allclose(value, [[golden]], rtol=1e-5)
    np.testing.assert_allclose(gain, [[golden / (1 + golden)]], rtol=1e-5)
