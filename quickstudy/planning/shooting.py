"""Planning by shooting: draw action sequences, score them in a model, move to what scored well, act, shift, repeat.

Random shooting, the cross-entropy method (CEM; as in PETS, Chua et al. 2018, arXiv:1805.12114) and model predictive
path integrals (MPPI; Williams et al. 2017) are one loop and differ in the weight of a candidate in the next proposal::

    shooting   all weight on the best; candidates are uniform
    CEM        the same weight on the best `num_elites`; mean and spread are refitted
    MPPI       w ∝ exp((J − max J) / (temperature · std J)); the mean is refitted, the spread stays

A model is any pure function ``(state, action) -> (next state, reward, continue)``, where ``continue`` is the
probability that the task goes on, and a score any function of one candidate, such as `plan_return` in a model.

Differs from the papers:

1. MPPI's temperature is in units of the scores' standard deviation: one value serves families of any scale of reward.
2. The proposal so far is always one of the candidates, so that a good plan is not lost to noise (iCEM, Pinneri et al.
   2020, arXiv:2008.06389), and MPPI's noise may be correlated in time (Nagabandi et al. 2020, arXiv:1909.11652).
3. Candidates of discrete actions are drawn from a probability for every step and action, refitted by the same weights.
4. A candidate whose score is not finite is discarded. Where all are, the action is uniform: see `Planned.failed`.
"""

import abc
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from quickstudy.errors import InvalidArgument, require_counts, require_within, unknown
from quickstudy.ops.random_action import random_action
from quickstudy.types import Action

Rule = Literal["shooting", "cem", "mppi"]
RULES = ("shooting", "cem", "mppi")
Model = Callable[[Any, Action], tuple[Any, Float[Array, ""], Float[Array, ""]]]
Score = Callable[[Array], Float[Array, ""]]
SMALLEST_SPREAD = 0.05
"""CEM never draws closer around its mean than this, in units of actions: it must be able to move on."""


class Planner(eqx.Module):
    """Hyperparameters of planning."""

    rule: Rule = "mppi"
    """How candidates weigh: `shooting`, `cem` or `mppi`."""
    horizon: int = 12
    """H, steps of a plan."""
    num_candidates: int = 64
    """Plans that are scored in an iteration."""
    num_iterations: int = 2
    """Times that candidates are drawn and the proposal is refitted, for every action."""
    gamma: float = 0.99
    """Discount within a plan."""
    spread: float = 0.5
    """Standard deviation of candidates around the proposal; of discrete actions, the share that is uniform."""
    correlation: float = 0.0
    """Of the noise of one step with that of the step before: above 0, candidates are smooth."""
    temperature: float = 0.1
    """MPPI: in units of the scores' standard deviation; towards 0 the best candidate takes all."""
    num_elites: int = 8
    """CEM: candidates that the proposal is refitted to."""

    def __check_init__(self):
        require_counts(self, "horizon", "num_candidates", "num_iterations", "num_elites", prefix="planner.")
        require_within("[0, 1]", self, "gamma", prefix="planner.")
        require_within("(0, 1]", self, "spread", prefix="planner.")
        require_within("[0, 1)", self, "correlation", prefix="planner.")
        require_within("(0, inf)", self, "temperature", prefix="planner.")
        if self.rule not in RULES:
            raise unknown("planner.rule", self.rule, RULES)
        if self.num_elites > self.num_candidates:
            raise InvalidArgument(
                f"planner.num_elites={self.num_elites} is more than planner.num_candidates={self.num_candidates}: "
                "lower it"
            )

    def proposal(self, num_actions: int | None, action_shape: tuple[int, ...]) -> "AbstractProposal":
        """What candidates are drawn from before anything was planned; the arguments are as in a `Spec`."""
        if num_actions is not None:
            return CategoricalProposal(jnp.full((self.horizon, num_actions), 1 / num_actions))
        mean = jnp.zeros((self.horizon, *action_shape))
        return GaussianProposal(mean, jnp.full_like(mean, self.spread))


