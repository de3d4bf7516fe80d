"""MKTN, the meta-knowledge transfer network: knowledge shared by all tasks, and a small inner network for this one.

Its parts are those of randomised value functions (Osband et al. 2016, arXiv:1402.0635; Azizzadenesheli et al. 2018,
arXiv:1802.04412), of Gaussian processes on temporal differences (Engel et al. 2005) and of meta-learned last layers
(ALPaCA, Harrison et al. 2018, arXiv:1807.08912). The action values of a task are::

    Q(s, a) = q_K(s, a) + φ · ψ(s, a),            φ ~ N(w_0, Λ⁻¹) before the task has shown anything

with q_K and ψ from the meta-knowledge network, and φ, the inner network, a linear head. Its three phases are three
functions, in the order of the article that the method comes from:

1. `knowledge_loss`, across tasks. A head is fitted to ALL data of a task that was met, which gives its targets
   ``y = r + γ max_a' Q(s', a')``; q_K learns their average over tasks, and ψ what such heads explain the rest by::

       loss = mean (q_K(s, a) − y)²  +  mean E_φ (q_K(s, a) + φ·ψ(s, a) − y)²,        φ ~ N(φ_task, Σ_task)

   Heads and targets stay as they are for all steps of a meta-update, as in fitted Q iteration; w_0 and Λ⁻¹ are then
   the moments of the heads of many tasks. It is expectation maximisation on the likelihood of the tasks' data, and
   that is the product of what earlier data say of later data.

2. `fit_inner`, in a task: after every block the posterior N(φ, Σ) of the head, from all transitions of the task::

       r − q_K(s, a) + γ q_K(s', a*)  =  φ · (ψ(s, a) − γ ψ(s', a*)) + noise N(0, σ²),     a* = argmax_a' Q(s', a')

   a* is that of the posterior mean, so the regression is repeated J times, and `damping` keeps it from flipping back
   and forth. The prior is the knowledge's guidance: with no data the agent acts on knowledge alone, and its pull fades
   as data come. Where s' is random the noise is correlated with ψ(s', a*), and the regression on the residual draws the
   values of what may follow together; with ψ(s, a) as instruments (`regress`) it is least-squares temporal differences
   (Bradtke & Barto 1996), which is right there, too.

3. `act_by_draw`: ``φ + Σ^½ z`` is a plausible value function; the agent follows it greedily. z ~ N(0, spread²) is
   drawn when an episode begins and kept; φ and Σ move with every update, so behaviour shifts within the episode. Or
   every action counts as `optimism` standard deviations better than expected: what is close and not known comes first.

Differs from the paper:

1. Both ends of a temporal difference are regressed on (Engel et al. 2005), rather than Q(s, a) on a fixed target: what
   is not known of the future then stays unknown, where a fixed target would count as an observation of it.
2. Hence the regressors change with a*, and each of the J sweeps has a Cholesky factorisation of its own.
3. The head is the whole inner network, in both forms (by gradient: `quickstudy.algorithms.transfer.gradient_steps`).
   Continuous actions have no actor: q_K and ψ are parabolas in every number of an action, and so is Q, whose best
   action is then known in closed form (`quickstudy.nets.action_terms`).
4. σ is given: where it was learned, it grew to what the head cannot explain early on, and draws searched less.
5. The knowledge is learned by expectation maximisation on the likelihood of all tasks' data, not by differentiating how
   earlier blocks predict later ones. By the chain rule the likelihood is what earlier data say of later data; what is
   saved is the derivative of Cholesky factors, and so four times as many steps fit into the same time.
6. In phase 1 heads have the prior N(0, I / `prior_precision`); w_0 and Λ, their moments, are used in tasks. With Λ
   learned in phase 1 too, features shrink as heads grow, without end.
7. Some lessons may be of imagined tasks (`hindsight`; Andrychowicz et al. 2017, arXiv:1707.01495), so that what was
   reached in training is known as a goal, whether it was one there or not.
8. Values are discounted and do not know how much of the episode is left; an episode that the clock ends is worth what
   its last state is worth (`truncated`), one that terminates nothing.
"""

