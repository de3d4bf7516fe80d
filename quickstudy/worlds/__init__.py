"""Task families over environments of other libraries, which come as extras. No JAX in here: workers import it.

Each is a `quickstudy.host.world.World`, as a user would write one.
"""
