"""What every test runs under: checked annotations, no silent broadcasting, several devices."""

import jax
import pytest
from jaxtyping import install_import_hook

# Two devices whatever the machine has, so that the sharded paths run everywhere.
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")

# From here on every annotation of the package is checked when its function is called.
install_import_hook("quickstudy", "beartype.beartype")


@pytest.fixture(scope="module", autouse=True)
def _forget_programs():
    """Frees the programs that a module has compiled, so that a long session stays small."""
    yield
    jax.clear_caches()
