"""The inner loop that all gradient methods share: policy gradient on one task's rollouts.

A block ``[T, N]`` holds the rollouts of one policy. After it the policy's parameters φ take one step::

    φ ← φ + D (c' − c) + α ⊙ mean_t[A_t ∇ log π_φ(a_t|s_t)]

A are generalised advantages over a linear-feature baseline fitted to the block in closed form, α the step sizes (a
number, or learned for every parameter), and D c the part of the parameters that a generator makes from a code c of the
task's transitions so far (c' after the block, c before it). Without a generator that part is absent: MAML's step.

The step is differentiable in the meta-parameters: outer loops run it again on stored rollouts.
"""

from typing import Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key, PyTree

from quickstudy.algorithms.gradient.generator import PolicyGenerator
from quickstudy.errors import InvalidArgument, require_counts, require_within, unknown
from quickstudy.family import AbstractFamily
from quickstudy.learner import AbstractLearner
from quickstudy.nets.encoder import Evidence
from quickstudy.nets.features import flat_obs, obs_features
from quickstudy.nets.policy import Categorical, DiagonalGaussian
from quickstudy.nets.task_policy import Part, TaskPolicy, part_of
from quickstudy.ops.linear_baseline import fit_linear, steps_since_first, time_features
from quickstudy.ops.policy_gradient import dice, discounted_returns, low_variance_curvature, score_function
from quickstudy.ops.returns import generalized_advantage
from quickstudy.types import Action, Budget, Info, TimeStep, Trajectory

Surrogate = Literal["score-function", "low-variance-curvature", "dice"]
SURROGATES = {"score-function": score_function, "low-variance-curvature": low_variance_curvature, "dice": dice}


