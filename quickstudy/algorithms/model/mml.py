"""MML: meta-model learning. A meta-model generates the model of a task, and the agent plans through it.

Every transition of the task is a few linear equations in a code c, with noise, and all of them together a Gaussian
posterior. A hypernetwork turns a code into the weights of a probabilistic model of dynamics, reward and termination;
each of the E members of the ensemble gets a draw of its own, so that members disagree as long as the posterior is
wide. The weights are then corrected on the task's latest transitions, and the agent follows the plan that returns most
in them on average::

    q(c | D)  ∝  N(c; 0, I) Π_{d ∈ D} N(y(d); U(d) c, I)
    w_e       =  H_e(c_e),       c_e ~ q(c | D)
    φ_e       ←  φ_e − α ∇ [−log p(D_latest | φ_e) + pull/2 · |φ_e − w_e|²],      M times from w_e
    a_t       =  first action of argmax_a mean_e Σ_k γ^k r_k  under φ_e

U, y (`GaussianProductEncoder`) and H (`LowRankHypernetwork`) are trained on stored trials of many tasks: a
stretch of a trial is the context D, other transitions D' of it are to be predicted (neural processes, Garnelo et al.
2018)::

    loss  =  mean_{d ∈ D'} −log p(d | H(c)),        c ~ q(c | D)

Most contexts are as long as they get (`WHOLE`), and the loss given a shorter one counts less (`SHORT`). Otherwise what
three transitions leave open, and nothing can predict, swamps what a hundred tell of numbers that hardly move the state.

What an encoder can hardly read from a transition, the models may depend on all the same: with `refines` they are
linearised at the code, in a task, and every number of a change of state is one more linear equation in it
(`MetaModel.linearised`): Gauss-Newton, which does not enter the loss.

A task may change while it lasts. Beside its models another task's are kept, which knows only what was seen since the
transitions began to speak for it; once they do so by −log `hazard`, it takes over (`GeneratedModel.watched`).

The idea is the article's that the project starts from; its parts: Rakelly et al. 2019, arXiv:1903.08254 (product of
Gaussians), Harrison et al. 2018, arXiv:1807.08912 (evidence as linear equations), Beck et al. 2022, arXiv:2210.11348
(Bias-HyperInit), Page 1954 and Harrison et al. 2020, arXiv:1912.08866 (tasks that change), Chua et al. 2018,
arXiv:1805.12114 (probabilistic ensembles and planning), Lee et al. 2020, arXiv:2005.06800 (dynamics given a context),
Williams et al. 2017 (MPPI).

Differs from the paper:

1. Members of the ensemble differ in the draw of the code beside their weights: their disagreement is the posterior's
   width, where that of PETS is what the data leave open.
2. Expected next states are planned through, not sampled ones: predicted noise weighs errors in training alone.
3. Reward and termination are predicted from the next state too, which most of them are functions of: what differs
   between tasks is then left to the dynamics.
4. Data of meta-training are collected by the planner itself, with random actions among its own, and all that is stored
   is learned from: the method is off-policy, and takes few environment steps.
5. Codes are drawn by the context alone, and there is no divergence between posteriors in the loss, as PEARL and neural
   processes have it: with it some training runs learned to take some transitions for no evidence at all.
6. The correction is not differentiated through: the generated weights are trained to be right without it.
"""

import math
from dataclasses import replace
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from quickstudy.algorithms.memory import Memory, filled_rows, transitions_of
from quickstudy.algorithms.model.imagination import Behaviour, Imagination
from quickstudy.algorithms.model.learner import (
    AbstractMetaModel,
    AbstractTaskModel,
    Acting,
    ModelParams,
    PlanningLearner,
    PolicyLearner,
    TaskBehaviour,
    TaskState,
)
from quickstudy.algorithms.model.parts import (
    Correction,
    Fitting,
    ModelNetwork,
    memory_for,
    random_runs,
    random_stretch,
    remember_latest,
)
from quickstudy.errors import InvalidArgument, require_counts, require_within, unknown
from quickstudy.family import AbstractFamily
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.dynamics import (
    InnerModel,
    Scale,
    log_likelihood,
    missed_change,
    num_transition_numbers,
    rollout_loss,
    transition_numbers,
)
from quickstudy.nets.gaussian_product import Evidence, GaussianProductEncoder
from quickstudy.nets.hyper import LowRankHypernetwork
from quickstudy.types import Budgets, Info, Spec, Trajectory, Transitions, Trial

POLICY_SHARE = 0.5
"""Share of the actions of meta-training that are the policy's, where one is learned."""

WHOLE = 0.8
"""Share of the contexts of training that are as long as they get; of the others, the length's logarithm is uniform."""

SHORT = 0.1
"""What the loss given a shorter context counts, where that given a whole one counts 1."""

