"""MPO: meta-policy optimisation. A meta-policy network generates the policy of a task, and policy gradient improves it.

(Not maximum a posteriori policy optimisation, Abdolmaleki et al. 2018, which has the same initials.)

An encoder turns the task's transitions so far into a code c, a hypernetwork turns the code into the parameters of the
inner policy, and the inner policy climbs ``Σ_t A_t ∇ log π_φ(a_t|s_t)`` from there, with step sizes α that are learned
for every parameter::

    φ_0 = θ + D c_0,        φ ← φ + D (c' − c) + α ⊙ mean_t[A_t ∇ log π_φ(a_t|s_t)]

θ, D, the encoder and α are trained so that what is generated improves fast: ProMP's clipped surrogate of the return
after every update, through the inner steps (low-variance curvature gives the exploring policy its credit).

With a constant generator (``code_size=0``) and fixed step sizes this is ProMP. The idea is the article's that the
project starts from; its parts: Rothfuss et al. 2019 (outer loop), Beck et al. 2022 (Bias-HyperInit), Zaheer et al. 2017
(order-free encoder), Li et al. 2017 (learned step sizes).
"""

import jax
from jaxtyping import Array, Key

from quickstudy.algorithms.gradient.generator import PolicyGenerator
from quickstudy.algorithms.gradient.judge import every_update, last_block
from quickstudy.algorithms.gradient.learner import (
    GradientParams,
    InnerLoop,
    PolicyGradientLearner,
    constant_step_sizes,
)
from quickstudy.algorithms.gradient.outer import ClippedAscent, begin, improve
from quickstudy.errors import InvalidArgument, require_positive
from quickstudy.meta import AbstractMetaAlgorithm, MetaState
from quickstudy.nets.task_policy import PolicyNetwork
from quickstudy.types import Info, Spec, Trial


class MPO(AbstractMetaAlgorithm):
    """A generator of policies, and policy gradient on what it generates."""

    network: PolicyNetwork = PolicyNetwork()
    """The inner policy."""
    code_size: int = 16
    """Numbers in the code of a task; 0 for a constant generator."""
    encoder_width: int = 64
    """Units in a layer of the encoder."""
    learn_step_sizes: bool = True
    """Learn a step size for every parameter."""
    judge_every_update: bool = True
    """Judge the return after every update; otherwise after the last one alone."""
    first_block_weight: float = 0.0
    """Weight of the return before any update, beside a sum of 1 for those that count after; where reward is sparse, it
    draws the exploring policy to where tasks pay."""
    credit: float = 0.0
    """Weight of what followed, as an advantage for all that the exploring policies did; 0 leaves it out."""
    inner: InnerLoop = InnerLoop()
    """The inner loop."""
    ascent: ClippedAscent = ClippedAscent()
    """The outer loop."""

    def __check_init__(self):
        require_positive(encoder_width=self.encoder_width)
        if self.code_size < 0:
            raise InvalidArgument(f"code_size must be at least 0 (a constant generator), got {self.code_size}")
        for name in ("credit", "first_block_weight"):
            if getattr(self, name) < 0:
                raise InvalidArgument(f"{name} must be at least 0 (none), got {getattr(self, name)}")

    @property
    def learner(self) -> PolicyGradientLearner:
        """The inner loop with this method's hyperparameters."""
        return PolicyGradientLearner(self.inner)

    def init(self, spec: Spec, *, key: Key[Array, ""]) -> MetaState:
        """A freshly initialised generator and optimiser: it generates one policy, whatever the task."""
        policy = self.network.build(spec, key=key)
        step_sizes = generator = None
        if self.learn_step_sizes:
            step_sizes = constant_step_sizes(policy, self.inner.step_size)
        if self.code_size:
            k_generator = jax.random.fold_in(key, 1)
            generator = PolicyGenerator(
                spec, policy, width=self.encoder_width, code_size=self.code_size, key=k_generator
            )
        params = GradientParams(policy, step_sizes, generator)
        return begin(params, self.ascent)

    def update(self, state: MetaState, trials: Trial, *, key: Key[Array, ""]) -> tuple[MetaState, Info]:
        """Several clipped steps uphill on the return after the updates, through the generator and the inner steps."""
        del key
        after = every_update if self.judge_every_update else last_block
        weights = lambda rollouts: after(rollouts).at[0].set(self.first_block_weight)
        return improve(state, trials, self.learner, self.ascent, weights=weights, credit=self.credit)
