"""Recurrent cores."""

import abc
from typing import Generic, Literal, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.errors import unknown

HiddenT = TypeVar("HiddenT")
CellName = Literal["gru", "lstm"]


class AbstractCell(eqx.Module, Generic[HiddenT]):
    """One recurrent layer.

    The parameters are Equinox's; the step is written here, with row-vector products: mapped over streams they are
    well-shaped matrix products, with no transposed copy of their result.
    """

    @abc.abstractmethod
    def initial(self) -> HiddenT:
        """The hidden state before any input."""

    @abc.abstractmethod
    def advance(self, hidden: HiddenT, x: Float[Array, " F"]) -> HiddenT:
        """The hidden state after one more input."""

    @abc.abstractmethod
    def output(self, hidden: HiddenT) -> Float[Array, " H"]:
        """What the layer shows to the ones above."""


class GRU(AbstractCell[Float[Array, " H"]]):
    """Gated recurrent unit (Cho et al. 2014)."""

    cell: eqx.nn.GRUCell

    def initial(self) -> Float[Array, " H"]:
        return jnp.zeros(self.cell.hidden_size)

    def advance(self, hidden: Float[Array, " H"], x: Float[Array, " F"]) -> Float[Array, " H"]:
        x_reset, x_update, x_new = jnp.split(x @ self.cell.weight_ih.T + _array(self.cell.bias), 3)
        h_reset, h_update, h_new = jnp.split(hidden @ self.cell.weight_hh.T, 3)
        reset = jax.nn.sigmoid(x_reset + h_reset)
        update = jax.nn.sigmoid(x_update + h_update)
        new = jnp.tanh(x_new + reset * (h_new + _array(self.cell.bias_n)))
        return new + update * (hidden - new)

    def output(self, hidden: Float[Array, " H"]) -> Float[Array, " H"]:
        return hidden


class LSTM(AbstractCell[tuple[Array, Array]]):
    """Long short-term memory (Hochreiter and Schmidhuber 1997)."""

    cell: eqx.nn.LSTMCell

    def initial(self) -> tuple[Array, Array]:
        return jnp.zeros(self.cell.hidden_size), jnp.zeros(self.cell.hidden_size)

    def advance(self, hidden: tuple[Array, Array], x: Float[Array, " F"]) -> tuple[Array, Array]:
        h, c = hidden
        i, f, g, o = jnp.split(x @ self.cell.weight_ih.T + h @ self.cell.weight_hh.T + _array(self.cell.bias), 4)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(c), c

    def output(self, hidden: tuple[Array, Array]) -> Float[Array, " H"]:
        return hidden[0]


def _array(bias: Array | None) -> Array:
    """Equinox types a bias as optional; these cells always have theirs."""
    assert bias is not None
    return bias


def make_cell(name: CellName, num_features: int, width: int, *, key: Key[Array, ""]) -> AbstractCell:
    """A `GRU` or an `LSTM` of ``width`` units with orthogonal recurrent weights."""
    k_cell, k_orthogonal = jax.random.split(key)
    if name == "gru":
        cell = GRU(eqx.nn.GRUCell(num_features, width, key=k_cell))
    elif name == "lstm":
        cell = LSTM(eqx.nn.LSTMCell(num_features, width, key=k_cell))
    else:
        raise unknown("recurrent cell", name, ("gru", "lstm"))
    gates = cell.cell.weight_hh.shape[0] // width
    orthogonal = jax.nn.initializers.orthogonal()
    weight = jnp.concatenate(
        [orthogonal(k, (width, width), jnp.float32) for k in jax.random.split(k_orthogonal, gates)]
    )
    return eqx.tree_at(lambda c: c.cell.weight_hh, cell, weight)


def unroll(
    cell: AbstractCell[HiddenT], hidden: HiddenT, xs: Float[Array, "T F"], *, remat: bool = False
) -> Float[Array, "T H"]:
    """Outputs of ``cell`` over a sequence, from ``hidden`` on.

    Args:
        cell: the recurrent layer.
        hidden: its state before the first input.
        xs: inputs.
        remat: recompute gate activations in the backward pass instead of storing them (memory for time).
    """

    def step(hidden: HiddenT, x: Float[Array, " F"]) -> tuple[HiddenT, Float[Array, " H"]]:
        hidden = cell.advance(hidden, x)
        return hidden, cell.output(hidden)

    _, outputs = jax.lax.scan(jax.checkpoint(step) if remat else step, hidden, xs)
    return outputs
