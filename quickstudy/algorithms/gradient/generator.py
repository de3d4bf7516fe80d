"""The meta-policy network: from a task's transitions so far to a change of the inner policy's parameters."""

import equinox as eqx
from jaxtyping import Array, Key, PyTree

from quickstudy.nets.encoder import Evidence, SetEncoder
from quickstudy.nets.hyper import LinearHypernetwork
from quickstudy.nets.task_policy import TaskPolicy
from quickstudy.types import Spec


class PolicyGenerator(eqx.Module):
    """An order-free encoder and a hypernetwork that starts at no change, whatever the code."""

    encoder: SetEncoder
    hypernetwork: LinearHypernetwork

    def __init__(self, spec: Spec, policy: TaskPolicy, *, width: int, code_size: int, key: Key[Array, ""]):
        self.encoder = SetEncoder(spec, width=width, code_size=code_size, key=key)
        self.hypernetwork = LinearHypernetwork(policy, code_size)

    def prior(self) -> PyTree:
        """The change of every parameter before any evidence, a pytree like the policy."""
        return self.hypernetwork(self.encoder.prior)

    def change(self, before: Evidence, after: Evidence) -> PyTree:
        """By how much more evidence changes every parameter."""
        return self.hypernetwork(self.encoder.code(after) - self.encoder.code(before))
