"""What the tabular baselines share: a conjugate belief about an MDP, and acting by a plan for the episode.

The belief about the next state is a Dirichlet, the one about the mean reward a normal, both independent for every state
and action. With n visits of (s, a), n' of them on to s', R the sum of their rewards (which have variance 1 around their
mean), and m the mean of the prior N(m, 1)::

    P(·|s,a) ~ Dirichlet(1 + n'),   r(s,a) ~ N((m + R) / (1 + n), 1 / (1 + n))
"""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from quickstudy.errors import InvalidArgument
from quickstudy.family import AbstractFamily
from quickstudy.learner import AbstractLearner
from quickstudy.planning.dynamic_programming import TabularMDP, value_iteration
from quickstudy.types import Action, Info, TimeStep, Trajectory


class Visits(NamedTuple):
    """What a task has shown: how often each transition was made, and the sum of rewards of each state and action."""

    transitions: Float[Array, "S A S"]
    reward: Float[Array, "S A"]

    @property
    def tries(self) -> Float[Array, "S A"]:
        """How often each action was taken in each state."""
        return jnp.sum(self.transitions, axis=-1)


class MDPPrior(eqx.Module):
    """What is believed of an MDP before anything was seen of it: every transition law is equally likely."""

    num_states: int
    """S."""
    num_actions: int
    """A."""
    reward_mean: float = 1.0
    """Mean of the normal, of variance 1, that mean rewards come from."""

    def no_visits(self) -> Visits:
        """Nothing seen yet."""
        pairs = (self.num_states, self.num_actions)
        return Visits(jnp.zeros((*pairs, self.num_states)), jnp.zeros(pairs))

    def posterior_mean(self, seen: Visits) -> TabularMDP:
        """The expected MDP."""
        transition = (1 + seen.transitions) / (self.num_states + seen.tries)[..., None]
        return TabularMDP(transition, (self.reward_mean + seen.reward) / (1 + seen.tries))

    def posterior_sample(self, seen: Visits, *, key: Key[Array, ""]) -> TabularMDP:
        """One draw of the MDP."""
        k_transition, k_reward = jax.random.split(key)
        weights = _gamma_of_counts(1 + seen.transitions, key=k_transition)
        transition = weights / jnp.sum(weights, axis=-1, keepdims=True)
        noise = jax.random.normal(k_reward, seen.reward.shape) / jnp.sqrt(1 + seen.tries)
        return TabularMDP(transition, self.posterior_mean(seen).reward + noise)


