"""Reptile on action preferences: the smallest complete method, kept working to be copied (see CONTRIBUTING.md).

A module opens with what it is in one line, then the citation: Nichol et al. 2018, arXiv:1803.02999 (outer loop);
Williams 1992, and Sutton and Barto 2018, section 2.8 (inner loop).

Then what changes in a task and what changes across tasks, in one or two equations whose symbols are names in the code.
In task i, after each block of steps with actions a and rewards r, the preferences φ and the mean reward r̄ move::

    φ ← φ + step_size · mean_block[(r − r̄) ∇ log softmax(φ)[a]],        starting from φ = θ

and across tasks the initial preferences θ move towards where the tasks ended::

    θ ← θ + meta_step_size · mean_i[φ_i − θ]

Then, numbered, every way in which the code departs from what it cites:

Differs from the paper:

1. The policy ignores the observation: θ has one number an action.
2. An action is credited with its own reward alone, so what it does to later rewards is not learned.
3. The outer step is plain interpolation; the paper's experiments use Adam.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from quickstudy.errors import InvalidArgument, require_within
from quickstudy.learner import AbstractLearner
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.policy import Categorical
from quickstudy.types import Action, Info, Spec, TimeStep, Trajectory, Trial

Preferences = Float[Array, " A"]


class TaskKnowledge(NamedTuple):
    """The learner's state: all that the task has taught. Only `PreferenceLearner.update` writes it."""

    preferences: Preferences
    mean_reward: Float[Array, ""]
    num_steps: Float[Array, ""]


class PreferenceLearner(AbstractLearner[Preferences, TaskKnowledge, tuple[()]]):
    """What the agent does inside one task: a softmax over preferences, improved after every block."""

    step_size: float = 1.0
    """How far a reward above average moves the preference for its action."""

    def init(self, params: Preferences, *, key: Key[Array, ""]) -> TaskKnowledge:
        """Every trial starts from the meta-learned preferences."""
        del key
        return TaskKnowledge(params, jnp.zeros(()), jnp.zeros(()))

    def init_carry(self, params: Preferences) -> tuple[()]:
        """A stream needs no memory: what is learned is learned in `update`."""
        del params
        return ()

    def act(
        self, params: Preferences, state: TaskKnowledge, carry: tuple[()], timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Action, tuple[()], None]:
        """Draw an action; nothing needs to be stored beside it (``aux`` is None)."""
        del params, timestep
        return Categorical(state.preferences).sample(key=key), carry, None

    def update(
        self, params: Preferences, state: TaskKnowledge, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[TaskKnowledge, Info]:
        """One policy-gradient step on a block ``[T, N]``, with the mean reward before it as the baseline."""
        del params, key
        advantage = trajectory.reward - state.mean_reward

        def objective(preferences: Preferences) -> Float[Array, ""]:
            log_prob = jax.vmap(jax.vmap(Categorical(preferences).log_prob))(trajectory.action)
            return jnp.mean(advantage * log_prob)

        preferences = state.preferences + self.step_size * jax.grad(objective)(state.preferences)
        num_steps = state.num_steps + advantage.size
        mean_reward = state.mean_reward + jnp.sum(advantage) / num_steps
        return TaskKnowledge(preferences, mean_reward, num_steps), {}


class PreferenceReptile(AbstractMetaAlgorithm):
    """What happens across tasks: the preferences to start from move towards those that the tasks led to."""

    step_size: float = 1.0
    """The learner's step size."""
    meta_step_size: float = 0.1
    """How far θ moves towards the tasks' mean, between 0 and 1."""

    def __check_init__(self):
        require_within("(0, 1]", self, "meta_step_size")

    @property
    def learner(self) -> PreferenceLearner:
        """The inner loop with this method's hyperparameters."""
        return PreferenceLearner(self.step_size)

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """No preference for any action."""
        del key
        if spec.num_actions is None:
            raise InvalidArgument("preferences need discrete actions, and this family's are continuous")
        return MetaState(jnp.zeros(spec.num_actions), None, jnp.zeros((), jnp.int32))

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """One Reptile step from the final states of K tasks; every entry of ``Info`` becomes a logged metric."""
        del key
        adapted: TaskKnowledge = trials.final.state
        change = jnp.mean(adapted.preferences, axis=0) - state.params
        info = {"change": jnp.linalg.norm(change)}
        return MetaState(state.params + self.meta_step_size * change, None, state.step + 1), info
