"""Running a yardstick in many tasks at once."""

import jax
import numpy as np


def totals(yardstick, tasks, *, seed: int = 0) -> np.ndarray:
    """Total return of one trial in each task, ``[K]``."""
    keys = jax.random.split(jax.random.key(seed), jax.tree.leaves(tasks)[0].shape[0])
    # These programs run for seconds: compiled with few optimisations they are ready in half the time.
    options = {"xla_backend_optimization_level": 1}
    run = jax.jit(jax.vmap(lambda task, k: yardstick.returns(task, key=k).sum()), compiler_options=options)
    return np.asarray(run(tasks, keys), np.float64)


def yardstick(family, name: str):
    """The one of that name."""
    return next(y for y in family.yardsticks() if y.name == name)


def standard_error(samples: np.ndarray) -> float:
    """Of the mean of independent samples."""
    return samples.std(ddof=1) / np.sqrt(len(samples))