import math
from typing import Any, Literal, NamedTuple, get_args

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from quickstudy.algorithms.fitting import annealed_adam, descend_by
from quickstudy.algorithms.memory import (
    Memory,
    TrialStore,
    draw_trials,
    empty_memory,
    empty_store,
    remember,
    store_trials,
)
from quickstudy.algorithms.transfer.beliefs import value_beliefs
from quickstudy.algorithms.transfer.gradient_steps import descend, foresight_loss
from quickstudy.algorithms.transfer.parts import (
    Head,
    InnerNetwork,
    Known,
    TransferParams,
    known_of,
    moments,
    prior_head,
    regress,
)
from quickstudy.algorithms.transfer.tries import Tries, attempt
from quickstudy.errors import InvalidArgument, require_counts, require_within, unknown
from quickstudy.family import AbstractFamily
from quickstudy.learner import AbstractBelievingLearner, AbstractEncodingLearner
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.action_terms import action_terms
from quickstudy.nets.features import flat_obs, num_obs_features
from quickstudy.nets.knowledge import MetaKnowledge
from quickstudy.types import Action, Budgets, Info, Obs, Spec, TimeStep, Trajectory, Transitions, Trial

Prior = Literal["learned", "isotropic"]
Features = Literal["learned", "random"]
Rows = Literal["uniform", "leverage"]


class TaskValues(NamedTuple):
    """The learner's state: the task's transitions, what is known of them, and the head fitted to them."""

    memory: Memory
    known: Known
    head: Head


def fit_inner(params: TransferParams, inner: InnerNetwork, data: Transitions, known: Known, start: Head) -> Head:
    """Phase 2: the posterior of the head, given the transitions of weight 1; a* is first that of ``start``."""
    if not inner.head:
        return prior_head(params, inner)
    discount = inner.gamma * data.discount

    def sweep(_: Any, carry: tuple[Head, Float[Array, " D"]]) -> tuple[Head, Float[Array, " D"]]:
        _, policy = carry
        best = jax.vmap(params.knowledge.actions.best_terms)(known.following.action_values(policy))
        value, features = known.following.at(best)
        difference = known.features - discount[:, None] * features
        surprise = data.reward - known.value + discount * value
        head = regress(params, inner, known.features, difference, surprise, data.weight)
        return head, inner.damping * policy + (1.0 - inner.damping) * head.mean

    return jax.lax.fori_loop(0, inner.num_sweeps, sweep, (start, start.mean))[0]


def act_by_draw(
    params: TransferParams, inner: InnerNetwork, head: Head, draw: Float[Array, " D"], obs: Float[Array, " F"]
) -> Action:
    """Phase 3: the greedy action of the value function ``head.mean + head.root @ draw``, seen with optimism."""
    known = params.knowledge(obs)
    values = known.action_values(head.mean + head.root @ draw)
    if inner.optimism:
        values += inner.optimism * jnp.sqrt(head.variance(known.features))
    return params.knowledge.actions.greedy(values)


class Lesson(NamedTuple):
    """What one task teaches the knowledge: its transitions, the head that explains all of them, and the targets y.

    ``leverage`` is what a transition adds to what the head is known by, 0 to 1: much of it where it is the only one of
    its kind, 1/n where there are n alike. By the residual, its sum over all transitions is how many dimensions the task
    determined.
    """

    data: Transitions
    head: Head
    target: Float[Array, " C"]
    leverage: Float[Array, " C"]


def lesson_of(params: TransferParams, inner: InnerNetwork, data: Transitions) -> Lesson:
    """The lesson of a task, in hindsight: ``y = r + γ max_a' Q(s', a')`` with the head fitted on all of its data."""
    known = known_of(params.knowledge, data)
    head = fit_inner(params, inner, data, known, prior_head(params, inner))
    best = jax.vmap(params.knowledge.actions.best_terms)(known.following.action_values(head.mean))
    value, features = known.following.at(best)
    discount = inner.gamma * data.discount
    leverage = data.weight * head.variance(known.features - discount[:, None] * features) / inner.noise**2
    return Lesson(data, head, data.reward + discount * (value + features @ head.mean), leverage)


def in_hindsight(
    data: Transitions, low: Float[Array, ""], high: Float[Array, ""], *, key: Key[Array, ""]
) -> Transitions:
    """A trial in an imagined task: reaching what a random transition of it reached pays ``high``, else ``low``.

    Where episodes end stays as it was.
    """
    goal = data.next_obs[jax.random.categorical(key, jnp.log(data.weight))]
    return data._replace(reward=jnp.where(jnp.all(data.next_obs == goal[None], axis=-1), high, low))


def knowledge_loss(knowledge: MetaKnowledge, lesson: Lesson, inner: InnerNetwork) -> tuple[Float[Array, ""], Info]:
    """Phase 1: how far a task's targets are from the average over tasks, and from what its own head says."""
    data, head, target, _ = lesson
    value, features = jax.vmap(knowledge)(data.obs).at(jax.vmap(knowledge.actions.terms)(data.action))
    mean = lambda x: jnp.sum(data.weight * x) / jnp.maximum(data.weight.sum(), 1.0)
    bias = mean(jnp.square(value - target))
    corrected = jax.lax.stop_gradient(value) + features @ head.mean
    error = mean(jnp.square(corrected - target) + head.variance(features))
    return bias + error * inner.head, {"bias": bias, "error": error}


