"""The agent of every method that has a model of the task: it plans through the model, and the model adapts."""

import abc
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, Num, PyTree

from quickstudy.errors import InvalidArgument, require_counts, require_within
from quickstudy.family import AbstractFamily
from quickstudy.learner import AbstractEncodingLearner, AbstractPredictingLearner, CarryT
from quickstudy.nets.dynamics import InnerModel, Scale
from quickstudy.nets.features import flat_obs
from quickstudy.planning.shooting import AbstractProposal, Planner, plan, plan_return
from quickstudy.types import Action, Budgets, Info, Obs, TimeStep, Trajectory


class AbstractMetaModel(eqx.Module):
    """What a method learns across tasks."""

    base: eqx.AbstractVar[InnerModel]
    """An ensemble of inner models, ``[E]``: what those of tasks are made of."""


MetaModelT = TypeVar("MetaModelT", bound=AbstractMetaModel)
KnownT = TypeVar("KnownT")


class ModelParams(eqx.Module, Generic[MetaModelT]):
    """Meta-parameters: what was learned across tasks, and the scale of their transitions."""

    meta: MetaModelT
    scale: Scale


class TaskState(NamedTuple):
    """The learner's state: the inner models of the task, ``[E]``, and what the method knows that they came from."""

    ensemble: InnerModel
    known: PyTree


class TaskBehaviour(NamedTuple):
    """A policy of one task, from an observation to an action, and its value, to what it will earn."""

    action: Callable[[Float[Array, " F"]], Action]
    value: Callable[[Float[Array, " F"]], Float[Array, ""]]


class AbstractTaskModel(eqx.Module, Generic[MetaModelT, KnownT]):
    """How the inner models of a task come about: what a method does in a task beside planning."""

    @abc.abstractmethod
    def init(self, params: ModelParams[MetaModelT], *, key: Key[Array, ""]) -> TaskState:
        """Before the task has shown anything."""

    @abc.abstractmethod
    def update(
        self, params: ModelParams[MetaModelT], state: TaskState, trajectory: Trajectory
    ) -> tuple[TaskState, Info]:
        """After one more block ``[T, N, ...]``."""

    def behaviour(self, params: ModelParams[MetaModelT], state: TaskState) -> TaskBehaviour | None:
        """What was learned in models like that of the task; None for methods that learn nothing there."""
        del params, state
        return None

    def code(self, known: KnownT) -> Float[Array, " C"]:
        """What the models came from, as numbers; none for methods that change the weights themselves."""
        del known
        return jnp.zeros(0)


