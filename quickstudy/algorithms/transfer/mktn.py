"""MKTN, the meta-knowledge transfer network: knowledge shared by all tasks, and a small inner network for this one.

Its parts are those of randomised value functions (Osband et al. 2016, arXiv:1402.0635; Azizzadenesheli et al. 2018,
arXiv:1802.04412), of Gaussian processes on temporal differences (Engel et al. 2005) and of meta-learned last layers
(ALPaCA, Harrison et al. 2018, arXiv:1807.08912). The action values of a task are::

    Q(s, a) = q_K(s, a) + φ · ψ(s, a),            φ ~ N(w_0, Λ⁻¹) before the task has shown anything

with q_K and ψ from the meta-knowledge network, and φ, the inner network, a linear head. Its three phases are three
functions, in the order of the article that the method comes from:

1. `knowledge_loss`, across tasks. (a) q_K learns the average over tasks of the targets
   ``y = r + γ max_a' Q̄(s', a')``, Q̄ by a target network and a head fitted on ALL of the task's data; (b) ψ, w_0, Λ
   and τ learn to make the head that was fitted on the EARLIER data predict the targets of the LATER data::

       loss = mean (q_K(s, a) − y)²  −  mean log N(y; q_K + φ·ψ, ψᵀΣψ + τ²)

2. `fit_inner`, in a task: after every block the posterior N(φ, Σ) of the head, from all transitions of the task::

       r − q_K(s, a) + γ q_K(s', a*)  =  φ · (ψ(s, a) − γ ψ(s', a*)) + noise N(0, σ²),     a* = argmax_a' Q(s', a')

   a* is that of the posterior mean, so the regression is repeated J times. The prior is the knowledge's guidance: with
   no data the agent acts on knowledge alone, and its pull fades as data come.

3. `act_by_draw`: ``φ + Σ^½ z`` is a plausible value function; the agent follows it greedily. z ~ N(0, 1) is drawn at
   the beginning of an episode and kept; φ and Σ move with every update, so behaviour shifts within the episode.

Differs from the paper:

1. Both ends of a temporal difference are regressed on (Engel et al. 2005), rather than Q(s, a) on a fixed target: what
   is not known of the future then stays unknown, where a fixed target would count as an observation of it.
2. Hence the regressors change with a*, and each of the J sweeps has a Cholesky factorisation of its own.
3. The head is the whole inner network: the form with gradient steps is not built, nor continuous actions.
4. σ is given: where it was learned, it grew to what the head cannot explain early on, and draws searched less.
5. Values are discounted and do not know how much of the episode is left; an episode that the clock ends is worth what
   its last state is worth (`truncated`), one that terminates nothing.
"""

import math
from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Key, PyTree

from quickstudy.algorithms.transfer.memory import Memory, Transitions, empty_memory, in_order, remember
from quickstudy.algorithms.transfer.parts import Head, InnerNetwork, Known, Met, TransferParams, known_of, prior_head
from quickstudy.errors import InvalidArgument, require_positive, unknown
from quickstudy.learner import AbstractLearner
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.features import flat_obs, num_obs_features
from quickstudy.nets.knowledge import MetaKnowledge
from quickstudy.types import Action, Info, Spec, TimeStep, Trajectory, Trial

Prior = Literal["learned", "isotropic"]
Features = Literal["learned", "random"]


class TaskValues(NamedTuple):
    """The learner's state.

    Attributes:
        memory: the task's transitions.
        known: what the knowledge says of them.
        log_odds: of what the task may be: like each of those that were met, and last, like none.
        uniform: which of these the present episode follows: their shares in a row, cut here. In [0, 1).
        drawn: its number.
        head: fitted to the transitions from there.
    """

    memory: Memory
    known: Known
    log_odds: Float[Array, " M+1"]
    uniform: Float[Array, ""]
    drawn: Int[Array, ""]
    head: Head