class AbstractProposal(eqx.Module):
    """What candidate plans are drawn from, and what is kept of them for the next step."""

    @abc.abstractmethod
    def sample(self, planner: Planner, *, key: Key[Array, ""]) -> Array:
        """Candidates, ``[N, H, ...]``; the first is the proposal itself."""

    @abc.abstractmethod
    def refit(self, planner: Planner, plans: Array, weights: Float[Array, " N"]) -> "AbstractProposal":
        """The proposal that fits candidates with these ``weights``, which add up to 1."""

    @abc.abstractmethod
    def shifted(self, planner: Planner) -> "AbstractProposal":
        """The proposal one step later: what the next plan starts from."""

    @property
    @abc.abstractmethod
    def action(self) -> Action:
        """The action that it proposes now."""

    @abc.abstractmethod
    def random_action(self, *, key: Key[Array, ""]) -> Action:
        """A uniform action."""


class GaussianProposal(AbstractProposal):
    """Continuous actions in [-1, 1]: a normal distribution for every step."""

    mean: Float[Array, "H *A"]
    std: Float[Array, "H *A"]

    def sample(self, planner: Planner, *, key: Key[Array, ""]) -> Float[Array, "N H *A"]:
        shape = (planner.num_candidates, *self.mean.shape)
        if planner.rule == "shooting":
            plans = jax.random.uniform(key, shape, minval=-1.0)
        else:
            noise = jnp.moveaxis(jax.random.normal(key, shape), 1, 0)
            plans = self.mean[None] + self.std[None] * jnp.moveaxis(_smooth(noise, planner.correlation), 0, 1)
        return jnp.clip(plans, -1.0, 1.0).at[0].set(self.mean)

    def refit(self, planner: Planner, plans: Float[Array, "N H *A"], weights: Float[Array, " N"]) -> "GaussianProposal":
        mean = jnp.tensordot(weights, plans, 1)
        if planner.rule != "cem":
            return GaussianProposal(mean, self.std)
        variance = jnp.tensordot(weights, jnp.square(plans - mean[None]), 1)
        return GaussianProposal(mean, jnp.maximum(jnp.sqrt(variance), SMALLEST_SPREAD))

    def shifted(self, planner: Planner) -> "GaussianProposal":
        mean = jnp.concatenate([self.mean[1:], self.mean[-1:]])
        return GaussianProposal(mean, jnp.full_like(mean, planner.spread))

    @property
    def action(self) -> Float[Array, "*A"]:
        return self.mean[0]

    def random_action(self, *, key: Key[Array, ""]) -> Float[Array, "*A"]:
        return random_action(None, self.mean.shape[1:], key=key)


class CategoricalProposal(AbstractProposal):
    """Discrete actions: a probability for every step and action."""

    probabilities: Float[Array, "H A"]

    def sample(self, planner: Planner, *, key: Key[Array, ""]) -> Array:
        uniform = 1.0 if planner.rule == "shooting" else planner.spread
        mixed = (1 - uniform) * self.probabilities + uniform / self.probabilities.shape[1]
        shape = (planner.num_candidates, planner.horizon)
        plans = jax.random.categorical(key, jnp.log(mixed)[None], shape=shape)
        return plans.astype(jnp.int32).at[0].set(jnp.argmax(self.probabilities, axis=1).astype(jnp.int32))

    def refit(self, planner: Planner, plans: Array, weights: Float[Array, " N"]) -> "CategoricalProposal":
        del planner
        chosen = jax.nn.one_hot(plans, self.probabilities.shape[1])
        return CategoricalProposal(jnp.tensordot(weights, chosen, 1))

    def shifted(self, planner: Planner) -> "CategoricalProposal":
        del planner
        unknown = jnp.full_like(self.probabilities[:1], 1 / self.probabilities.shape[1])
        return CategoricalProposal(jnp.concatenate([self.probabilities[1:], unknown]))

    @property
    def action(self) -> Action:
        return jnp.argmax(self.probabilities[0]).astype(jnp.int32)

    def random_action(self, *, key: Key[Array, ""]) -> Action:
        return random_action(self.probabilities.shape[1], (), key=key)


