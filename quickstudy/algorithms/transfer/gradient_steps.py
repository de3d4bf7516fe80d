"""MKTN's inner network by gradient: TD steps with meta-learned step sizes, instead of a posterior in closed form.

On all remembered transitions, with the head φ̄ before the block as the target network, from φ = φ̄::

    φ ← φ − α ⊙ ∇_φ ½ (mean (q_K(s, a) + φ·ψ(s, a) − r − γ Q_φ̄(s', a*))²  +  g σ²/n (φ − w_0)ᵀ Λ (φ − w_0))

α is learned so that the steps on the first transitions of a task foresee what hindsight says of all of them; in the
unit of 1 / mean ‖ψ‖², in which steps below 2 cannot diverge, it is 2 sigmoid(`step_logit`). The pull of the knowledge,
by the weight g, fades with the number n of transitions.

The agent follows draws of the prior that take the same steps (randomised prior functions, Osband et al. 2018,
arXiv:1806.03335). The steps are affine in φ, so that mean and root of N(w_0, Λ⁻¹) take them for all draws at once.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.algorithms.transfer.parts import Head, InnerNetwork, Known, TransferParams, known_of, prior_head
from quickstudy.types import Transitions


def descend(params: TransferParams, inner: InnerNetwork, data: Transitions, known: Known, head: Head) -> Head:
    """Some TD steps from ``head``, on the transitions whose ``weight`` is 1."""
    if not inner.head:
        return head
    start, prior = (jnp.concatenate([h.mean[:, None], h.root], axis=1) for h in (head, prior_head(params, inner)))
    heads = td_steps(params, inner, data, known, start, prior)
    return Head(heads[:, 0], heads[:, 1:])


def td_steps(
    params: TransferParams,
    inner: InnerNetwork,
    data: Transitions,
    known: Known,
    start: Float[Array, "D columns"],
    prior: Float[Array, "D columns"],
) -> Float[Array, "D columns"]:
    """The steps of many heads at once, each pulled to its column of ``prior``.

    Column 0 is the mean; the others are deviations from it, for which rewards and q_K are nothing.
    """
    assert params.step_logit is not None
    count = jnp.maximum(data.weight.sum(), 1.0)
    discount = inner.gamma * data.discount
    best = jax.vmap(params.knowledge.actions.best_terms)(known.following.action_values(start[:, 0]))
    value, features = known.following.at(best)
    targets = discount[:, None] * (features @ start)
    targets = targets.at[:, 0].add(data.reward - known.value + discount * value)
    pull = (inner.guidance * inner.noise**2 / count) * jnp.exp(params.log_precision)
    share = data.weight / count
    rate = 2.0 * jax.nn.sigmoid(params.step_logit) / (share @ jnp.sum(jnp.square(known.features), axis=-1) + pull.max())

    def step(_: Any, heads: Float[Array, "D columns"]) -> Float[Array, "D columns"]:
        error = (known.features @ heads - targets) * share[:, None]
        return heads - rate[:, None] * (known.features.T @ error + pull[:, None] * (heads - prior))

    return jax.lax.fori_loop(0, inner.num_steps, step, start)


def foresight_loss(
    params: TransferParams, inner: InnerNetwork, data: Transitions, target: Float[Array, " C"], *, key: Key[Array, ""]
) -> Float[Array, ""]:
    """How far the steps on the first transitions of a task, a random number of them, miss the targets of all."""
    seen = jnp.cumsum(data.weight) <= jax.random.uniform(key) * data.weight.sum()
    known, prior = known_of(params.knowledge, data), prior_head(params, inner).mean[:, None]
    head = prior
    for _ in range(inner.num_sweeps):
        head = td_steps(params, inner, data._replace(weight=data.weight * seen), known, head, prior)
    error = known.value + known.features @ head[:, 0] - target
    return jnp.sum(data.weight * jnp.square(error)) / jnp.maximum(data.weight.sum(), 1.0)