def fit_inner(
    params: TransferParams,
    inner: InnerNetwork,
    data: Transitions,
    known: Known,
    start: Float[Array, " D"],
    drawn: Int[Array, ""] | None = None,
) -> Head:
    """Phase 2: the posterior of the head, given the transitions whose ``weight`` is 1."""
    if not inner.head:
        return Head(params.prior_mean * 0, jnp.diag(params.prior_mean * 0))
    prior_mean, precision = prior_of(params, inner, drawn)
    discount = inner.gamma * data.discount
    rows = jnp.arange(data.action.shape[0])
    factor, mean = jnp.diag(precision), start
    for _ in range(inner.num_sweeps):
        best = jnp.argmax(jax.lax.stop_gradient(known.following.action_values(mean)), axis=-1)
        difference = known.features - discount[:, None] * known.following.features[rows, best]
        surprise = data.reward - known.value + discount * known.following.value[rows, best]
        weighted = difference * (data.weight / inner.noise**2)[:, None]
        factor = jnp.linalg.cholesky(jnp.diag(precision) + weighted.T @ difference)
        right = precision * prior_mean + weighted.T @ surprise
        mean = jax.scipy.linalg.cho_solve((factor, True), right)
    root = jax.scipy.linalg.solve_triangular(factor, jnp.eye(mean.shape[0]), lower=True, trans="T")
    return Head(mean, root)


def prior_of(params, inner, drawn):
    base = inner.guidance * jnp.exp(params.log_precision)
    if drawn is None:
        return params.prior_mean, base
    num_met = params.met.heads.shape[0]
    like = drawn < num_met
    mean = jnp.where(like, params.met.heads[jnp.minimum(drawn, num_met - 1)], params.prior_mean)
    return mean, base * jnp.where(like, inner.resemblance, 1.0)


def evidence(params: TransferParams, inner: InnerNetwork, data: Transitions, known: Known) -> Float[Array, " M+1"]:
    """How likely new transitions are under every task that was met, and last, under the prior."""
    discount = inner.gamma * data.discount
    heads = jnp.concatenate([params.met.heads, params.prior_mean[None]])
    following = known.following.value[..., None] + known.following.features @ heads.T
    predicted = known.value[:, None] + known.features @ heads.T - discount[:, None] * following.max(1)
    best = jnp.argmax(following[..., -1], axis=1)
    difference = known.features - discount[:, None] * known.following.features[jnp.arange(best.shape[0]), best]
    wide = jnp.square(difference) @ (1 / prior_of(params, inner, None)[1])
    variance = jnp.zeros_like(predicted).at[:, -1].set(wide) + inner.tolerance**2
    return -jnp.sum(jnp.square(data.reward[:, None] - predicted) / variance + jnp.log(variance), axis=0) / 2


def draw_task(log_odds: Float[Array, " M+1"], uniform: Float[Array, ""]) -> Int[Array, ""]:
    share = jnp.cumsum(jax.nn.softmax(log_odds))
    return jnp.minimum(jnp.searchsorted(share, uniform * share[-1], side="right"), log_odds.shape[0] - 1)


def act_by_draw(
    params: TransferParams, head: Head, draw: Float[Array, " D"], obs: Float[Array, " F"], *, key: Key[Array, ""]
) -> Int[Array, ""]:
    """Phase 3: the greedy action of the value function ``head.mean + head.root @ draw``, or with ε a random one."""
    k_explore, k_random = jax.random.split(key)
    values = params.knowledge(obs).action_values(head.mean + head.root @ draw)
    random = jax.random.randint(k_random, (), 0, values.shape[0])
    return jnp.where(jax.random.bernoulli(k_explore, params.epsilon), random, jnp.argmax(values)).astype(jnp.int32)


def targets(params: TransferParams, inner: InnerNetwork, data: Transitions) -> Float[Array, " C"]:
    """``y = r + γ max_a' Q(s', a')`` with a head fitted on all of a task's data."""
    known = known_of(params.knowledge, data)
    head = fit_inner(params, inner, data, known, params.prior_mean)
    best = jnp.max(known.following.action_values(head.mean), axis=-1)
    return data.reward + inner.gamma * data.discount * best


def knowledge_loss(
    params: TransferParams,
    target: TransferParams,
    inner: InnerNetwork,
    data: Transitions,
    num_splits: int,
) -> tuple[Float[Array, ""], Info]:
    """Phase 1: the loss of one task's transitions, in the order they came in."""
    y = jax.lax.stop_gradient(targets(target, inner, data))
    known = known_of(params.knowledge, data)
    total = jnp.maximum(data.weight.sum(), 1.0)
    bias = jnp.sum(data.weight * jnp.square(known.value - y)) / total
    # Splits at 0, 1/n, 2/n, … of the data; the first asks what the prior alone predicts.
    seen = jnp.arange(num_splits)[:, None] * total / num_splits > jnp.cumsum(data.weight)[None] - 1

    def surprisal(seen: Array) -> Float[Array, ""]:
        earlier = data._replace(weight=data.weight * seen)
        head = fit_inner(params, inner, earlier, known, params.prior_mean)
        variance = head.variance(known.features) + jnp.exp(2 * params.log_error)
        error = known.value + known.features @ head.mean - y
        later = data.weight * ~seen
        loss = jnp.sum(later * (jnp.square(error) / variance + jnp.log(variance))) / 2
        return loss / jnp.maximum(later.sum(), 1.0)

    surprise = jnp.mean(jax.vmap(surprisal)(seen))
    return bias + surprise * inner.head, {"bias": bias, "surprisal": surprise}