class TransferLearner(
    AbstractBelievingLearner[TransferParams, TaskValues, Float[Array, " D"]],
    AbstractEncodingLearner[TransferParams, TaskValues, Float[Array, " D"]],
):
    """What the agent does inside one task. The carry is the draw z of the episode."""

    inner: InnerNetwork = InnerNetwork()
    epsilon: float = 0.0
    """Share of random actions."""
    tries: Tries = "any"
    """Which of them: any action, or one that was `rare` so far where the agent is."""

    def init(self, params: TransferParams, *, key: Key[Array, ""]) -> TaskValues:
        """Nothing seen: the prior."""
        del key
        knowledge = params.knowledge
        memory = empty_memory(self.inner.capacity, knowledge.num_inputs, knowledge.actions.action)
        blank = jax.tree.map(jnp.zeros_like, known_of(params.knowledge, memory.transitions))
        return TaskValues(memory, blank, prior_head(params, self.inner))

    def init_carry(self, params: TransferParams) -> Float[Array, " D"]:
        """Replaced when the first episode begins."""
        return jnp.zeros_like(params.prior_mean)

    def act(
        self,
        params: TransferParams,
        state: TaskValues,
        carry: Float[Array, " D"],
        timestep: TimeStep,
        *,
        key: Key[Array, ""],
    ) -> tuple[Action, Float[Array, " D"], None]:
        """Follow this episode's value function, or with ε do anything."""
        k_draw, k_explore, k_random = jax.random.split(key, 3)
        draw = jnp.where(timestep.first, self.inner.spread * jax.random.normal(k_draw, carry.shape), carry)
        action = act_by_draw(params, self.inner, state.head, draw, flat_obs(timestep.obs))
        random = attempt(self.tries, params.knowledge.actions, state.memory, flat_obs(timestep.obs), key=k_random)
        return jnp.where(jax.random.bernoulli(k_explore, self.epsilon), random, action), draw, None

    def update(
        self, params: TransferParams, state: TaskValues, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[TaskValues, Info]:
        """Remember the block ``[T, N]`` and fit the head to all that is remembered."""
        del key
        memory, where, new = remember(state.memory, trajectory)
        if self.epsilon == 1.0:  # nobody acts on the head, and fitting it is most of what a trial costs
            return state._replace(memory=memory), {}
        known = jax.tree.map(lambda old, new: old.at[where].set(new), state.known, known_of(params.knowledge, new))
        fit = descend if self.inner.form == "gradient" else fit_inner
        head = fit(params, self.inner, memory.transitions, known, state.head)
        weight = memory.transitions.weight
        variance = jnp.sum(weight * head.variance(known.features)) / weight.sum()
        return TaskValues(memory, known, head), {"uncertainty": jnp.sqrt(variance)}

    def believe(self, params: TransferParams, state: TaskValues, obs: Obs) -> dict[str, Float[Array, ""]]:
        """The value of an observation by knowledge alone and by the head, and how uncertain that is."""
        return value_beliefs(params, prior_head(params, self.inner), state.head, flat_obs(obs))

    def code(self, params: TransferParams, state: TaskValues, carry: Float[Array, " D"]) -> Float[Array, " D"]:
        """The posterior's mean of the head."""
        del params, carry
        return state.head.mean


class Learned(NamedTuple):
    """Beside the meta-parameters that tasks are given: those learned latest, and the trials to learn from."""

    latest: TransferParams
    store: TrialStore


class MKTN(AbstractMetaAlgorithm):
    """Meta-knowledge transfer: action values shared by all tasks, and a Bayesian linear head for each."""

    width: int = 64
    """Units in a layer of the meta-knowledge network."""
    num_features: int = 32
    """D, features of an action: the dimensions that tasks can differ in."""
    inner: InnerNetwork = InnerNetwork()
    """What happens in a task."""
    features: Features = "learned"
    """`random` for the ablation "inner network only": q_K is 0, ψ stays as it was initialised."""
    prior: Prior = "learned"
    """`isotropic` for the ablation "no learned prior": w_0 = 0 and Λ the identity times `prior_precision`."""
    prior_precision: float = 1.0
    """Λ at the start."""
    step_size: float = 0.5
    """α at the start where the inner network learns by gradient, in the unit in which 2 is the most that is stable."""
    learning_rate: float = 5e-3
    """Adam's step size; it falls linearly to a tenth."""
    anneal_steps: int = 600
    """Meta-updates over which the learning rate falls."""
    epsilon: float = 0.7
    """ε, the share of random actions in the trials of meta-training: what is never seen is not known."""
    tries: Tries = "any"
    """Which: any of them, or with few observations and actions those that are `rare`, where the agent is and ahead."""
    average_decay: float = 0.0
    """How much a meta-update keeps of the average of what is learned, which tasks are given; 0 for the latest."""
    hindsight: float = 0.0
    """Share of lessons in imagined tasks, with few observations: one that the trial reached pays the most that was paid
    in any, all others the least."""
    prior_rate: float = 0.1
    """How far w_0 and Λ move, in a meta-update, to the moments of the heads of its lessons."""
    num_lessons: int = 128
    """Stored trials that a meta-update learns from."""
    num_gradient_steps: int = 100
    """Steps of Adam in a meta-update."""
    batch_size: int = 32
    """Lessons in a step of Adam."""
    lesson_rows: int = 32
    """Transitions of each of them in a step of Adam, drawn at random."""
    rows: Rows = "uniform"
    """How: each as likely as the others, or in proportion to its `leverage`, so that what is rare counts as much as
    what is common."""
    trial_factor: int = 2
    """How many of the family's trials, end to end in one task, a trial of meta-training is as long as."""
    train_block_length: int = 1
    """Steps between two updates in a trial of meta-training; 0 for one episode. Updates are what such a trial costs."""
    num_trials: int = 2048
    """M, trials that are kept over meta-updates."""

    def __check_init__(self):
        require_counts(self, "width", "num_features", "anneal_steps", "num_gradient_steps", "batch_size")
        require_counts(self, "lesson_rows", "num_trials", "num_lessons", "trial_factor")
        require_within("(0, inf)", self, "prior_precision", "learning_rate")
        require_within("(0, 2)", self, "step_size")
        require_within("[0, 1]", self, "epsilon", "hindsight")
        require_within("(0, 1]", self, "prior_rate")
        require_within("[0, 1)", self, "average_decay")
        for name, kind in (("features", Features), ("prior", Prior), ("rows", Rows), ("tries", Tries)):
            known = get_args(kind)
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)

    @property
    def learner(self) -> TransferLearner:
        """The inner loop with this method's hyperparameters."""
        return TransferLearner(self.inner)

    @property
    def explorer(self) -> TransferLearner:
        """The inner loop with random actions: what it never sees across tasks is never known."""
        return TransferLearner(self.inner, self.epsilon, self.tries)

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A fresh network, the prior at its start, and no trials."""
        size, actions = num_obs_features(spec), action_terms(spec)
        if self.inner.optimism and spec.num_actions is None:
            raise InvalidArgument(
                f"inner.optimism={self.inner.optimism} needs discrete actions: the best of continuous ones has no "
                "closed form then; set it to 0 and explore by inner.spread"
            )
        knowledge = MetaKnowledge(size, actions, width=self.width, num_features=self.num_features, key=key)
        logit = math.log(self.step_size / (2.0 - self.step_size))
        step_size = jnp.full(self.num_features, logit, jnp.float32) if self.inner.form == "gradient" else None
        params = TransferParams(knowledge, jnp.zeros(self.num_features), self._log_precision, step_size)
        opt_state = self._optimizer().init(eqx.filter((knowledge, step_size), eqx.is_inexact_array))
        store = empty_store(self.num_trials, empty_memory(self.inner.capacity, size, spec.action))
        return MetaState(params, opt_state, jnp.zeros((), jnp.int32), Learned(params, store))

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """Store K trials; then lessons of stored ones, some steps of Adam on `knowledge_loss`, and the prior."""
        k_lessons, k_steps = jax.random.split(key)
        store = store_trials(state.extra.store, trials.final.state.memory)
        params, opt_state, info = state.extra.latest, state.opt_state, {}
        lessons = self._lessons(params, store, key=k_lessons)
        if self.features == "learned":
            params, opt_state, info = self._learn(params, opt_state, lessons, key=k_steps)
        if self.prior == "learned":
            prior = moments(params.prior_mean, params.log_precision, lessons.head, rate=self.prior_rate)
            params = eqx.tree_at(lambda p: (p.prior_mean, p.log_precision), params, prior)
        new, static = eqx.partition(params, eqx.is_array)
        average = optax.incremental_update(new, eqx.filter(state.params, eqx.is_array), 1.0 - self.average_decay)
        return MetaState(eqx.combine(average, static), opt_state, state.step + 1, Learned(params, store)), info

    def _lessons(self, params: TransferParams, store: TrialStore, *, key: Key[Array, ""]) -> Lesson:
        """Of stored trials, drawn at random, with the prior at its start: the scale of ψ cannot drift against Λ."""
        data = draw_trials(store, self.num_lessons, key=key)
        if self.hindsight:
            k_imagined, k_goals = jax.random.split(jax.random.fold_in(key, 1))
            low = jnp.min(data.reward, initial=jnp.inf, where=data.weight > 0)
            high = jnp.max(data.reward, initial=-jnp.inf, where=data.weight > 0)
            imagine = lambda data, key: in_hindsight(data, low, high, key=key)
            others = jax.vmap(imagine)(data, jax.random.split(k_goals, self.num_lessons))
            imagined = jax.random.bernoulli(k_imagined, self.hindsight, (self.num_lessons, 1))
            data = data._replace(reward=jnp.where(imagined, others.reward, data.reward))
        start = (jnp.zeros(self.num_features), self._log_precision)
        params = eqx.tree_at(lambda p: (p.prior_mean, p.log_precision), params, start)
        return jax.vmap(lambda data: lesson_of(params, self.inner, data))(data)

    def budgets(self, family: AbstractFamily) -> Budgets:
        """Trials of training are longer than those of the evaluation: what is hard to find must be found in some."""
        train = family.trial_in_blocks(self.train_block_length, option="train_block_length")
        return Budgets(train._replace(num_blocks=self.trial_factor * train.num_blocks), self.inner.budget(family))

    @property
    def _log_precision(self) -> Float[Array, " D"]:
        return jnp.full(self.num_features, math.log(self.prior_precision), jnp.float32)

    def _learn(
        self, params: TransferParams, opt_state: PyTree, lessons: Lesson, *, key: Key[Array, ""]
    ) -> tuple[TransferParams, PyTree, Info]:
        def loss(learned: PyTree, key: Key[Array, ""]) -> tuple[Float[Array, ""], Info]:
            k_lessons, k_loss = jax.random.split(key)
            index = jax.random.randint(k_lessons, (self.batch_size,), 0, self.num_lessons)
            return self._loss(params, learned, jax.tree.map(lambda x: x[index], lessons), key=k_loss)

        start, optimizer = (params.knowledge, params.step_logit), self._optimizer()
        (knowledge, step_logit), opt_state, info = descend_by(
            optimizer, start, opt_state, loss, num_steps=self.num_gradient_steps, key=key
        )
        return TransferParams(knowledge, params.prior_mean, params.log_precision, step_logit), opt_state, info

    def _loss(
        self, params: TransferParams, learned: PyTree, lessons: Lesson, *, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Info]:
        """`knowledge_loss` on some rows of every lesson; and how well steps of this size foresee, where there are."""
        knowledge, step_logit = learned
        k_rows, k_foresight = jax.random.split(key)
        row = self._rows(lessons, key=k_rows)
        pick = lambda x: jax.vmap(lambda x, row: x[row])(x, row)
        some = Lesson(jax.tree.map(pick, lessons.data), lessons.head, pick(lessons.target), pick(lessons.leverage))
        loss, info = jax.tree.map(jnp.mean, jax.vmap(lambda one: knowledge_loss(knowledge, one, self.inner))(some))
        if step_logit is None:
            return loss, info
        params = TransferParams(params.knowledge, params.prior_mean, params.log_precision, step_logit)
        one = lambda lesson, key: foresight_loss(params, self.inner, lesson.data, lesson.target, key=key)
        info["foresight"] = jax.vmap(one)(lessons, jax.random.split(k_foresight, self.batch_size)).mean()
        return loss + info["foresight"], info

    def _rows(self, lessons: Lesson, *, key: Key[Array, ""]) -> Int[Array, "lessons rows"]:
        shape, capacity = (self.batch_size, self.lesson_rows), lessons.target.shape[1]
        if self.rows == "uniform":
            return jax.random.randint(key, shape, 0, capacity)
        upto = jnp.cumsum(lessons.leverage, axis=1)
        where = jax.random.uniform(key, shape) * upto[:, -1:]
        return jnp.minimum(jax.vmap(jnp.searchsorted)(upto, where), capacity - 1)

    def _optimizer(self) -> optax.GradientTransformation:
        return annealed_adam(self.learning_rate, self.anneal_steps * self.num_gradient_steps)