class AbstractModelLearner(
    AbstractPredictingLearner[ModelParams, TaskState, CarryT], AbstractEncodingLearner[ModelParams, TaskState, CarryT]
):
    """Has models of the task, which adapt to it; how it acts is left open."""

    model: eqx.AbstractVar[AbstractTaskModel]
    """How the models come about."""

    def init(self, params: ModelParams, *, key: Key[Array, ""]) -> TaskState:
        """The models before the task has shown anything."""
        return self.model.init(params, key=key)

    def update(
        self, params: ModelParams, state: TaskState, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[TaskState, Info]:
        """Let the models adapt to one block ``[T, N, ...]``."""
        del key
        return self.model.update(params, state, trajectory)

    def predict(
        self, params: ModelParams, state: TaskState, obs: Obs, actions: Num[Array, "H ..."]
    ) -> tuple[Float[Array, "H F"], Float[Array, " H"]]:
        """The mean over the models of what each expects, step by step from where it thought the last one led."""

        def in_one(model: InnerModel) -> tuple[Float[Array, "H F"], Float[Array, " H"]]:
            def step(obs: Float[Array, " F"], action: Action) -> tuple[Array, tuple[Array, Array]]:
                next_obs, reward, _ = model.step(params.scale, obs, action)
                return next_obs, (next_obs, reward)

            return jax.lax.scan(step, flat_obs(obs), actions)[1]

        next_obs, rewards = eqx.filter_vmap(in_one)(state.ensemble)
        return next_obs.mean(axis=0), rewards.mean(axis=0)

    def code(self, params: ModelParams, state: TaskState, carry: CarryT) -> Float[Array, " C"]:
        """What the task's models came from."""
        del params, carry
        return self.model.code(state.known)


class Course(NamedTuple):
    """What an agent that plans carries from step to step: the plan to go on from, and a random action that lasts.

    Attributes:
        proposal: the plan, one step on.
        strays: whether the random action is followed instead of the plan.
        random_action: the action.
    """

    proposal: AbstractProposal
    strays: Bool[Array, ""]
    random_action: Action


class PlanningLearner(AbstractModelLearner[Course]):
    """Plans through the task's models, each plan scored by the mean of what it returns in them.

    `aux` says whether every candidate had to be discarded.
    """

    model: AbstractTaskModel
    """How the models come about."""
    planner: Planner
    """How it plans."""
    optimism: float = 0.0
    """Standard deviations over the ensemble that are added to a plan's mean return."""
    ends_with_value: bool = False
    """Whether a plan counts what the value that was learned in models says of its end."""
    epsilon: float = 0.0
    """Share of random actions."""
    hold: int = 1
    """Steps that they last on average."""
    policy_share: float = 0.0
    """Share of the other actions that are those of the policy that was learned in models."""

    def init_carry(self, params: ModelParams) -> Course:
        """No plan."""
        base = params.meta.base
        proposal = self.planner.proposal(base.num_actions, base.action_shape)
        return Course(proposal, jnp.zeros((), bool), jnp.zeros_like(proposal.action))

    def act(
        self,
        params: ModelParams,
        state: TaskState,
        carry: Course,
        timestep: TimeStep,
        *,
        key: Key[Array, ""],
    ) -> tuple[Action, Course, Bool[Array, ""]]:
        """The first action of the best plan found, or in their shares what the policy does, or any."""
        k_plan, k_explore, k_random, k_policy, k_anew = jax.random.split(key, 5)
        fresh = self.init_carry(params).proposal
        start = jax.tree.map(lambda new, old: jnp.where(timestep.first, new, old), fresh, carry.proposal)
        obs = flat_obs(timestep.obs)
        terminal_value = learned_behaviour(self.model, params, state).value if self.ends_with_value else None

        def score(candidate: Array) -> Float[Array, ""]:
            def in_one(model: InnerModel) -> Float[Array, ""]:
                step = lambda obs, action: model.step(params.scale, obs, action)
                return plan_return(step, obs, candidate, gamma=self.planner.gamma, terminal_value=terminal_value)

            returns = eqx.filter_vmap(in_one)(state.ensemble)
            return returns.mean() + self.optimism * returns.std()

        planned = plan(score, start, self.planner, key=k_plan)
        action = planned.action
        if self.policy_share:
            follows = jax.random.bernoulli(k_policy, self.policy_share)
            action = jnp.where(follows, learned_behaviour(self.model, params, state).action(obs), action)
        anew = timestep.first | jax.random.bernoulli(k_anew, 1 / self.hold)
        strays = jnp.where(anew, jax.random.bernoulli(k_explore, self.epsilon), carry.strays)
        random_action = jnp.where(anew, fresh.random_action(key=k_random), carry.random_action)
        course = Course(planned.proposal.shifted(self.planner), strays, random_action)
        return jnp.where(strays, random_action, action), course, planned.failed


class PolicyLearner(AbstractModelLearner[tuple[()]]):
    """Acts by the policy that was learned in models, which costs as little as a network; the models still adapt."""

    model: AbstractTaskModel
    """How the models come about."""

    def init_carry(self, params: ModelParams) -> tuple[()]:
        """Nothing is carried."""
        del params
        return ()

    def act(
        self, params: ModelParams, state: TaskState, carry: tuple[()], timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Action, tuple[()], Bool[Array, ""]]:
        """What the policy does; no plan can have failed."""
        del key
        return learned_behaviour(self.model, params, state).action(flat_obs(timestep.obs)), carry, jnp.zeros((), bool)


def learned_behaviour(model: AbstractTaskModel, params: ModelParams, state: TaskState) -> TaskBehaviour:
    """The policy and the value that were learned in models.

    Raises:
        InvalidArgument: the method learned none.
    """
    behaviour = model.behaviour(params, state)
    if behaviour is None:
        raise InvalidArgument("no policy and no value were learned in models: only MML does, with imagination.horizon")
    return behaviour


class Acting(eqx.Module):
    """Hyperparameters of how an agent with a model acts, in tasks and to collect data."""

    planner: Planner = Planner()
    """How it plans."""
    block_length: int = 1
    """Steps between two updates of the model; 0 for one episode of the family."""
    optimism: float = 0.0
    """Standard deviations over the ensemble that are added to a plan's mean return: exploration while it disagrees."""
    ends_with_value: bool = False
    """Whether a plan counts what the value that was learned in models says of its end; not in meta-training."""
    epsilon: float = 0.3
    """Share of random actions in the trials of meta-training."""
    hold: int = 1
    """Steps that they last on average: above 1 where only persistence pays (Dabney et al. 2021, arXiv:2006.01782)."""
    train_candidates: int = 32
    """Candidates of a plan in the trials of meta-training, which has one iteration."""
    train_length: int = 0
    """Steps of a trial of meta-training; 0 for as many as the family's has."""

    def __check_init__(self):
        require_counts(self, "hold", "train_candidates", prefix="acting.")
        require_within("[0, inf)", self, "optimism", "train_length", "block_length", prefix="acting.")
        require_within("[0, 1]", self, "epsilon", prefix="acting.")

    def require_disagreement(self, num_members: int) -> None:
        """Raises InvalidArgument unless ``num_members`` models can disagree, or nothing asks whether they do."""
        if self.optimism and num_members < 2:
            raise InvalidArgument(
                f"acting.optimism={self.optimism:g} is about models that disagree: network.num_members must be at "
                f"least 2, got {num_members}"
            )

    def learner(self, model: AbstractTaskModel) -> PlanningLearner:
        """What acts in a task."""
        return PlanningLearner(model, self.planner, self.optimism, self.ends_with_value)

    def explorer(self, model: AbstractTaskModel) -> PlanningLearner:
        """What acts in meta-training: cheaper plans, and random actions."""
        elites = min(self.planner.num_elites, self.train_candidates)
        planner = replace(self.planner, num_candidates=self.train_candidates, num_iterations=1, num_elites=elites)
        return PlanningLearner(model, planner, self.optimism, epsilon=self.epsilon, hold=self.hold)

    def budgets(self, family: AbstractFamily) -> Budgets:
        """The family's trial in blocks of ``block_length``, and as much of it in training as ``train_length`` says.

        Raises:
            InvalidArgument: ``block_length`` does not divide the trial, or ``train_length``.
        """
        test = family.trial_in_blocks(self.block_length, option="acting.block_length")
        length = self.train_length or test.steps_per_stream
        if length % test.block_length:
            raise InvalidArgument(
                f"acting.train_length={length} must be a multiple of the {test.block_length} steps of a block"
            )
        return Budgets(test._replace(num_blocks=length // test.block_length), test)


def failed_plans(aux: Any) -> Float[Array, ""]:
    """The share of steps, ``[...]``, in which every plan was discarded and the action was random."""
    return jnp.mean(aux.astype(jnp.float32))
