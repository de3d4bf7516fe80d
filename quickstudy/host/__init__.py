"""Where a user's environment runs: in this process or in workers. Nothing here imports JAX except `family`."""