class InnerLoop(eqx.Module):
    """Hyperparameters of the inner loop."""

    num_updates: int = 1
    """Updates in a trial of meta-training; a trial of the evaluation fills the family's trial with blocks."""
    num_streams: int = 20
    """Rollouts between two updates."""
    block_length: int = 0
    """Steps of a rollout; 0 for one episode of the family."""
    step_size: float = 0.1
    """α of the first update; where α is learned, what it starts from."""
    later_step_size: float = 0.1
    """α of the second update and those after it, where it is not learned."""
    gamma: float = 0.99
    """Discount within an episode."""
    trace: float = 1.0
    """λ of the generalised advantage estimate."""
    ridge: float = 1e-5
    """Regularisation of the linear baseline."""
    normalize: bool = True
    """Scale the advantages of a block to mean 0 and standard deviation 1."""
    surrogate: Surrogate = "low-variance-curvature"
    """What is differentiated: decides what the outer loop's gradient sees of the inner step."""
    first_order: bool = False
    """Treat the inner gradient as a constant in the outer loop."""
    remat: bool = False
    """Recompute inner steps in the outer loop's backward pass: memory does not grow with their number, time does."""

    def __check_init__(self):
        require_counts(self, "num_updates", "num_streams", prefix="inner.")
        if self.block_length < 0:
            raise InvalidArgument(f"inner.block_length must be at least 0 (one episode), got {self.block_length}")
        require_within("(0, inf)", self, "step_size", "later_step_size", "ridge", prefix="inner.")
        require_within("[0, 1]", self, "gamma", "trace", prefix="inner.")
        if self.surrogate not in SURROGATES:
            raise unknown("inner.surrogate", self.surrogate, SURROGATES)

    def train_budget(self, family: AbstractFamily) -> Budget:
        """A trial of meta-training: ``num_updates`` blocks to learn from and one to be judged by."""
        return Budget(self.num_updates + 1, self._length(family), self.num_streams, fresh_blocks=True)

    def test_budget(self, family: AbstractFamily) -> Budget:
        """A trial of the evaluation: as long as the family's, in every stream."""
        length, steps = self._length(family), family.budget.steps_per_stream
        episode = family.episode_length
        if steps % length or length % episode:
            raise InvalidArgument(
                f"inner.block_length={length} must be whole episodes of {episode} steps, and divide the {steps} steps "
                f"of a trial of {type(family).__name__}: change one of them"
            )
        return Budget(steps // length, length, self.num_streams, fresh_blocks=True)

    def _length(self, family: AbstractFamily) -> int:
        return self.block_length or family.episode_length


class GradientParams(eqx.Module):
    """Meta-parameters: where every task starts, and how it moves.

    Attributes:
        policy: the parameters φ of a task that has shown nothing (without the generator's part).
        step_sizes: α for every parameter that adapts; None where `InnerLoop` gives it.
        generator: from the task's transitions to a change of φ; None for none.
    """

    policy: TaskPolicy
    step_sizes: PyTree = None
    generator: PolicyGenerator | None = None


class Adaptation(NamedTuple):
    """What the task has taught: the adapted parameters, the transitions' summary, and the number of updates."""

    policy: TaskPolicy
    evidence: Evidence | None
    num_updates: Int[Array, ""]


class PolicyAux(NamedTuple):
    """What outer loops need to know about the moment of acting."""

    log_prob: Float[Array, "*axes"]
    policy: Categorical | DiagonalGaussian


class PolicyGradientLearner(AbstractLearner[GradientParams, Adaptation, tuple[()]]):
    """Acts by the adapted policy; every update is one step of policy gradient on the block before it."""

    inner: InnerLoop
    part: Part = "all"

    def init(self, params: GradientParams, *, key: Key[Array, ""]) -> Adaptation:
        """The meta-learned start."""
        del key
        evidence, policy = None, params.policy
        if params.generator is not None:
            evidence = params.generator.encoder.initial()
            policy = eqx.apply_updates(policy, params.generator.prior())
        return Adaptation(policy, evidence, jnp.zeros((), jnp.int32))

    def init_carry(self, params: GradientParams) -> tuple[()]:
        """A stream needs no memory."""
        del params
        return ()

    def act(
        self, params: GradientParams, state: Adaptation, carry: tuple[()], timestep: TimeStep, *, key: Key[Array, ""]
    ) -> tuple[Action, tuple[()], PolicyAux]:
        """Draw an action from the adapted policy."""
        del params
        action, aux = draw_action(state.policy, timestep, key=key)
        return action, carry, aux

    def update(
        self, params: GradientParams, state: Adaptation, trajectory: Trajectory, *, key: Key[Array, ""]
    ) -> tuple[Adaptation, Info]:
        """One inner step. A block whose gradient is not finite changes nothing, and ``info["finite"]`` says so."""
        del key
        return self.step(params, state, trajectory, self.advantages(trajectory))

    def step(
        self, params: GradientParams, state: Adaptation, trajectory: Trajectory, advantage: Float[Array, "T N"]
    ) -> tuple[Adaptation, Info]:
        """The inner step, given the block's `advantages`: they do not depend on the parameters."""
        gradient = self._gradient(state.policy, trajectory, advantage)
        step_sizes = params.step_sizes
        if step_sizes is None:
            alpha = jnp.where(state.num_updates == 0, self.inner.step_size, self.inner.later_step_size)
            step_sizes = jax.tree.map(lambda _: alpha, gradient)
        policy = eqx.apply_updates(state.policy, jax.tree.map(jnp.multiply, step_sizes, gradient))
        evidence = state.evidence
        if params.generator is not None and state.evidence is not None:
            evidence = params.generator.encoder.add(state.evidence, trajectory)
            policy = eqx.apply_updates(policy, params.generator.change(state.evidence, evidence))
        new = Adaptation(policy, evidence, state.num_updates + 1)
        finite = _all_finite((gradient, evidence))
        kept = jax.tree.map(lambda new, old: jnp.where(finite, new, old), new, state)
        norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in jax.tree.leaves(gradient)))
        return kept, {"finite": finite, "inner_gradient_norm": jnp.where(finite, norm, 0.0)}

    def advantages(self, trajectory: Trajectory) -> Float[Array, "T N"]:
        """Advantages of a block over a baseline fitted to it; every episode ends with its block."""
        inner = self.inner
        last = trajectory.terminated | trajectory.truncated
        last = last.at[-1].set(True).astype(jnp.float32)
        time = jax.vmap(steps_since_first, 1, 1)(trajectory.timestep.first)
        features = jax.vmap(jax.vmap(lambda timestep, t: time_features(obs_features(timestep), t)))(
            trajectory.timestep, time
        )
        target = jax.vmap(lambda r, d: discounted_returns(r, d, inner.gamma), 1, 1)(trajectory.reward, last)
        flat = features.reshape(-1, features.shape[-1])
        value = features @ fit_linear(flat, target.ravel(), inner.ridge)
        following = jnp.concatenate([value[1:], jnp.zeros_like(value[:1])])
        discount = inner.gamma * (1.0 - last)
        advantage = jax.vmap(generalized_advantage, 1, 1)(
            trajectory.reward, discount, value, following, jnp.full_like(value, inner.trace)
        )
        if inner.normalize:
            advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        return advantage

    def _gradient(self, policy: TaskPolicy, trajectory: Trajectory, advantage: Float[Array, "T N"]) -> PyTree:
        """The policy gradient with respect to the parameters that adapt; None in place of the others."""
        adapts, fixed = eqx.partition(policy, part_of(policy, self.part))
        surrogate = jax.vmap(SURROGATES[self.inner.surrogate], 1, 1)

        def objective(adapts: PyTree) -> Float[Array, ""]:
            log_prob = log_probs(policies(eqx.combine(adapts, fixed), trajectory), trajectory)
            return jnp.mean(surrogate(log_prob, trajectory.aux.log_prob, advantage))

        gradient = jax.grad(objective)(adapts)
        return jax.lax.stop_gradient(gradient) if self.inner.first_order else gradient


def draw_action(policy: TaskPolicy, timestep: TimeStep, *, key: Key[Array, ""]) -> tuple[Action, PolicyAux]:
    """One action of a policy, with what outer loops need to know about it."""
    distribution = policy(obs_features(timestep))
    action = distribution.sample(key=key)
    return action, PolicyAux(distribution.log_prob(action), distribution)


def constant_step_sizes(policy: TaskPolicy, alpha: float) -> PyTree:
    """The same step size for every parameter, as arrays to be learned."""
    return jax.tree.map(lambda x: jnp.full_like(x, alpha), eqx.filter(policy, eqx.is_inexact_array))


def policies(policy: TaskPolicy, trajectory: Trajectory) -> Categorical | DiagonalGaussian:
    """The distributions of a policy at every step of a block ``[T, N]``, as one axis ``[T·N]``: one matrix product."""
    flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), trajectory.timestep.obs)
    return jax.vmap(lambda obs: policy(flat_obs(obs)))(flat)


def log_probs(distributions: Categorical | DiagonalGaussian, trajectory: Trajectory) -> Float[Array, "T N"]:
    """Log-probabilities of a block's actions under the distributions of `policies`."""
    shape = trajectory.reward.shape
    action = trajectory.action.reshape(-1, *trajectory.action.shape[2:])
    return jax.vmap(lambda p, a: p.log_prob(a))(distributions, action).reshape(shape)


def _all_finite(tree: PyTree) -> Bool[Array, ""]:
    leaves = [jnp.all(jnp.isfinite(x)) for x in jax.tree.leaves(tree) if eqx.is_inexact_array(x)]
    return jnp.all(jnp.stack(leaves))