DOUBT_OF_ONE = 4.0
"""Nats that one transition can say for or against a change: models are surest of themselves where they err most."""

LINEARITY = 3.0
"""Deviation of the noise of what a model says of its code, in units of what it misses where it is linearised."""

STIFFNESS = 100.0
"""Precision with which the encoder's code is believed beside what the models say of it."""


class MetaModel(AbstractMetaModel):
    """From transitions to a code, and from a code to an ensemble ``[E]``."""

    encoder: GaussianProductEncoder
    base: InnerModel
    hyper: LowRankHypernetwork
    behaviour: Behaviour | None

    def generate(self, codes: Float[Array, "E C"]) -> InnerModel:
        """The ensemble of a task, each member by a code of its own."""
        one = lambda base, hyper, code: eqx.apply_updates(base, hyper(code))
        return eqx.filter_vmap(one)(self.base, self.hyper, codes)

    def evidence(self, scale: Scale, data: Transitions) -> Evidence:
        """The product of the factors of the transitions ``[R]``, each to the power of its weight."""
        rows = jax.vmap(lambda row: transition_numbers(scale, row, self.base.num_actions))(data)
        return self.encoder.product(rows, data.weight)

    def linearised(self, scale: Scale, data: Transitions, code: Float[Array, " C"]) -> Evidence:
        """What the models themselves say of the code by the transitions ``[R]``, as if linear around ``code``.

        Each number of a change of state is one equation, whose noise has the predicted deviation and, as a straight
        line is only as good as what it starts from, `LINEARITY` times what is missed at ``code``.
        """

        def missed_at(code: Float[Array, " C"]) -> tuple[Float[Array, "R F"], Float[Array, "R F"]]:
            ensemble = self.generate(jnp.broadcast_to(code, self.codes_shape))
            of_one = lambda model: jax.vmap(lambda row: missed_change(model, scale, row))(data)
            return jax.tree.map(lambda x: x.mean(axis=0), eqx.filter_vmap(of_one)(ensemble))

        (missed, log_std), slope = missed_at(code), jax.jacfwd(lambda code: -missed_at(code)[0])(code)
        precision = data.weight[:, None] / (jnp.exp(2 * log_std) + jnp.square(LINEARITY * missed))
        return Evidence.of(slope.reshape(-1, code.size), (missed + slope @ code).ravel(), precision.ravel())

    @property
    def codes_shape(self) -> tuple[int, int]:
        """E and C."""
        num_members, _, code_size = self.hyper.trunk.weight.shape
        return num_members, code_size


class Known(NamedTuple):
    """What is known of a task.

    Attributes:
        evidence: for the code.
        later: for the code of another task, should this one have changed: only that since it may have.
        linearised: for the code by the models that were generated, where they are asked.
        doubt: by how much, in nats, transitions since then speak for the other task; never below 0.
        draws: each member's code, in units of the posterior's width.
        memory: latest transitions.
    """

    evidence: Evidence
    later: Evidence
    linearised: Evidence
    doubt: Float[Array, ""]
    draws: Float[Array, "E C"]
    memory: Memory


