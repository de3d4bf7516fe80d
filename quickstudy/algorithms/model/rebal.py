"""ReBAL: a model of dynamics whose recurrent memory of the task is its adaptation (Nagabandi et al. 2019).

"Learning to adapt in dynamic, real-world environments through meta-reinforcement learning", arXiv:1803.11347. A GRU
reads the task's transitions, and the model reads what it remembers::

    h_t   =  GRU(h_{t−1}, d_t)
    loss  =  mean_t −log p(d_{t+1} | h_t),     over some t of a trial

The agent plans through the model with the memory as it stands: W h is a bias of each network's first layer.

Differs from the paper:

1. The memory reads true transitions alone and stays as it is within a plan, where the paper's recurrent model predicts
   step by step: the model stays one that any planner can use.
2. Reward and termination are learned, by probabilistic networks, and planned through by MPPI: what is
   written on GrBAL holds here too.
3. A GRU instead of an LSTM.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.algorithms.memory import filled_rows, transitions_of
from quickstudy.algorithms.model.learner import (
    AbstractMetaModel,
    AbstractTaskModel,
    Acting,
    ModelParams,
    PlanningLearner,
    TaskState,
)
from quickstudy.algorithms.model.parts import Fitting, ModelNetwork, ensemble_loss
from quickstudy.errors import require_counts
from quickstudy.family import AbstractFamily
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.dynamics import InnerModel, Scale, num_transition_numbers, transition_numbers
from quickstudy.nets.init import deviating_linear, drawn
from quickstudy.nets.recurrent import GRU
from quickstudy.types import Budgets, Info, Spec, Trajectory, Transitions, Trial


class RememberingModel(AbstractMetaModel):
    """A memory of transitions, and models ``[E]`` that read it."""

    base: InnerModel
    cell: GRU
    motion_bias: eqx.nn.Linear
    outcome_bias: eqx.nn.Linear

    def read(self, scale: Scale, memory: Float[Array, " H"], row: Transitions) -> Float[Array, " H"]:
        """The memory after one more transition; one whose weight is 0 changes nothing."""
        after = self.cell.advance(memory, transition_numbers(scale, row, self.base.num_actions))
        return jnp.where(row.weight > 0, after, memory)

    def ensemble(self, memory: Float[Array, " H"]) -> InnerModel:
        """The models of a task that is remembered so."""
        biases = eqx.filter_vmap(lambda layer: layer(memory))
        where = lambda model: (model.motion[0].bias, model.outcome[0].bias)
        motion, outcome = where(self.base)
        changed = (motion + biases(self.motion_bias), outcome + biases(self.outcome_bias))
        return eqx.tree_at(where, self.base, changed)


class RecurrentModel(AbstractTaskModel[RememberingModel, Float[Array, " H"]]):
    """What happens in a task: it is read."""

    def init(self, params: ModelParams[RememberingModel], *, key: Key[Array, ""]) -> TaskState:
        """Nothing is remembered."""
        del key
        memory = params.meta.cell.initial()
        return TaskState(params.meta.ensemble(memory), memory)

    def update(
        self, params: ModelParams[RememberingModel], state: TaskState, trajectory: Trajectory
    ) -> tuple[TaskState, Info]:
        """Read the block in the order of time."""
        step = lambda memory, row: (params.meta.read(params.scale, memory, row), None)
        memory, _ = jax.lax.scan(step, state.known, transitions_of(trajectory))
        return TaskState(params.meta.ensemble(memory), memory), {}

    def code(self, known: Float[Array, " H"]) -> Float[Array, " H"]:
        """The memory."""
        return known


class ReBAL(AbstractMetaAlgorithm):
    """Recurrence-based adaptive learner: a dynamics model that reads a memory, and planning through it."""

    network: ModelNetwork = ModelNetwork()
    """The inner models."""
    memory_width: int = 32
    """Units of the memory."""
    acting: Acting = Acting()
    """How the agent acts."""
    fitting: Fitting = Fitting()
    """How the model is trained."""

    def __check_init__(self):
        require_counts(self, "memory_width")
        self.acting.require_disagreement(self.network.num_members)

    @property
    def learner(self) -> PlanningLearner:
        """The inner loop with this method's hyperparameters."""
        return self.acting.learner(RecurrentModel())

    @property
    def explorer(self) -> PlanningLearner:
        """The inner loop with cheaper plans and random actions."""
        return self.acting.explorer(RecurrentModel())

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A fresh memory and models, and no trials."""
        k_base, k_cell, k_biases = jax.random.split(key, 3)
        cell = GRU(eqx.nn.GRUCell(num_transition_numbers(spec), self.memory_width, key=k_cell))
        layer = deviating_linear(self.memory_width, self.network.width, scale=1.0)
        read = lambda k: drawn((layer, layer), key=k)
        motion_bias, outcome_bias = eqx.filter_vmap(read)(jax.random.split(k_biases, self.network.num_members))
        base = self.network.build(spec, key=k_base)
        meta = RememberingModel(base=base, cell=cell, motion_bias=motion_bias, outcome_bias=outcome_bias)
        return self.fitting.begin(meta, spec)

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """Store K trials; then some steps of Muon on `task_loss` of stored ones."""
        return self.fitting.improve(state, trials, self.task_loss, key=key)

    def task_loss(
        self, meta: RememberingModel, scale: Scale, data: Transitions, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Info]:
        """How badly transitions of a trial are predicted by what is remembered of those before them."""
        step = lambda memory, row: (meta.read(scale, memory, row), memory)
        _, before = jax.lax.scan(step, meta.cell.initial(), data)

        def one(memory: Float[Array, " H"], row: Transitions) -> tuple[Float[Array, ""], Float[Array, ""]]:
            return ensemble_loss(meta.ensemble(memory), scale, jax.tree.map(lambda x: x[None], row))

        rows = filled_rows(data, self.fitting.num_targets, key=key)
        surprise, error = jax.vmap(one)(*jax.tree.map(lambda x: x[rows], (before, data)))
        surprise, error = surprise.mean() / self.network.num_members, error.mean()
        return surprise, {"surprise": surprise, "error": error}

    def budgets(self, family: AbstractFamily) -> Budgets:
        """Trials as `acting` says."""
        return self.acting.budgets(family)
