"""Trains every method of the table on all devices, and stores what comes out: ``train_on_devices.py FILE``.

A program of its own, because the number of devices is settled when JAX starts.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from algorithms_table import METHODS
from toys import arrays_of

from quickstudy.collect.graph import GraphCollector
from quickstudy.train import meta_train


def trained(method) -> list[np.ndarray]:
    """What two meta-updates on eight tasks lead to: the state's arrays, then the metrics."""
    family = method.families[0]
    metrics = []
    state = meta_train(
        method.build(family),
        GraphCollector(family.env),
        family.tasks("train"),
        method.budgets(family).train,
        num_steps=2,
        num_tasks=8,
        key=jax.random.key(0),
        on_step=lambda step, state, values: metrics.append(values),
    )
    return [np.asarray(x) for x in [*arrays_of(state), *arrays_of(jax.tree.map(jnp.asarray, metrics))]]


arrays = {f"{method.name} {i}": x for method in METHODS for i, x in enumerate(trained(method))}
np.savez(sys.argv[1], num_devices=jax.device_count(), **arrays)