class GeneratedModel(AbstractTaskModel[MetaModel, Known]):
    """Hyperparameters of what happens in a task."""

    adapts: bool = True
    """False for the un-adapted model: the code is drawn from the prior, in training too, and nothing is corrected."""
    decay: float = 0.998
    """What evidence is worth a step later. Below 1 a task may also change little by little."""
    refines: bool = False
    """Whether the models that a code generates, linearised there, say by what the code is off: a step of Gauss-Newton,
    in a task alone."""
    hazard: float = 1e-4
    """Chance, before any data, that the task changes at a step. 0 where tasks never change."""
    correction: Correction = Correction()
    """Gradient steps from what was generated."""

    def __check_init__(self):
        require_within("(0, 1]", self, "decay", prefix="inner.")
        require_within("[0, 1)", self, "hazard", prefix="inner.")

    def init(self, params: ModelParams[MetaModel], *, key: Key[Array, ""]) -> TaskState:
        """Codes drawn from the prior."""
        draws = jax.random.normal(key, params.meta.codes_shape)
        memory = memory_for(params.meta.base, params.scale, self.correction.capacity)
        nothing = Evidence.none(draws.shape[1])
        return TaskState(params.meta.generate(draws), Known(nothing, nothing, nothing, jnp.zeros(()), draws, memory))

    def update(
        self, params: ModelParams[MetaModel], state: TaskState, trajectory: Trajectory
    ) -> tuple[TaskState, Info]:
        """Multiply the block's factors in, generate, correct; begin anew where the task has changed."""
        if not self.adapts:
            return state, {"width": jnp.ones(())}
        new = transitions_of(trajectory)
        known = self.watched(params, state, new) if self.hazard else state.known
        told, worth = params.meta.evidence(params.scale, new), self.decay ** trajectory.reward.shape[0]
        evidence, later = (old.times(worth).plus(told) for old in (known.evidence, known.later))
        later = later.times((known.doubt > 0).astype(jnp.float32))
        memory = remember_latest(known.memory, trajectory)
        known = known._replace(evidence=evidence, later=later, memory=memory)
        codes = evidence.drawn(known.draws)
        if self.refines:
            code = evidence.posterior[0]
            said = params.meta.linearised(params.scale, new, code)
            known = known._replace(linearised=known.linearised.times(worth).plus(said))
            codes += (self.code(known) - code)[None]
        ensemble = self.correction(params.meta.generate(codes), params.scale, memory.transitions)
        return TaskState(ensemble, known), {"width": width_of(evidence)}

    def watched(self, params: ModelParams[MetaModel], state: TaskState, new: Transitions) -> Known:
        """What is known once the transitions ``[R]`` have shown whether the task is still the same.

        They are predicted by the models of the task, and by those of another one that began when doubt did: the
        test of Page, in which the second task is learned as it goes.
        """
        known = state.known
        other = params.meta.generate(known.later.drawn(known.draws))
        said = [mean_log_likelihood(models, params.scale, new) for models in (state.ensemble, other)]
        doubt = known.doubt + new.weight @ jnp.clip(said[1] - said[0], -DOUBT_OF_ONE, DOUBT_OF_ONE)
        same, changed = doubt <= 0, doubt > -math.log(self.hazard)
        evidence = jax.tree.map(lambda new, old: jnp.where(changed, new, old), known.later, known.evidence)
        linearised = known.linearised.times((~changed).astype(jnp.float32))
        doubt = jnp.where(same | changed, 0.0, doubt)
        return known._replace(evidence=evidence, linearised=linearised, doubt=doubt)

    def code(self, known: Known) -> Float[Array, " C"]:
        """The posterior's mean; with `refines`, as the models have moved it."""
        mean = known.evidence.posterior[0]
        return known.linearised.moved(mean, STIFFNESS) if self.refines else mean

    def behaviour(self, params: ModelParams[MetaModel], state: TaskState) -> TaskBehaviour | None:
        """The policy and the value, given what is known of the task."""
        learned, scale, known = params.meta.behaviour, params.scale, beliefs(state.known.evidence)
        if learned is None:
            return None
        return TaskBehaviour(
            lambda obs: learned.action(scale, obs, known), lambda obs: learned.value(scale, obs, known)
        )


def mean_log_likelihood(ensemble: InnerModel, scale: Scale, rows: Transitions) -> Float[Array, " R"]:
    """Of the transitions ``[R]``, averaged over the models ``[E]``."""
    of_one = lambda model: jax.vmap(lambda row: log_likelihood(model, scale, row))(rows)
    return eqx.filter_vmap(of_one)(ensemble).mean(axis=0)


def width_of(evidence: Evidence) -> Float[Array, ""]:
    """The posterior's standard deviation, averaged over the numbers of the code: 1 before any data."""
    return jnp.sqrt(evidence.posterior[1]).mean()


def beliefs(evidence: Evidence) -> Float[Array, " Z"]:
    """Mean and standard deviation of the code: what a policy is told of the task."""
    mean, variance = evidence.posterior
    return jnp.concatenate([mean, jnp.sqrt(variance)])


