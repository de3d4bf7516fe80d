"""What every test runs under: checked annotations, no silent broadcasting, several devices."""

import jax
from jaxtyping import install_import_hook

# Two devices whatever the machine has, so that the sharded paths run everywhere.
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")

# From here on every annotation of the package is checked when its function is called.
install_import_hook("quickstudy", "beartype.beartype")
