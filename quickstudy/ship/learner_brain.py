"""A brain from a learner and its parameters."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from quickstudy.errors import CheckpointError, InvalidArgument, require_positive
from quickstudy.host.spaces import ActionLayout, Layout, ObsLayout, ObsPart
from quickstudy.learner import AbstractLearner
from quickstudy.ship.brain import Arrays, Block, Brain, Functions
from quickstudy.types import Budget, Spec, TimeStep, Trajectory


class Form(NamedTuple):
    """A pytree without its numbers: what its arrays are called and are like, and all that is no array."""

    names: tuple[str, ...]
    likes: tuple[Any, ...]
    rebuild: Callable[[Sequence[Any]], PyTree]

    @classmethod
    def of(cls, tree: PyTree) -> "Form":
        """The form of a pytree of arrays or of `jax.ShapeDtypeStruct`."""
        is_like = lambda x: isinstance(x, jax.Array | np.ndarray | jax.ShapeDtypeStruct)
        likes, rest = eqx.partition(tree, is_like)
        flat, structure = jax.tree_util.tree_flatten_with_path(likes)
        names = tuple(jax.tree_util.keystr(path) for path, _ in flat)
        rebuild = lambda arrays: eqx.combine(jax.tree.unflatten(structure, list(arrays)), rest)
        return cls(names, tuple(leaf for _, leaf in flat), rebuild)

    def join(self, arrays: Arrays) -> PyTree:
        """The pytree with these numbers; bits become the keys that they were."""
        lift = lambda x, like: jax.random.wrap_key_data(x, impl=_impl(like)) if _is_key(like) else x
        return self.rebuild([lift(x, like) for x, like in zip(arrays, self.likes, strict=True)])


def _is_key(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def _impl(like: Any) -> str:
    return str(like.dtype).removeprefix("key<").removesuffix(">").replace("fry", "threefry2x32")


def to_arrays(tree: PyTree) -> Arrays:
    """The numbers of a pytree, in the order of its `Form`."""
    leaves = jax.tree.leaves(eqx.filter(tree, lambda x: isinstance(x, jax.Array | np.ndarray)))
    return [jax.random.key_data(x) if _is_key(x) else x for x in leaves]


class Forms(NamedTuple):
    """The forms of everything that crosses the border of the functions."""

    weights: Form
    state: Form
    carry: Form
    obs: Form
    aux: Form


def forms_of(learner: AbstractLearner, params: PyTree, spec: Spec) -> Forms:
    """What a learner's arrays are like; nothing is computed. ``params`` may be shapes."""
    shape = eqx.filter_eval_shape
    shown: Any = (spec.obs, spec.action, *shape(lambda: (jnp.zeros(()), jnp.zeros((), bool))))
    timestep = TimeStep(*shown)
    key = shape(lambda: jax.random.key(0))
    state = shape(lambda p, k: learner.init(p, key=k), params, key)
    carry = shape(learner.init_carry, params)
    _, _, aux = shape(lambda p, *xs, k: learner.act(p, *xs, key=k), params, state, carry, timestep, k=key)
    return Forms(*(Form.of(tree) for tree in ((learner, params), state, carry, spec.obs, aux)))


def functions_of(forms: Forms) -> Functions:
    """A learner's functions on plain arrays."""

    def draw(seed: Array, purpose: int, number: Array | int) -> Array:
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), purpose), number)

    def timestep(observed: tuple[Any, ...]) -> TimeStep:
        obs, *rest = observed
        return TimeStep(forms.obs.join(obs), *rest)

    def init(weights: Arrays, seed: Array) -> tuple[Arrays, Arrays]:
        learner, params = forms.weights.join(weights)
        return to_arrays(learner.init(params, key=draw(seed, 0, 0))), to_arrays(learner.init_carry(params))

    def act(
        weights: Arrays, state: Arrays, carry: Arrays, observed: tuple[Any, ...], seed: Array, step: Array
    ) -> tuple[Array, Arrays, Arrays]:
        learner, params = forms.weights.join(weights)
        joined = forms.state.join(state), forms.carry.join(carry), timestep(observed)
        action, new_carry, aux = learner.act(params, *joined, key=draw(seed, 1, step))
        return action, to_arrays(new_carry), to_arrays(aux)

    def update(weights: Arrays, state: Arrays, plain: tuple[Any, ...], seed: Array, number: Array) -> Arrays:
        learner, params = forms.weights.join(weights)
        block = Block(*plain)
        trajectory = Trajectory(
            timestep(tuple(block.observed)),
            block.action,
            block.reward,
            forms.obs.join(block.next_obs),
            block.terminated,
            block.truncated,
            forms.aux.join(block.aux),
        )
        new_state, _ = learner.update(params, forms.state.join(state), trajectory, key=draw(seed, 2, number))
        return to_arrays(new_state)

    return Functions(init, act, update)


