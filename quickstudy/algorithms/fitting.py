"""Steps of an optimiser within one meta-update, as methods take them that learn from stored trials."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree
from optax.contrib import MuonDimensionNumbers, muon

from quickstudy.types import Info


def annealed_adam(learning_rate: float, num_steps: int) -> optax.GradientTransformation:
    """Adam on gradients cut to length 1, whose step size falls linearly to a tenth over ``num_steps``."""
    rate = optax.linear_schedule(learning_rate, learning_rate / 10, num_steps)
    return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))


def annealed_muon(learning_rate: float, num_steps: int) -> optax.GradientTransformation:
    """Muon (Jordan et al. 2024) on gradients cut to length 1, whose step size falls linearly to a hundredth.

    Every matrix moves by its momentum's nearest orthogonal matrix, as far as Adam would move it (Liu et al. 2025,
    arXiv:2502.16982); everything else by Adam with Nesterov's momentum. An array whose name is not ``bias`` is a
    matrix in its last two axes, and what comes before them counts members of an ensemble.
    """
    rate = optax.linear_schedule(learning_rate, learning_rate / 100, num_steps)
    step = muon(rate, muon_weight_dimension_numbers=_matrices, consistent_rms=0.2)
    return optax.chain(optax.clip_by_global_norm(1.0), step)


def _matrices(learned: PyTree) -> PyTree:
    def one(path: tuple, x: Array) -> MuonDimensionNumbers | None:
        of_one_axis = x.ndim < 2 or path[-1] == jax.tree_util.GetAttrKey("bias")
        return None if of_one_axis else MuonDimensionNumbers(x.ndim - 1, x.ndim - 2)

    return jax.tree_util.tree_map_with_path(one, learned)


def descend_by(
    optimizer: optax.GradientTransformation,
    learned: PyTree,
    opt_state: PyTree,
    loss: Callable[[PyTree, Key[Array, ""]], tuple[Float[Array, ""], Info]],
    *,
    num_steps: int,
    key: Key[Array, ""],
) -> tuple[PyTree, PyTree, Info]:
    """Steps of ``optimizer`` on ``loss``, which gets ``learned`` and a key of its own at each.

    A step whose gradient is not finite is not taken: a batch in many thousands, in a training that is sound otherwise.

    Returns:
        ``learned`` and the optimiser's state after them, and means over the steps that were taken (not a number if
        none was): of what the loss reports, of the loss itself, and of the gradient's norm; ``dropped_steps``, the
        share of the others.
    """
    arrays, static = eqx.partition(learned, eqx.is_inexact_array)

    def step(carry: tuple[PyTree, PyTree], key: Key[Array, ""]) -> tuple[tuple[PyTree, PyTree], tuple[Array, Info]]:
        arrays, opt_state = carry
        of_arrays = lambda arrays: loss(eqx.combine(arrays, static), key)
        (value, info), grads = jax.value_and_grad(of_arrays, has_aux=True)(arrays)
        norm = optax.tree.norm(grads)
        updates, new_state = optimizer.update(grads, opt_state, arrays)
        finite, after = jnp.isfinite(norm), (eqx.apply_updates(arrays, updates), new_state)
        carry = jax.tree.map(lambda new, old: jnp.where(finite, new, old), after, carry)
        return carry, (finite, info | {"loss": value, "gradient_norm": norm})

    keys = jax.random.split(key, num_steps)
    (arrays, opt_state), (finite, info) = jax.lax.scan(step, (arrays, opt_state), keys)
    info = {name: jnp.mean(x, where=finite) for name, x in info.items()}
    return eqx.combine(arrays, static), opt_state, info | {"dropped_steps": jnp.mean(~finite)}