class TransferLearner(AbstractLearner[TransferParams, TaskValues, Float[Array, " D"]]):
    """What the agent does inside one task. The carry is the standard normal draw of the episode."""

    inner: InnerNetwork = InnerNetwork()

    def init(self, params: TransferParams, *, key: Key[Array, ""]) -> TaskValues:
        """Nothing seen: the prior."""
        memory = empty_memory(self.inner.capacity, params.knowledge.num_inputs)
        blank = jax.tree.map(jnp.zeros_like, known_of(params.knowledge, memory.transitions))
        prior = (1 - self.inner.new_task) / params.met.heads.shape[0]
        log_odds = jnp.append(jnp.log(prior) + params.met.log_trust, jnp.log(self.inner.new_task))
        uniform = jax.random.uniform(key)
        drawn = draw_task(log_odds, uniform)
        head = self._fit(params, memory, blank, drawn, None)
        return TaskValues(memory, blank, log_odds, uniform, drawn, head)

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
        """Follow this episode's value function."""
        k_draw, k_act = jax.random.split(key)
        draw = jnp.where(timestep.first, jax.random.normal(k_draw, carry.shape), carry)
        return act_by_draw(params, state.head, draw, flat_obs(timestep.obs), key=k_act), draw, None

    def update(
        self, params: TransferParams, state: TaskValues, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[TaskValues, Info]:
        """Remember the block ``[T, N]`` and fit the head to all that is remembered."""
        memory, where, new = remember(state.memory, trajectory)
        known_new = known_of(params.knowledge, new)
        log_odds = state.log_odds + evidence(params, self.inner, new, known_new)
        log_odds -= jax.nn.logsumexp(log_odds)
        known = jax.tree.map(lambda old, new: old.at[where].set(new), state.known, known_new)
        ended = jnp.any(trajectory.terminated | trajectory.truncated)
        uniform = jnp.where(ended, jax.random.uniform(key), state.uniform)
        drawn = draw_task(log_odds, uniform)
        head = self._fit(params, memory, known, drawn, state)
        weight = memory.transitions.weight
        variance = jnp.sum(weight * head.variance(known.features)) / weight.sum()
        info = {"uncertainty": jnp.sqrt(variance), "new_task": jnp.exp(log_odds[-1])}
        return TaskValues(memory, known, log_odds, uniform, drawn, head), info

    def _fit(self, params, memory, known, drawn, state):
        start = prior_of(params, self.inner, drawn)[0]
        if state is not None:
            start = jnp.where(drawn == state.drawn, state.head.mean, start)
        return fit_inner(params, self.inner, memory.transitions, known, start, drawn)


class TransferExtra(NamedTuple):
    """What meta-training keeps beside the parameters.

    Attributes:
        target: the parameters that targets come from: they follow slowly.
        trials: transitions of the latest trials, ``[M, C, ...]``.
        progress: 1 for a trial that paid better in its later half than an unknown task does at first, 0 otherwise.
        num_trials: how many trials were stored so far.
    """

    target: PyTree
    trials: Transitions
    progress: Float[Array, " M"]
    num_trials: Int[Array, ""]


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
    error: float = 0.3
    """τ at the start."""
    learning_rate: float = 5e-3
    """Adam's step size; it falls linearly to a tenth."""
    anneal_steps: int = 600
    """Meta-updates over which the learning rate and ε fall."""
    epsilon: float = 0.1
    """ε, the share of random actions, at the start of meta-training; 0 at its end."""
    num_regression_steps: int = 100
    regression_trials: int = 128
    num_gradient_steps: int = 8
    """Steps of Adam in a meta-update."""
    batch_size: int = 32
    """Trials in a step of Adam."""
    num_trials: int = 512
    """M, trials that are kept over meta-updates."""
    num_met: int = 64
    """Tasks, the latest, whose heads are kept for the agent to recall."""
    num_splits: int = 4
    """Into how many parts a trial is cut, for the loss on later data."""
    target_rate: float = 0.05
    """How far the target network moves at each step of Adam."""

    def __check_init__(self):
        counts = ("width", "num_features", "anneal_steps", "num_gradient_steps", "batch_size", "num_trials")
        require_positive(**{name: getattr(self, name) for name in (*counts, "num_splits")})
        for name in ("prior_precision", "error", "learning_rate"):
            if not getattr(self, name) > 0:
                raise InvalidArgument(f"{name} must be positive, got {getattr(self, name)}")
        for name, known in (("features", ("learned", "random")), ("prior", ("learned", "isotropic"))):
            if getattr(self, name) not in known:
                raise unknown(name, getattr(self, name), known)
        if not 0 <= self.epsilon <= 1:
            raise InvalidArgument(f"epsilon must lie in [0, 1], got {self.epsilon}")
        if not 0 < self.target_rate <= 1:
            raise InvalidArgument(f"target_rate must lie in (0, 1], got {self.target_rate}")

    @property
    def learner(self) -> TransferLearner:
        """The inner loop with this method's hyperparameters."""
        return TransferLearner(self.inner)

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A fresh network, the prior at its start, and no trials."""
        if spec.num_actions is None:
            raise InvalidArgument("mktn needs discrete actions, and this family's are continuous")
        size = num_obs_features(spec)
        knowledge = MetaKnowledge(size, spec.num_actions, width=self.width, num_features=self.num_features, key=key)
        zeros = jnp.zeros(self.num_features)
        params = TransferParams(
            knowledge,
            zeros,
            zeros + math.log(self.prior_precision),
            jnp.asarray(math.log(self.error), jnp.float32),
            Met(jnp.zeros((self.num_met, self.num_features)), jnp.full(self.num_met, -jnp.inf)),
            jnp.asarray(self.epsilon, jnp.float32),
        )
        blank = empty_memory(self.inner.capacity, size).transitions
        trials = jax.tree.map(lambda x: jnp.zeros((self.num_trials, *x.shape), x.dtype), blank)
        extra = TransferExtra(params, trials, jnp.zeros(self.num_trials), jnp.zeros((), jnp.int32))
        opt_state = self._optimizer().init(eqx.filter(params, self._trained(params)))
        return MetaState(params, opt_state, jnp.zeros((), jnp.int32), extra)

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """Store K trials, then some steps of Adam on `knowledge_loss` of stored ones."""
        extra = self._store(state.extra, trials)
        trained, fixed = eqx.partition(state.params, self._trained(state.params))

        def step(
            carry: tuple[PyTree, PyTree, PyTree], key: Key[Array, ""]
        ) -> tuple[tuple[PyTree, PyTree, PyTree], Info]:
            trained, target, opt_state = carry
            index = jax.random.randint(key, (self.batch_size,), 0, jnp.minimum(extra.num_trials, self.num_trials))
            batch = jax.tree.map(lambda x: x[index], extra.trials)

            def loss(trained: PyTree) -> tuple[Float[Array, ""], Info]:
                params = eqx.combine(trained, fixed)
                one = lambda data: knowledge_loss(params, eqx.combine(target, fixed), self.inner, data, self.num_splits)
                return jax.tree.map(jnp.mean, jax.vmap(one)(batch))

            (value, info), grads = jax.value_and_grad(loss, has_aux=True)(trained)
            updates, opt_state = self._optimizer().update(grads, opt_state)
            trained = eqx.apply_updates(trained, updates)
            target = optax.incremental_update(trained, target, self.target_rate)
            return (trained, target, opt_state), info | {"loss": value, "gradient_norm": optax.tree.norm(grads)}

        trained, opt_state, regression = self._regress(trained, fixed, state.opt_state, extra, key)
        target = eqx.filter(extra.target, self._trained(state.params))
        keys = jax.random.split(key, self.num_gradient_steps)
        (trained, target, opt_state), info = jax.lax.scan(step, (trained, target, opt_state), keys)
        left = jnp.maximum(1 - (state.step + 1) / self.anneal_steps, 0.0)
        params = eqx.tree_at(
            lambda p: p.epsilon, eqx.combine(trained, fixed), (self.epsilon * left).astype(jnp.float32)
        )
        params = eqx.tree_at(lambda p: p.met, params, self._met(params, extra))
        info = jax.tree.map(jnp.mean, info) | {"regression": regression, "trust": jnp.exp(params.met.log_trust).mean(), "error": jnp.exp(params.log_error)}
        extra = extra._replace(target=eqx.combine(target, params))
        return MetaState(params, opt_state, state.step + 1, extra), info

    def _regress(self, trained, fixed, opt_state, extra, key):
        k_sub, k_steps = jax.random.split(jax.random.fold_in(key, 1))
        count = jnp.minimum(extra.num_trials, self.num_trials)
        index = jax.random.randint(k_sub, (self.regression_trials,), 0, count)
        data = jax.tree.map(lambda x: x[index], extra.trials)
        params = eqx.combine(trained, fixed)

        def hindsight(data):
            known = known_of(params.knowledge, data)
            head = fit_inner(params, self.inner, data, known, params.prior_mean)
            y = data.reward + self.inner.gamma * data.discount * known.following.action_values(head.mean).max(-1)
            return head, y

        heads, y = jax.vmap(hindsight)(data)

        def step(carry, key):
            trained, opt_state = carry
            i = jax.random.randint(key, (self.batch_size,), 0, self.regression_trials)
            batch, head, target = jax.tree.map(lambda x: x[i], (data, heads, y))

            def loss(trained):
                knowledge = eqx.combine(trained, fixed).knowledge

                def one(d, head, y):
                    k = jax.vmap(knowledge)(d.obs)
                    rows = jnp.arange(d.action.shape[0])
                    value, features = k.value[rows, d.action], k.features[rows, d.action]
                    bias = jnp.square(value - y)
                    error = jnp.square(jax.lax.stop_gradient(value) + features @ head.mean - y) + head.variance(features)
                    return jnp.sum(d.weight * (bias + error)) / d.weight.sum(), jnp.sum(d.weight * error) / d.weight.sum()

                return jax.tree.map(jnp.mean, jax.vmap(one)(batch, head, target))

            (_, error), grads = jax.value_and_grad(loss, has_aux=True)(trained)
            updates, opt_state = self._optimizer().update(grads, opt_state)
            return (eqx.apply_updates(trained, updates), opt_state), error

        keys = jax.random.split(k_steps, self.num_regression_steps)
        (trained, opt_state), error = jax.lax.scan(step, (trained, opt_state), keys)
        return trained, opt_state, jnp.mean(error[-10:])

    def _met(self, params: TransferParams, extra: TransferExtra) -> Met:
        """The latest tasks, with a head fitted to all data of each."""
        count = jnp.minimum(extra.num_trials, self.num_trials)
        latest = (extra.num_trials - 1 - jnp.arange(self.num_met) % count) % self.num_trials

        def head_of(data: Transitions) -> Float[Array, " D"]:
            return fit_inner(params, self.inner, data, known_of(params.knowledge, data), params.prior_mean).mean

        heads = jax.vmap(head_of)(jax.tree.map(lambda x: x[latest], extra.trials))
        return Met(heads, jnp.log(extra.progress[latest]))

    def _store(self, extra: TransferExtra, trials: Trial) -> TransferExtra:
        memory: Memory = trials.final.state.memory
        data = jax.vmap(in_order)(memory)
        num_tasks = data.weight.shape[0]
        if num_tasks > self.num_trials:
            raise InvalidArgument(
                f"num_trials={self.num_trials} is less than the {num_tasks} tasks of a meta-update: raise it"
            )
        where = (extra.num_trials + jnp.arange(num_tasks)) % self.num_trials
        stored = jax.tree.map(lambda old, new: old.at[where].set(new), extra.trials, data)
        reward = trials.trajectory.reward.reshape(num_tasks, -1)
        half, quarter = reward.shape[1] // 2, max(1, reward.shape[1] // 4)
        progress = reward[:, half:].mean(1) > reward[:, :quarter].mean()
        progress = extra.progress.at[where].set(progress)
        return extra._replace(trials=stored, progress=progress, num_trials=extra.num_trials + num_tasks)

    def _trained(self, params: TransferParams) -> PyTree:
        """Which parameters Adam moves."""
        fixed = [params.epsilon, *params.met]
        fixed += jax.tree.leaves(params.knowledge) if self.features == "random" else []
        fixed += [params.prior_mean, params.log_precision] if self.prior == "isotropic" else []
        return jax.tree.map(lambda x: eqx.is_inexact_array(x) and all(x is not f for f in fixed), params)

    def _optimizer(self) -> optax.GradientTransformation:
        steps = self.anneal_steps * (self.num_gradient_steps + self.num_regression_steps)
        rate = optax.linear_schedule(self.learning_rate, self.learning_rate / 10, steps)
        return optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))