class MML(AbstractMetaAlgorithm):
    """Meta-model learning: a hypernetwork generates the model of a task, and the agent plans through it."""

    network: ModelNetwork = ModelNetwork()
    """The inner models."""
    code_size: int = 8
    """C, numbers in the code of a task."""
    encoder_width: int = 64
    """Units in a layer of the encoder."""
    factor_rank: int = 8
    """k, combinations of these numbers that a transition tells of."""
    hyper_width: int = 32
    """Units between a code and the weights."""
    rank: int = 8
    """Rank of what the code changes of a weight matrix."""
    inner: GeneratedModel = GeneratedModel()
    """What happens in a task."""
    acting: Acting = Acting()
    """How the agent acts."""
    fitting: Fitting = Fitting()
    """How the meta-model is trained."""
    num_context: int = 96
    """Longest stretch of a trial that is a context in training; most contexts are as long."""
    num_ahead: int = 1
    """k, steps from a true state over which predictions are made from predicted ones, in training."""
    imagination: Imagination = Imagination()
    """How a policy and a value are learned in the models, if they are."""
    acts_by: Literal["plan", "policy"] = "plan"
    """Whether the agent plans, or acts by the policy."""

    def __check_init__(self):
        sizes = ("code_size", "encoder_width", "factor_rank", "hyper_width", "rank", "num_context", "num_ahead")
        require_counts(self, *sizes)
        self.acting.require_disagreement(self.network.num_members)
        if self.fitting.num_targets % self.num_ahead:
            raise InvalidArgument(
                f"num_ahead={self.num_ahead} must divide the fitting.num_targets={self.fitting.num_targets} "
                "transitions that are predicted"
            )
        if self.acts_by not in ("plan", "policy"):
            raise unknown("acts_by", self.acts_by, ("plan", "policy"))
        if not self.imagination.horizon and (self.acts_by == "policy" or self.acting.ends_with_value):
            raise InvalidArgument(
                f"acts_by={self.acts_by!r} and acting.ends_with_value={self.acting.ends_with_value} need a policy and "
                "a value: set imagination.horizon to at least 1, got 0"
            )

    @property
    def learner(self) -> PlanningLearner | PolicyLearner:
        """The inner loop with this method's hyperparameters."""
        return self.acting.learner(self.inner) if self.acts_by == "plan" else PolicyLearner(self.inner)

    @property
    def explorer(self) -> PlanningLearner:
        """The inner loop with cheaper plans and random actions, and the policy's own where there is one.

        A policy that was never followed has found out where models are wrong, and no data will tell it.
        """
        share = POLICY_SHARE if self.imagination.horizon else 0.0
        return replace(self.acting.explorer(self.inner), policy_share=share)

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A fresh meta-model that generates the same ensemble whatever the code, and no trials."""
        k_encoder, k_base, k_hyper, k_behaviour = jax.random.split(key, 4)
        size, base = num_transition_numbers(spec), self.network.build(spec, key=k_base)
        encoder = GaussianProductEncoder(
            size, width=self.encoder_width, code_size=self.code_size, rank=self.factor_rank, key=k_encoder
        )
        one = jax.tree.map(lambda x: x[0], base)
        hyper = lambda k: LowRankHypernetwork(one, self.code_size, width=self.hyper_width, rank=self.rank, key=k)
        hypers = eqx.filter_vmap(hyper)(jax.random.split(k_hyper, self.network.num_members))
        behaviour = self.imagination.build(spec, 2 * self.code_size, key=k_behaviour)
        return self.fitting.begin(MetaModel(base=base, encoder=encoder, hyper=hypers, behaviour=behaviour), spec)

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """Store K trials; then some steps of Muon on `task_loss` of stored ones."""
        return self.fitting.improve(state, trials, self.task_loss, key=key)

    def task_loss(
        self, meta: MetaModel, scale: Scale, data: Transitions, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Info]:
        """How badly a trial's transitions are predicted given a stretch of it, and what the policy misses."""
        k_context, k_targets, k_draws, k_starts, k_imagine = jax.random.split(key, 5)
        known, worth = Evidence.none(self.code_size), 1.0
        if self.inner.adapts:
            context, whole = random_context(data, self.num_context, key=k_context)
            known, worth = meta.evidence(scale, context), jnp.where(whole, 1.0, SHORT)
        runs = random_runs(data, self.fitting.num_targets // self.num_ahead, self.num_ahead, key=k_targets)
        num_members = meta.codes_shape[0]
        ensemble = meta.generate(known.drawn(jax.random.normal(k_draws, meta.codes_shape)))
        of_one = lambda model: jax.vmap(lambda run: rollout_loss(model, scale, run))(runs)
        loss, error = jax.tree.map(jnp.mean, eqx.filter_vmap(of_one)(ensemble))
        info = {"surprise": loss, "error": error, "width": width_of(known)}
        loss = worth * loss
        if meta.behaviour is not None:
            rows = filled_rows(data, num_members * self.imagination.num_starts, key=k_starts)
            starts = data.obs[rows.reshape(num_members, -1)]
            told = beliefs(known)
            missed, imagined = self.imagination.loss(meta.behaviour, ensemble, scale, starts, told, key=k_imagine)
            loss, info = loss + missed, info | imagined
        return loss, info

    def budgets(self, family: AbstractFamily) -> Budgets:
        """Trials as `acting` says."""
        return self.acting.budgets(family)


def random_context(data: Transitions, longest: int, *, key: Key[Array, ""]) -> tuple[Transitions, Bool[Array, ""]]:
    """A `random_stretch` of ``longest`` transitions or, where it is not whole, of fewer, down to none."""
    k_stretch, k_whole, k_length = jax.random.split(key, 3)
    stretch = random_stretch(data, longest, key=k_stretch)
    whole = jax.random.bernoulli(k_whole, WHOLE)
    shorter = jnp.floor((longest + 1.0) ** jax.random.uniform(k_length)) - 1.0
    length = jnp.where(whole, longest, shorter)
    return stretch._replace(weight=stretch.weight * (jnp.arange(longest) < length)), whole
