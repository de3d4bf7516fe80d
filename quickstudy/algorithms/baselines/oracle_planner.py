"""The planner that holds the true dynamics: what planning is worth when nothing has to be learned."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree

from quickstudy.envs.base import AbstractObservedEnv
from quickstudy.family import AbstractYardstick
from quickstudy.learner import AbstractLearner
from quickstudy.planning.shooting import AbstractProposal, Planner, plan, plan_return
from quickstudy.types import Action, Budget, Info, TimeStep, Trajectory
from quickstudy.yardsticks import PolicyYardstick


class OraclePlanner(AbstractLearner[PyTree, None, AbstractProposal]):
    """Plans in the environment itself; ``params`` are the task. The carry is the plan to go on from.

    It plans from the start of an episode's clock, as one that learned the dynamics would: time limits are not seen.
    """

    env: AbstractObservedEnv
    """What it acts and plans in."""
    planner: Planner = Planner()
    """How it plans."""

    def init(self, params: PyTree, *, key: Key[Array, ""]) -> None:
        """Nothing is learned."""
        del params, key

    def init_carry(self, params: PyTree) -> AbstractProposal:
        """No plan."""
        del params
        spec = self.env.spec
        return self.planner.proposal(spec.num_actions, spec.action.shape)

    def act(
        self, params: PyTree, state: None, carry: AbstractProposal, timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Action, AbstractProposal, None]:
        """The first action of the best plan found."""
        del state
        k_model, k_plan = jax.random.split(key)
        fresh = self.init_carry(params)
        start = jax.tree.map(lambda new, old: jnp.where(timestep.first, new, old), fresh, carry)

        def model(env_state: PyTree, action: Action) -> tuple[PyTree, Float[Array, ""], Float[Array, ""]]:
            env_state, out = self.env.step(params, env_state, action, key=k_model)
            return env_state, out.reward, 1.0 - out.terminated

        here = self.env.state_at(timestep.obs)
        planned = plan(lambda p: plan_return(model, here, p, gamma=self.planner.gamma), start, self.planner, key=k_plan)
        return planned.action, planned.proposal.shifted(self.planner), None

    def update(self, params: PyTree, state: None, trajectory: Trajectory, *, key: Key[Array, ""]) -> tuple[None, Info]:
        """Learn nothing."""
        del params, state, trajectory, key
        return None, {}


class OraclePlannerYardstick(AbstractYardstick):
    """`OraclePlanner`, measured by running it: one trial of ``budget`` in the task."""

    env: AbstractObservedEnv
    budget: Budget
    num_episodes: int
    planner: Planner = Planner()
    name: str = "oracle planner"

    def returns(self, task: PyTree, *, key: Key[Array, ""]) -> Float[Array, " E"]:
        """Returns of one trial's episodes; NaN for an episode that was not completed."""
        learner = OraclePlanner(self.env, self.planner)
        run = PolicyYardstick(self.name, learner, self.env, self.budget, self.num_episodes, params=task)
        return run.returns(task, key=key)
