"""Action values of one observation."""

import math

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key

from quickstudy.nets.init import orthogonal_linear


class QNetwork(eqx.Module):
    """Layers of relu units, then Q(s, ·); with ``dueling``, a value and advantages of mean 0 that are added to it.

    Source of the second form: Wang et al. 2016, arXiv:1511.06581.
    """

    hidden: tuple[eqx.nn.Linear, ...]
    advantage: eqx.nn.Linear
    value: eqx.nn.Linear | None
    num_inputs: int = eqx.field(static=True)

    def __init__(
        self, num_inputs: int, num_actions: int, *, width: int, depth: int, dueling: bool, key: Key[Array, ""]
    ):
        k_advantage, k_value, *keys = jax.random.split(key, 2 + depth)
        sizes = (num_inputs, *[width] * depth)
        self.hidden = tuple(
            orthogonal_linear(n, m, scale=math.sqrt(2), key=k) for n, m, k in zip(sizes, sizes[1:], keys, strict=False)
        )
        self.advantage = orthogonal_linear(sizes[-1], num_actions, scale=0.01, key=k_advantage)
        self.value = orthogonal_linear(sizes[-1], 1, scale=0.01, key=k_value) if dueling else None
        self.num_inputs = num_inputs

    def __call__(self, obs: Float[Array, " F"]) -> Float[Array, " A"]:
        x = obs
        for layer in self.hidden:
            x = jax.nn.relu(layer(x))
        advantage = self.advantage(x)
        return advantage if self.value is None else self.value(x) + advantage - advantage.mean()
