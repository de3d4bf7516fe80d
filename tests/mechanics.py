"""Equations of motion from energies alone: an oracle for dynamics that were written out by hand."""

import jax
import jax.numpy as jnp


def euler_lagrange(kinetic, potential, forces, q, v):
    """Accelerations of ``d/dt ∂L/∂v − ∂L/∂q = forces`` with ``L = kinetic(q, v) − potential(q)``."""
    lagrangian = lambda q, v: kinetic(q, v) - potential(q)
    inertia = jax.hessian(lagrangian, argnums=1)(q, v)
    mixed = jax.jacfwd(jax.grad(lagrangian, argnums=1), argnums=0)(q, v)
    return jnp.linalg.solve(inertia, forces + jax.grad(lagrangian)(q, v) - mixed @ v)