class Planned(NamedTuple):
    """The outcome of planning.

    Attributes:
        action: what to do now.
        proposal: the plan, to be `shifted` for the next step.
        value: the best score of the last iteration; minus infinity if it had none.
        failed: whether every candidate was discarded, so that ``action`` is random.
    """

    action: Action
    proposal: AbstractProposal
    value: Float[Array, ""]
    failed: Bool[Array, ""]


def plan(score: Score, start: AbstractProposal, planner: Planner, *, key: Key[Array, ""]) -> Planned:
    """Improve ``start`` by the candidates that ``score`` likes.

    Args:
        score: of one candidate, ``[H, ...]``.
        start: what candidates are drawn from first: fresh, or the plan of the step before, shifted.
        planner: how to plan.
        key: randomness of the candidates.
    """
    k_random, *keys = jax.random.split(key, planner.num_iterations + 1)

    def iteration(proposal: AbstractProposal, key: Key[Array, ""]) -> tuple[AbstractProposal, tuple[Array, Array]]:
        plans = proposal.sample(planner, key=key)
        scores = jax.vmap(score)(plans)
        finite = jnp.isfinite(scores)
        scores = jnp.where(finite, scores, -jnp.inf)
        refitted = proposal.refit(planner, plans, candidate_weights(scores, planner))
        found = finite.any()
        return _choose(found, refitted, proposal), (found, scores.max())

    proposal, (found, best) = jax.lax.scan(iteration, start, jnp.stack(keys))
    failed = ~found.any()
    action = jnp.where(failed, proposal.random_action(key=k_random), proposal.action)
    return Planned(action, proposal, best[-1], failed)


def candidate_weights(scores: Float[Array, " N"], planner: Planner) -> Float[Array, " N"]:
    """The weight of every candidate in the next proposal; they add up to 1 unless no score is finite.

    ``scores`` are minus infinity where a candidate is discarded, and such candidates weigh nothing.
    """
    best, finite = jnp.max(scores), jnp.isfinite(scores)
    if planner.rule == "shooting":
        weights = jnp.arange(scores.shape[0]) == jnp.argmax(scores)
    elif planner.rule == "cem":
        weights = scores >= jax.lax.top_k(scores, planner.num_elites)[0][-1]
    else:
        spread = jnp.maximum(jnp.std(scores, where=finite), 1e-6)  # scores that are all the same weigh the same
        weights = jnp.exp((jnp.where(finite, scores, best) - best) / (planner.temperature * spread))
    weights = jnp.where(finite, weights, 0.0)
    return weights / jnp.maximum(weights.sum(), 1e-6)


def plan_return(
    model: Model,
    state: PyTree,
    plan: Array,
    *,
    gamma: float,
    terminal_value: Callable[[Any], Float[Array, ""]] | None = None,
) -> Float[Array, ""]:
    """``Σ_t γ^t r_t + γ^H V(s_H)`` of a plan ``[H, ...]`` in a model, each term times the chance to get there.

    Args:
        model: what the plan is tried in.
        state: where it begins.
        plan: the actions.
        gamma: the discount.
        terminal_value: V; None for 0.
    """

    def step(carry: tuple[PyTree, Array], action: Action) -> tuple[tuple[PyTree, Array], Array]:
        state, weight = carry
        state, reward, goes_on = model(state, action)
        return (state, gamma * weight * goes_on), weight * reward

    (state, weight), rewards = jax.lax.scan(step, (state, jnp.ones(())), plan)
    return rewards.sum() + (0.0 if terminal_value is None else weight * terminal_value(state))


def _smooth(noise: Float[Array, "H *rest"], correlation: float) -> Float[Array, "H *rest"]:
    """White noise made correlated in time, with the same standard deviation."""
    if correlation == 0:
        return noise

    def step(last: Array, white: Array) -> tuple[Array, Array]:
        last = correlation * last + (1 - correlation**2) ** 0.5 * white
        return last, last

    return jnp.concatenate([noise[:1], jax.lax.scan(step, noise[0], noise[1:])[1]])


def _choose(condition: Bool[Array, ""], one: AbstractProposal, other: AbstractProposal) -> AbstractProposal:
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), one, other)
