"""GrBAL: a model of dynamics that one gradient step on the latest transitions adapts (Nagabandi et al. 2019).

"Learning to adapt in dynamic, real-world environments through meta-reinforcement learning", arXiv:1803.11347. MAML of
the model: weights θ are trained so that a step on the last M transitions predicts the next K well::

    θ'    =  θ − α ∇ [−log p(d_{t−M:t} | θ)]
    loss  =  mean −log p(d_{t:t+K} | θ'),        through the step

and the agent plans through θ', which is computed anew from θ after every block.

Differs from the paper:

1. Reward and termination are learned with the dynamics; the paper's planner holds the true reward function.
2. Probabilistic networks with the losses of MML, one unless an ensemble is asked for, instead of squared errors.
3. MPPI with a warm start instead of random shooting with 1,000 plans; the planner and its cost are those of MML.
4. The step sizes are learned, one for every parameter (Meta-SGD, Li et al. 2017), from α.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from quickstudy.algorithms.memory import Memory
from quickstudy.algorithms.model.learner import (
    AbstractMetaModel,
    AbstractTaskModel,
    Acting,
    ModelParams,
    PlanningLearner,
    TaskState,
)
from quickstudy.algorithms.model.parts import (
    Fitting,
    ModelNetwork,
    ensemble_loss,
    memory_for,
    random_stretch,
    remember_latest,
)
from quickstudy.errors import require_counts, require_within
from quickstudy.family import AbstractFamily
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.dynamics import InnerModel, Scale
from quickstudy.types import Budgets, Info, Spec, Trajectory, Transitions, Trial


class StartingModel(AbstractMetaModel):
    """Where the step begins, ``[E]``, and the logarithm of its size for every parameter."""

    base: InnerModel
    log_step_sizes: PyTree

    def adapted(self, scale: Scale, data: Transitions) -> InnerModel:
        """The models after one step on the transitions ``[M]`` whose weight is 1."""
        arrays, static = eqx.partition(self.base, eqx.is_inexact_array)
        loss = lambda arrays: ensemble_loss(eqx.combine(arrays, static), scale, data)[0]
        step = lambda x, g, log: x - jnp.exp(log) * g
        return eqx.combine(jax.tree.map(step, arrays, jax.grad(loss)(arrays), self.log_step_sizes), static)


class AdaptedModel(AbstractTaskModel[StartingModel, Memory]):
    """Hyperparameters of what happens in a task."""

    step_size: float = 0.01
    """α, of the gradient step, before it is learned."""
    num_past: int = 16
    """M, latest transitions that the step is on."""

    def __check_init__(self):
        require_within("(0, inf)", self, "step_size", prefix="inner.")
        require_counts(self, "num_past", prefix="inner.")

    def init(self, params: ModelParams[StartingModel], *, key: Key[Array, ""]) -> TaskState:
        """The models that steps begin at."""
        del key
        return TaskState(params.meta.base, memory_for(params.meta.base, params.scale, self.num_past))

    def update(
        self, params: ModelParams[StartingModel], state: TaskState, trajectory: Trajectory
    ) -> tuple[TaskState, Info]:
        """One step from the same start, on the latest transitions."""
        memory = remember_latest(state.known, trajectory)
        return TaskState(params.meta.adapted(params.scale, memory.transitions), memory), {}


class GrBAL(AbstractMetaAlgorithm):
    """Gradient-based adaptive learner: MAML of a dynamics model, and planning through it."""

    network: ModelNetwork = ModelNetwork()
    """The inner models."""
    inner: AdaptedModel = AdaptedModel()
    """What happens in a task."""
    acting: Acting = Acting()
    """How the agent acts."""
    fitting: Fitting = Fitting(num_targets=16)
    """How the start is trained; its ``num_targets`` are K."""

    def __check_init__(self):
        self.acting.require_disagreement(self.network.num_members)

    @property
    def learner(self) -> PlanningLearner:
        """The inner loop with this method's hyperparameters."""
        return self.acting.learner(self.inner)

    @property
    def explorer(self) -> PlanningLearner:
        """The inner loop with cheaper plans and random actions."""
        return self.acting.explorer(self.inner)

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """Fresh models, and no trials."""
        base = self.network.build(spec, key=key)
        log = jnp.log(self.inner.step_size)
        sizes = jax.tree.map(lambda x: jnp.full_like(x, log), eqx.filter(base, eqx.is_inexact_array))
        return self.fitting.begin(StartingModel(base=base, log_step_sizes=sizes), spec)

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """Store K trials; then some steps of Muon on `task_loss` of stored ones."""
        return self.fitting.improve(state, trials, self.task_loss, key=key)

    def task_loss(
        self, meta: StartingModel, scale: Scale, data: Transitions, key: Key[Array, ""]
    ) -> tuple[Float[Array, ""], Info]:
        """How badly the K transitions after M others are predicted after a step on those."""
        num_past, num_next = self.inner.num_past, self.fitting.num_targets
        stretch = random_stretch(data, num_past + num_next, key=key)
        past, later = (jax.tree.map(lambda x, c=cut: x[c], stretch) for cut in (slice(num_past), slice(num_past, None)))
        surprise, error = ensemble_loss(meta.adapted(scale, past), scale, later)
        surprise /= self.network.num_members
        return surprise, {"surprise": surprise, "error": error}

    def budgets(self, family: AbstractFamily) -> Budgets:
        """Trials as `acting` says."""
        return self.acting.budgets(family)