def brain_of(
    learner: AbstractLearner,
    params: PyTree,
    spec: Spec,
    layout: Layout,
    block: Budget,
    *,
    weights: Arrays | None,
    write: Callable[[Path], None],
) -> Brain:
    """A brain that runs ``learner``.

    Args:
        learner: what acts and learns.
        params: its parameters, of one training seed; shapes alone if ``weights`` are given.
        spec: of the family.
        layout: the same, as the environment has it.
        block: what one update reads: its ``block_length`` steps in ``num_streams`` streams.
        weights: the numbers of learner and parameters, if ``params`` does not hold them.
        write: stores the brain.

    Raises:
        InvalidArgument: ``block`` holds nothing.
    """
    require_positive(**block.counts)
    forms = forms_of(learner, params, spec)
    numbers = to_arrays((learner, params)) if weights is None else weights
    return Brain(
        functions=Functions(*(jax.jit(function) for function in functions_of(forms))),
        weights=[jnp.asarray(np.asarray(x)) for x in numbers],
        layout=layout,
        obs_dtypes=tuple(str(like.dtype) for like in forms.obs.likes),
        block_length=block.block_length,
        num_streams=block.num_streams,
        cut_streams=block.fresh_blocks,
        learns=bool(forms.state.likes),
        write=write,
    )


def named(form: Form, arrays: Arrays) -> dict[str, Any]:
    """Arrays by the names of their form."""
    return dict(zip(form.names, arrays, strict=True))


def ordered(form: Form, arrays: dict[str, np.ndarray], where: Path) -> Arrays:
    """Named arrays in the order of their form.

    Raises:
        CheckpointError: they are not those of the form.
    """
    blanks = jax.eval_shape(lambda: [jax.random.key_data(x) if _is_key(x) else x for x in map(_blank, form.likes)])
    for name, blank in zip(form.names, blanks, strict=True):
        found = arrays.get(name)
        if found is None or (found.shape, found.dtype) != (blank.shape, blank.dtype):
            got = "missing" if found is None else f"{found.dtype}{list(found.shape)}"
            raise CheckpointError(
                f"{where}: {name} is {got}, and the method has {blank.dtype}{list(blank.shape)}: use the version of "
                "quickstudy that saved it"
            )
    return [arrays[name] for name in form.names]


def _blank(like: Any) -> Array:
    if _is_key(like):
        return jax.random.split(jax.random.key(0, impl=_impl(like)), like.shape)
    return jnp.zeros(like.shape, like.dtype)


def layout_of_spec(spec: Spec) -> Layout:
    """The layout of a compiled environment: observations as they are, actions in [-1, 1] or one of A.

    Raises:
        InvalidArgument: its observation is neither an array nor a dictionary of arrays.
    """
    parts = []
    for path, leaf in jax.tree_util.tree_flatten_with_path(spec.obs)[0]:
        if not all(isinstance(entry, jax.tree_util.DictKey) for entry in path):
            raise InvalidArgument(f"the observation {spec.obs} must be an array or a dictionary of arrays")
        parts.append(ObsPart(tuple(str(entry.key) for entry in path), "box", tuple(leaf.shape)))
    if spec.num_actions is None:
        ones = (1.0,) * int(np.prod(spec.action.shape))
        low = tuple(-x for x in ones)
        action = ActionLayout("box", tuple(spec.action.shape), str(spec.action.dtype), low=low, high=ones)
    else:
        action = ActionLayout("choices", (), "int64", sizes=(spec.num_actions,), starts=(0,))
    return Layout(ObsLayout(tuple(parts)), action)
