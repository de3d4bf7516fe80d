"""`load`: an agent from a run, from what `Agent.save` stored, or from what ``quickstudy export`` wrote."""

from pathlib import Path
from typing import Any

from quickstudy.errors import CheckpointError, InvalidArgument
from quickstudy.host.spaces import Layout
from quickstudy.ship.agent import Agent
from quickstudy.ship.brain import Brain
from quickstudy.ship.exported import EXPORT, read_export
from quickstudy.ship.store import WEIGHTS, read_description, read_weights
from quickstudy.types import Budget

AGENT = "agent.json"
_FORMAT = 1


def load(path: str | Path, *, training_seed: int = 0, block_length: int | None = None) -> Agent:
    """The agent that lies in ``path``, ready to act.

    Args:
        path: a run directory (its newest checkpoint), a directory that `Agent.save` wrote (with what the agent had
            learned in its task), or one that ``quickstudy export`` wrote (which needs neither networks nor methods).
        training_seed: which of a run's training seeds; the others hold one agent.
        block_length: steps between two updates, if not the experience that an update had in training. An exported agent
            keeps the one that it was exported with.

    Raises:
        InvalidArgument: there is no agent, or no such training seed.
        CheckpointError: what is there cannot be read.
    """
    path = Path(path)
    if (path / EXPORT).exists():
        return Agent.restore(read_export(path), path)
    if (path / AGENT).exists():
        return Agent.restore(_read_agent(path, block_length), path)
    return Agent(brain_of_run(path, training_seed, block_length))


def brain_of_run(path: Path, training_seed: int, block_length: int | None) -> Brain:
    """The brain of one training seed of a run, from its newest checkpoint."""
    from quickstudy import catalog, experiment
    from quickstudy.finite import require_finite_params
    from quickstudy.run_directory import RunDirectory
    from quickstudy.ship.learner_brain import to_arrays

    found, state = experiment.load(RunDirectory.open(path))
    if not 0 <= training_seed < found.num_seeds:
        raise InvalidArgument(f"training_seed must lie in 0 … {found.num_seeds - 1}, got {training_seed}")
    if catalog.method(found.method).shows_task:
        raise InvalidArgument(
            f"{path} is a run of {found.method}, which is shown its task: it is a yardstick, no agent"
        )
    params = experiment.params_of_seed(state.meta.params, training_seed)
    require_finite_params(params)
    family = found.family_options
    block = _block(found.budgets.test, block_length)
    description = {
        "format": _FORMAT,
        "method": found.method,
        "method_options": found.config()["method_options"],
        "family": found.family,
        "family_options": found.config()["family_options"],
        "layout": _layout(family).to_json(),
        "horizon": family.budget.block_length,
        "num_episodes": family.num_episodes,
        "block": block._asdict(),
        "run": str(path),
        "training_seed": training_seed,
        "step": int(state.step),
    }
    return _brain(description, to_arrays((found.algorithm.learner, params)))


def _read_agent(path: Path, block_length: int | None) -> Brain:
    from quickstudy.ship.learner_brain import ordered

    description = read_description(path / AGENT)
    if description.get("format") != _FORMAT:
        raise CheckpointError(
            f"{path / AGENT} has format {description.get('format')!r}, and this version reads {_FORMAT}"
        )
    description["block"] = _block(Budget(**description["block"]), block_length)._asdict()
    forms = _forms(description)
    return _brain(description, ordered(forms.weights, read_weights(path), path / WEIGHTS))


def _brain(description: dict[str, Any], weights: list[Any]) -> Brain:
    from quickstudy.run_directory import write_json
    from quickstudy.ship.learner_brain import brain_of, named
    from quickstudy.ship.store import write_arrays

    learner, params, spec = _learner(description)
    form = _forms(description).weights

    def write(path: Path) -> None:
        write_arrays(path / WEIGHTS, named(form, weights))
        write_json(path / AGENT, description)

    layout, block = Layout.from_json(description["layout"]), Budget(**description["block"])
    return brain_of(learner, params, spec, layout, block, weights=weights, write=write)


def _block(budget: Budget, block_length: int | None) -> Budget:
    """One block of ``budget``, or of ``block_length`` steps in one stream."""
    if block_length is None:
        return budget._replace(num_blocks=1)
    return budget._replace(num_blocks=1, block_length=block_length, num_streams=1)


def _forms(description: dict[str, Any]) -> Any:
    from quickstudy.ship.learner_brain import forms_of

    return forms_of(*_learner(description))


def _learner(description: dict[str, Any]) -> tuple[Any, Any, Any]:
    """The learner, the shapes of its parameters, and the spec, from an agent's description."""
    import equinox as eqx
    import jax

    from quickstudy import catalog
    from quickstudy.envs.host import spec_of
    from quickstudy.host.absent import AbsentWorld
    from quickstudy.host.family import HostFamily
    from quickstudy.options import with_options
    from quickstudy.outside import is_outside

    layout = Layout.from_json(description["layout"])
    if is_outside(description["family"]):
        # The user's module need not be where the agent is.
        family = HostFamily(AbsentWorld(layout, description["horizon"], description["num_episodes"]))
    else:
        family = with_options(catalog.family(description["family"]).load()(), description["family_options"])
    entry = catalog.method(description["method"])
    algorithm = entry.build(with_options(entry.load()(), description["method_options"]), family)
    spec = spec_of(layout) if is_outside(description["family"]) else family.env.spec
    shapes = eqx.filter_eval_shape(lambda key: algorithm.init(spec, key=key), jax.random.key(0))
    return algorithm.learner, shapes.params, spec


def _layout(family: Any) -> Layout:
    from quickstudy.envs.host import HostEnv
    from quickstudy.ship.learner_brain import layout_of_spec

    return family.env.layout if isinstance(family.env, HostEnv) else layout_of_spec(family.env.spec)
