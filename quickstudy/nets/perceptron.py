"""Layers of relu units between an input and a linear output."""

import math

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key

from quickstudy.nets.init import orthogonal_linear


class Perceptron(eqx.Module):
    """``depth`` hidden layers of ``width`` relu units, then a linear one whose weights begin small.

    With ``random_biases`` weights and biases begin as PyTorch's do, for values that are large where an observation may
    be small: with biases of 0, what the layers say of small observations is small, and Adam moves it by a step size a
    step.
    """

    layers: tuple[eqx.nn.Linear, ...]

    def __init__(
        self, num_in: int, num_out: int, *, width: int, depth: int, random_biases: bool = False, key: Key[Array, ""]
    ):
        sizes, keys = (num_in, *[width] * depth, num_out), jax.random.split(key, depth + 1)
        if random_biases:
            self.layers = tuple(eqx.nn.Linear(n, m, key=k) for n, m, k in zip(sizes, sizes[1:], keys, strict=False))
            return
        scales = (*[math.sqrt(2)] * depth, 0.01)
        self.layers = tuple(
            orthogonal_linear(n, m, scale=scale, key=k)
            for n, m, scale, k in zip(sizes, sizes[1:], scales, keys, strict=False)
        )

    def __call__(self, x: Float[Array, " F"]) -> Float[Array, " out"]:
        for layer in self.layers[:-1]:
            x = jax.nn.relu(layer(x))
        return self.layers[-1](x)

    @property
    def num_inputs(self) -> int:
        """Numbers that it reads."""
        return self.layers[0].weight.shape[1]
