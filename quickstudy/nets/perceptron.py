"""Layers of relu units between an input and a linear output."""

import math

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key

from quickstudy.nets.init import orthogonal_linear


class Perceptron(eqx.Module):
    """``depth`` hidden layers of ``width`` relu units, then a linear one whose weights begin small."""

    layers: tuple[eqx.nn.Linear, ...]

    def __init__(self, num_in: int, num_out: int, *, width: int, depth: int, key: Key[Array, ""]):
        *keys, k_out = jax.random.split(key, depth + 1)
        sizes = (num_in, *[width] * depth)
        hidden = [
            orthogonal_linear(n, m, scale=math.sqrt(2), key=k) for n, m, k in zip(sizes, sizes[1:], keys, strict=False)
        ]
        self.layers = (*hidden, orthogonal_linear(sizes[-1], num_out, scale=0.01, key=k_out))

    @classmethod
    def for_values(cls, num_in: int, num_out: int, *, width: int, depth: int, key: Key[Array, ""]) -> "Perceptron":
        """One for values, which are large where an observation may be small: biases begin at random as well.

        With biases of 0, what the layers say of small observations is small, and Adam moves it by a step size a step.
        """
        sizes = (num_in, *[width] * depth, num_out)
        keys = jax.random.split(key, depth + 1)
        layers = tuple(eqx.nn.Linear(n, m, key=k) for n, m, k in zip(sizes, sizes[1:], keys, strict=False))
        fresh = cls(num_in, num_out, width=width, depth=depth, key=key)
        return eqx.tree_at(lambda perceptron: perceptron.layers, fresh, layers)

    def __call__(self, x: Float[Array, " F"]) -> Float[Array, " out"]:
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
        return self.layers[-1](x)

    @property
    def num_inputs(self) -> int:
        """Numbers that it reads."""
        return self.layers[0].weight.shape[1]
