"""Learning in the task without having learned to learn: what meta-trained starts are measured against.

`FromScratch` begins every task with a random policy. `FineTunedPPO` begins with one policy that PPO trained on all
tasks at once (a transferable policy). Both then improve it on the task's rollouts by PPO (Schulman et al. 2017,
arXiv:1707.06347), or by one step of REINFORCE (Williams 1992), with the advantages that the other gradient methods use.

Differs from the paper:

1. The baseline is linear in features and fitted to each block in closed form instead of a value network.
2. Every epoch takes one step on the whole block.
"""

from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Key, PyTree

from quickstudy.algorithms.gradient.judge import last_block
from quickstudy.algorithms.gradient.learner import (
    GradientParams,
    InnerLoop,
    PolicyAux,
    PolicyGradientLearner,
    draw_action,
    log_probs,
    policies,
)
from quickstudy.algorithms.gradient.outer import ClippedAscent, begin, improve
from quickstudy.errors import require_counts, require_within, unknown
from quickstudy.family import AbstractFamily
from quickstudy.learner import AbstractLearner
from quickstudy.meta import AbstractMetaAlgorithm, MetaState, Untrained
from quickstudy.nets.task_policy import PolicyNetwork, TaskPolicy
from quickstudy.ops.policy_gradient import clipped
from quickstudy.types import Action, Budget, Budgets, Info, Spec, TimeStep, Trajectory, Trial

Rule = Literal["ppo", "reinforce"]


class TaskPPO(eqx.Module):
    """Hyperparameters of PPO within one task."""

    learning_rate: float = 1e-2
    """Adam's step size."""
    num_epochs: int = 10
    """Gradient steps on a block of rollouts."""
    clip: float = 0.2
    """How far the probability ratio may leave 1."""

    def __check_init__(self):
        require_counts(self, "num_epochs", prefix="task_ppo.")
        require_within("(0, inf)", self, "learning_rate", "clip", prefix="task_ppo.")


class PPOState(NamedTuple):
    """The policy as far as the task has taught it, and Adam's state."""

    policy: TaskPolicy
    opt_state: PyTree


class PPOLearner(AbstractLearner[GradientParams, PPOState, tuple[()]]):
    """Acts by its policy; every update is PPO on the block before it."""

    inner: InnerLoop
    ppo: TaskPPO

    def init(self, params: GradientParams, *, key: Key[Array, ""]) -> PPOState:
        """The given policy and a fresh optimiser."""
        del key
        return PPOState(params.policy, self._optimizer().init(eqx.filter(params.policy, eqx.is_inexact_array)))

    def init_carry(self, params: GradientParams) -> tuple[()]:
        """A stream needs no memory."""
        del params
        return ()

    def act(
        self, params: GradientParams, state: PPOState, carry: tuple[()], timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Action, tuple[()], PolicyAux]:
        """Draw an action from the policy."""
        del params
        action, aux = draw_action(state.policy, timestep, key=key)
        return action, carry, aux

    def update(
        self, params: GradientParams, state: PPOState, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[PPOState, Info]:
        """``num_epochs`` steps of Adam on the clipped surrogate. A block that is not finite changes nothing."""
        del params, key
        advantage = PolicyGradientLearner(self.inner).advantages(trajectory)
        arrays, static = eqx.partition(state.policy, eqx.is_inexact_array)

        def loss(arrays: PyTree) -> Float[Array, ""]:
            log_prob = log_probs(policies(eqx.combine(arrays, static), trajectory), trajectory)
            surrogate = jax.vmap(lambda new, old, a: clipped(new, old, a, self.ppo.clip), 1, 1)
            return -surrogate(log_prob, trajectory.aux.log_prob, advantage).mean()

        def epoch(carry: tuple[PyTree, PyTree], _: None) -> tuple[tuple[PyTree, PyTree], None]:
            arrays, opt_state = carry
            updates, opt_state = self._optimizer().update(jax.grad(loss)(arrays), opt_state)
            return (optax.apply_updates(arrays, updates), opt_state), None

        (arrays, opt_state), _ = jax.lax.scan(epoch, (arrays, state.opt_state), length=self.ppo.num_epochs)
        new = PPOState(eqx.combine(arrays, static), opt_state)
        finite = jnp.all(jnp.isfinite(advantage))
        return jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, state), {"finite": finite}

    def _optimizer(self) -> optax.GradientTransformation:
        return optax.adam(self.ppo.learning_rate)


class FromScratch(Untrained):
    """A random policy that learns in the task alone; nothing is meta-learned."""

    network: PolicyNetwork = PolicyNetwork()
    """The policy."""
    rule: Rule = "ppo"
    """How it learns in the task."""
    inner: InnerLoop = InnerLoop()
    """Rollouts and advantages; its step sizes are those of REINFORCE."""
    task_ppo: TaskPPO = TaskPPO()
    """PPO within the task."""

    def __check_init__(self):
        if self.rule not in ("ppo", "reinforce"):
            raise unknown("rule", self.rule, ("ppo", "reinforce"))

    @property
    def learner(self) -> PPOLearner | PolicyGradientLearner:
        """PPO or REINFORCE on the task's rollouts."""
        return PPOLearner(self.inner, self.task_ppo) if self.rule == "ppo" else PolicyGradientLearner(self.inner)

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A freshly initialised policy."""
        return MetaState(GradientParams(self.network.build(spec, key=key)), None, jnp.zeros((), jnp.int32))


class FineTunedPPO(AbstractMetaAlgorithm):
    """One policy trained on all tasks at once, then fine-tuned by PPO in each."""

    network: PolicyNetwork = PolicyNetwork()
    """The policy."""
    inner: InnerLoop = InnerLoop()
    """Rollouts and advantages."""
    task_ppo: TaskPPO = TaskPPO()
    """PPO within the task."""
    ascent: ClippedAscent = ClippedAscent()
    """PPO on all tasks."""

    @property
    def learner(self) -> PPOLearner:
        """PPO on the task's rollouts."""
        return PPOLearner(self.inner, self.task_ppo)

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A freshly initialised policy and optimiser."""
        return begin(GradientParams(self.network.build(spec, key=key)), self.ascent)

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """PPO on the rollouts of K tasks, one block each."""
        del key
        return improve(state, trials, PolicyGradientLearner(self.inner), self.ascent, weights=last_block)

    def budgets(self, family: AbstractFamily) -> Budgets:
        """Training takes one block of rollouts from a task, before it adapts."""
        test = self.inner.test_budget(family)
        return Budgets(Budget(1, test.block_length, test.num_streams, fresh_blocks=True), test)
