"""Action values of one observation."""

import equinox as eqx
from jaxtyping import Array, Float, Key

from quickstudy.nets.perceptron import Perceptron


class QNetwork(eqx.Module):
    """Q(s, ·) by a perceptron; with ``dueling``, a value and advantages of mean 0 that are added to it.

    Source of the second form: Wang et al. 2016, arXiv:1511.06581.
    """

    perceptron: Perceptron
    dueling: bool = eqx.field(static=True)

    def __init__(
        self, num_inputs: int, num_actions: int, *, width: int, depth: int, dueling: bool, key: Key[Array, ""]
    ):
        self.perceptron = Perceptron(
            num_inputs, num_actions + dueling, width=width, depth=depth, random_biases=True, key=key
        )
        self.dueling = dueling

    def __call__(self, obs: Float[Array, " F"]) -> Float[Array, " A"]:
        out = self.perceptron(obs)
        if not self.dueling:
            return out
        value, advantage = out[0], out[1:]
        return value + advantage - advantage.mean()
