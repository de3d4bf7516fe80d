"""The agent of every method that has a model of the task: it plans through the model, and the model adapts."""

import abc
from dataclasses import replace
from typing import Any, Generic, NamedTuple, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key, PyTree

from quickstudy.errors import InvalidArgument, require_counts, require_within
from quickstudy.family import AbstractFamily
from quickstudy.learner import AbstractLearner
from quickstudy.nets.dynamics import InnerModel, Scale
from quickstudy.nets.features import flat_obs
from quickstudy.planning.shooting import AbstractProposal, Planner, plan, plan_return
from quickstudy.types import Action, Budgets, Info, TimeStep, Trajectory


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


class PlanningLearner(AbstractLearner[ModelParams, TaskState, AbstractProposal]):
    """Plans through the task's models, each plan scored by the mean of what it returns in them.

    The carry is the plan to go on from; `aux` says whether every candidate had to be discarded.
    """

    model: AbstractTaskModel
    """How the models come about."""
    planner: Planner
    """How it plans."""
    optimism: float = 0.0
    """Standard deviations over the ensemble that are added to a plan's mean return."""
    epsilon: float = 0.0
    """Share of random actions."""

    def init(self, params: ModelParams, *, key: Key[Array, ""]) -> TaskState:
        """The models before the task has shown anything."""
        return self.model.init(params, key=key)

    def init_carry(self, params: ModelParams) -> AbstractProposal:
        """No plan."""
        base = params.meta.base
        return self.planner.proposal(base.num_actions, base.action_shape)

    def act(
        self,
        params: ModelParams,
        state: TaskState,
        carry: AbstractProposal,
        timestep: TimeStep,
        *,
        key: Key[Array, ""],
    ) -> tuple[Action, AbstractProposal, Bool[Array, ""]]:
        """The first action of the best plan found, or with ε any."""
        k_plan, k_explore, k_random = jax.random.split(key, 3)
        fresh = self.init_carry(params)
        start = jax.tree.map(lambda new, old: jnp.where(timestep.first, new, old), fresh, carry)
        obs = flat_obs(timestep.obs)

        def score(candidate: Array) -> Float[Array, ""]:
            def in_one(model: InnerModel) -> Float[Array, ""]:
                step = lambda obs, action: model.step(params.scale, obs, action)
                return plan_return(step, obs, candidate, gamma=self.planner.gamma)

            returns = eqx.filter_vmap(in_one)(state.ensemble)
            return returns.mean() + self.optimism * returns.std()

        planned = plan(score, start, self.planner, key=k_plan)
        random = jax.random.bernoulli(k_explore, self.epsilon)
        action = jnp.where(random, fresh.random_action(key=k_random), planned.action)
        return action, planned.proposal.shifted(self.planner), planned.failed

    def update(
        self, params: ModelParams, state: TaskState, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[TaskState, Info]:
        """Let the models adapt to one block ``[T, N, ...]``."""
        del key
        return self.model.update(params, state, trajectory)


class Acting(eqx.Module):
    """Hyperparameters of how an agent with a model acts, in tasks and to collect data."""

    planner: Planner = Planner()
    """How it plans."""
    block_length: int = 1
    """Steps between two updates of the model; 0 for one episode of the family."""
    optimism: float = 0.0
    """Standard deviations over the ensemble that are added to a plan's mean return: exploration while it disagrees."""
    epsilon: float = 0.3
    """Share of random actions in the trials of meta-training."""
    train_candidates: int = 32
    """Candidates of a plan in the trials of meta-training, which has one iteration."""
    train_length: int = 0
    """Steps of a trial of meta-training; 0 for as many as the family's has."""

    def __check_init__(self):
        require_counts(self, "train_candidates", prefix="acting.")
        require_within("[0, inf)", self, "optimism", "train_length", "block_length", prefix="acting.")
        require_within("[0, 1]", self, "epsilon", prefix="acting.")

    def learner(self, model: AbstractTaskModel) -> PlanningLearner:
        """What acts in a task."""
        return PlanningLearner(model, self.planner, self.optimism)

    def explorer(self, model: AbstractTaskModel) -> PlanningLearner:
        """What acts in meta-training: cheaper plans, and random actions."""
        elites = min(self.planner.num_elites, self.train_candidates)
        planner = replace(self.planner, num_candidates=self.train_candidates, num_iterations=1, num_elites=elites)
        return PlanningLearner(model, planner, self.optimism, self.epsilon)

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