def _gamma_of_counts(counts: Float[Array, "S A S"], *, key: Key[Array, ""]) -> Float[Array, "S A S"]:
    """Gamma variables with whole-numbered shapes, as sums of exponential ones.

    As many rounds as the largest count; counts are small here, and this is ten times faster than `jax.random.gamma`.
    """

    def add_one(carry: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
        total, drawn, key = carry
        key, k_draw = jax.random.split(key)
        return total + jnp.where(drawn < counts, jax.random.exponential(k_draw, counts.shape), 0.0), drawn + 1, key

    start = (jnp.zeros_like(counts), jnp.zeros((), jnp.int32), key)
    total, _, _ = jax.lax.while_loop(lambda carry: jnp.any(carry[1] < counts), add_one, start)
    return total


class PlanState(NamedTuple):
    """What was seen of the task, and what to do: the action for every step of an episode and every state."""

    seen: Visits
    plan: Int[Array, "H S"]


class AbstractTabularPlanner(AbstractLearner[None, PlanState, Int[Array, ""]]):
    """A learner that plans in an MDP of its own making and acts by the plan. Observations are one-hot states.

    It makes a new plan at the end of every block. The carry is the number of steps that the episode has run.
    """

    prior: eqx.AbstractVar[MDPPrior]
    horizon: eqx.AbstractVar[int]

    @abc.abstractmethod
    def imagine(self, seen: Visits, *, key: Key[Array, ""]) -> TabularMDP:
        """The MDP to plan in."""

    def init(self, params: None, *, key: Key[Array, ""]) -> PlanState:
        """Nothing seen, and a plan made from the prior."""
        del params
        seen = self.prior.no_visits()
        return PlanState(seen, self._plan(seen, key))

    def init_carry(self, params: None) -> Int[Array, ""]:
        """The episode begins."""
        del params
        return jnp.zeros((), jnp.int32)

    def act(
        self, params: None, state: PlanState, carry: Int[Array, ""], timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Action, Int[Array, ""], None]:
        """What the plan says for this step and state; an episode beyond the horizon goes on with the last step's."""
        del params, key
        time = jnp.where(timestep.first, 0, carry)
        action = state.plan[jnp.minimum(time, self.horizon - 1), jnp.argmax(timestep.obs)]
        return action, time + 1, None

    def update(
        self, params: None, state: PlanState, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[PlanState, Info]:
        """Count the block's transitions, add up its rewards, and plan anew."""
        del params
        seen = count_visits(state.seen, trajectory)
        return PlanState(seen, self._plan(seen, key)), {}

    def _plan(self, seen: Visits, key: Key[Array, ""]) -> Int[Array, "H S"]:
        q = value_iteration(self.imagine(seen, key=key), self.horizon)
        return jnp.argmax(q, axis=-1).astype(jnp.int32)


def count_visits(seen: Visits, trajectory: Trajectory) -> Visits:
    """``seen`` and the steps of one block ``[T, N]``."""
    num_actions = seen.reward.shape[1]
    pair = jnp.einsum("tns,tna->tnsa", trajectory.timestep.obs, jax.nn.one_hot(trajectory.action, num_actions))
    transitions = jnp.einsum("tnsa,tnz->saz", pair, trajectory.next_obs)
    reward = jnp.einsum("tnsa,tn->sa", pair, trajectory.reward)
    return Visits(seen.transitions + transitions, seen.reward + reward)


class InStates(AbstractLearner[None, Any, Any]):
    """A tabular learner in an environment whose observations show the state, but not as one-hot vectors."""

    learner: AbstractLearner[None, Any, Any]
    """The learner, which sees one-hot states."""
    state_of: Callable[[Array], Int[Array, "*axes"]]
    """From an observation to the number of the state."""
    num_states: int
    """S."""

    def init(self, params: None, *, key: Key[Array, ""]) -> Any:
        """The learner's own."""
        return self.learner.init(params, key=key)

    def init_carry(self, params: None) -> Any:
        """The learner's own."""
        return self.learner.init_carry(params)

    def act(
        self, params: None, state: Any, carry: Any, timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Action, Any, Any]:
        """What the learner does in this state."""
        return self.learner.act(params, state, carry, timestep._replace(obs=self._shown(timestep.obs)), key=key)

    def update(self, params: None, state: Any, trajectory: Trajectory, *, key: Key[Array, ""]) -> tuple[Any, Info]:
        """What the learner makes of this block."""
        timestep = trajectory.timestep._replace(obs=self._shown(trajectory.timestep.obs))
        shown = trajectory._replace(timestep=timestep, next_obs=self._shown(trajectory.next_obs))
        return self.learner.update(params, state, shown, key=key)

    def _shown(self, obs: Any) -> Float[Array, "*axes S"]:
        return jax.nn.one_hot(self.state_of(obs), self.num_states)


def in_states(learner: AbstractLearner[None, Any, Any], family: AbstractFamily) -> AbstractLearner[None, Any, Any]:
    """``learner``, shown one-hot states whatever the family's observations of them look like."""
    state_of = getattr(family.env, "state_of", None)
    return learner if state_of is None else InStates(learner, state_of, table_shape(family)[0])


def table_shape(family: AbstractFamily) -> tuple[int, int]:
    """Numbers of states and actions of a family of finite MDPs; a bandit has one state.

    Raises:
        InvalidArgument: observations do not show which of finitely many states this is.
    """
    spec = family.env.spec
    bandit = isinstance(spec.obs, jax.ShapeDtypeStruct) and spec.obs.shape == (1,)
    num_states = 1 if bandit else getattr(family.env, "num_states", None)
    if num_states is None or spec.num_actions is None:
        raise InvalidArgument(
            f"tabular learners need to see which of finitely many states they are in, and {type(family).__name__} does "
            "not show it: choose --family random-mdp, grid-navigation or dark-room"
        )
    return num_states, spec.num_actions
