"""Value iteration against hand-worked numbers and against every policy there is."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from quickstudy.planning.dynamic_programming import TabularMDP, value_iteration


def _random_mdp(seed: int, num_states: int, num_actions: int) -> TabularMDP:
    rng = np.random.default_rng(seed)
    transition = rng.dirichlet(np.ones(num_states), size=(num_states, num_actions))
    return TabularMDP(
        jnp.asarray(transition, jnp.float32), jnp.asarray(rng.normal(size=(num_states, num_actions)), jnp.float32)
    )


def test_two_states_by_hand():
    # In state 0: stay for 1, or move for 0 to state 1, where staying pays 3 and going back pays nothing.
    transition = jnp.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]])
    mdp = TabularMDP(transition, jnp.array([[1.0, 0.0], [3.0, 0.0]]))
    q = value_iteration(mdp, 3)
    np.testing.assert_allclose(q[2], [[1.0, 0.0], [3.0, 0.0]])
    np.testing.assert_allclose(q[1], [[2.0, 3.0], [6.0, 1.0]])
    np.testing.assert_allclose(q[0], [[4.0, 6.0], [9.0, 3.0]])


def test_chance_moves_are_averaged():
    transition = jnp.array([[[0.25, 0.75]], [[0.0, 1.0]]])
    q = value_iteration(TabularMDP(transition, jnp.array([[1.0], [4.0]])), 2)
    np.testing.assert_allclose(q[0], [[1.0 + 0.25 * 1.0 + 0.75 * 4.0], [8.0]])


def test_no_policy_is_better_and_one_is_as_good():
    mdp = _random_mdp(0, 2, 2)
    horizon = 3
    transition, reward = np.asarray(mdp.transition, float), np.asarray(mdp.reward, float)

    def value(policy):
        v = np.zeros(2)
        for actions in reversed(policy):
            v = np.array([reward[s, a] + transition[s, a] @ v for s, a in enumerate(actions)])
        return v

    decisions = list(itertools.product(range(2), repeat=2))
    values = np.array([value(policy) for policy in itertools.product(decisions, repeat=horizon)])
    assert len(values) == 4**horizon
    np.testing.assert_allclose(value_iteration(mdp, horizon)[0].max(-1), values.max(0), rtol=1e-5)


def test_maps_over_tasks():
    mdps = [_random_mdp(seed, 4, 3) for seed in range(5)]
    batch = jax.tree.map(lambda *xs: jnp.stack(xs), *mdps)
    q = jax.jit(jax.vmap(lambda mdp: value_iteration(mdp, 6)))(batch)
    assert q.shape == (5, 6, 4, 3)
    for one, mdp in zip(q, mdps, strict=True):
        np.testing.assert_allclose(one, value_iteration(mdp, 6), rtol=1e-6)
