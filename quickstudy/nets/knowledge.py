"""The meta-knowledge network: what action values of tasks have in common, and how they can differ."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.nets.action_terms import AbstractActionTerms
from quickstudy.nets.init import orthogonal_linear


class Knowledge(eqx.Module):
    """What is known of an observation before the task is: for every term of an action, its coefficient in q_K and ψ.

    With discrete actions the terms are the actions, and a coefficient is the value of one.

    Attributes:
        value: those of q_K, the average over tasks.
        features: those of ψ: a task's own coefficients are ``value + features @ head``.
    """

    value: Float[Array, "*axes A"]
    features: Float[Array, "*axes A D"]

    def action_values(self, head: Float[Array, " D"]) -> Float[Array, "*axes A"]:
        """The coefficients of Q(s, ·) in the task whose inner network is ``head``."""
        return self.value + self.features @ head

    def at(self, terms: Float[Array, "*axes A"]) -> tuple[Float[Array, "*axes"], Float[Array, "*axes D"]]:
        """q_K and ψ of one action for each observation, given by its terms."""
        return jnp.sum(self.value * terms, axis=-1), jnp.einsum("...a,...ad->...d", terms, self.features)


class MetaKnowledge(eqx.Module):
    """An encoder, ``x = tanh(W_e s + b_e)``, and the block ``k(x) = W_o relu(W_h x + b_h) + W_l x + b_l``.

    The part of the output that is q_K starts at 0, ψ at random; the encoder's biases too, so that an observation of
    zeros has features.
    """

    encoder: eqx.nn.Linear
    hidden: eqx.nn.Linear
    output: eqx.nn.Linear
    linear: eqx.nn.Linear
    actions: AbstractActionTerms
    num_inputs: int = eqx.field(static=True)
    num_features: int = eqx.field(static=True)

    def __init__(
        self, num_inputs: int, actions: AbstractActionTerms, *, width: int, num_features: int, key: Key[Array, ""]
    ):
        k_encoder, k_hidden, k_output, k_linear = jax.random.split(key, 4)
        num_out = actions.num_terms * (num_features + 1)
        scale = math.sqrt(actions.num_terms / 2)
        self.encoder = eqx.nn.Linear(num_inputs, width, key=k_encoder)
        self.hidden = orthogonal_linear(width, width, scale=math.sqrt(2), key=k_hidden)
        self.output = _silent(orthogonal_linear(width, num_out, scale=scale, key=k_output), actions.num_terms)
        self.linear = _silent(orthogonal_linear(width, num_out, scale=scale, key=k_linear), actions.num_terms)
        self.actions, self.num_inputs, self.num_features = actions, num_inputs, num_features

    def __call__(self, obs: Float[Array, " F"]) -> Knowledge:
        x = jax.nn.tanh(self.encoder(obs))
        out = self.output(jax.nn.relu(self.hidden(x))) + self.linear(x)
        num_terms = self.actions.num_terms
        value, features = out[:num_terms], out[num_terms:]
        return Knowledge(value, features.reshape(num_terms, -1) / math.sqrt(self.num_features))


def _silent(layer: eqx.nn.Linear, num_terms: int) -> eqx.nn.Linear:
    """``layer`` with the outputs of q_K at 0."""
    return eqx.tree_at(lambda layer: layer.weight, layer, layer.weight.at[:num_terms].set(0.0))
