"""One experiment from configuration to report: what the command line does, as functions to call from Python."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from quickstudy import catalog
from quickstudy.adaptation import adapt
from quickstudy.beliefs import belief_maps
from quickstudy.checkpoint import Checkpointer
from quickstudy.collect.base import AbstractCollector
from quickstudy.collect.graph import GraphCollector
from quickstudy.envs.shown import ShownTask, shape_of_features
from quickstudy.errors import CheckpointError, InvalidArgument, require_positive
from quickstudy.evaluation import Evaluation, evaluate, summarize
from quickstudy.family import AbstractFamily
from quickstudy.host.family import HostFamily
from quickstudy.logging import AbstractLogger
from quickstudy.meta import AbstractMetaAlgorithm
from quickstudy.ops.returns import episode_returns
from quickstudy.options import to_options, with_options
from quickstudy.predictions import predictions
from quickstudy.presets.base import Preset
from quickstudy.probe import probe
from quickstudy.run_directory import RunDirectory, write_json
from quickstudy.tasks.base import SplitName
from quickstudy.train import Metrics, TrainState, init_train_state, meta_train
from quickstudy.types import Budgets, Trial

EVALUATION_SEED = 20_16
"""Decides the evaluation's tasks: the same ones for every run of a family."""

Progress = Callable[[int, int, Metrics], None]
"""Called after every meta-update with the step, the environment steps of each seed so far and the metrics ``[S]``."""


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A method, a family, and how long to train: everything that decides a run's result."""

    method: str
    family: str
    method_options: Any
    family_options: AbstractFamily
    num_steps: int
    num_tasks: int
    num_seeds: int
    seed: int = 0
    preset: str | None = None
    num_test_tasks: int = 4096

    def __post_init__(self):
        require_positive(
            num_steps=self.num_steps,
            num_tasks=self.num_tasks,
            num_seeds=self.num_seeds,
            num_test_tasks=self.num_test_tasks,
        )
        # What cannot run is refused here, before anything is written.
        _ = self.algorithm, self.budgets
        _require_names(self.family_options)

    @classmethod
    def from_preset(cls, name: str | None, preset: Preset) -> "Experiment":
        """The experiment that a preset describes."""
        return cls(
            method=preset.method,
            family=preset.family,
            method_options=with_options(catalog.method(preset.method).load()(), preset.method_options),
            family_options=with_options(catalog.family(preset.family).load()(), preset.family_options),
            num_steps=preset.num_steps,
            num_tasks=preset.num_tasks,
            num_seeds=preset.num_seeds,
            preset=name,
            num_test_tasks=preset.num_test_tasks,
        )

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Experiment":
        """The experiment that a run directory's config.json describes."""
        fields = {name: config[name] for name in config if name in {f.name for f in dataclasses.fields(cls)}}
        method, family = catalog.method(config["method"]), catalog.family(config["family"])
        fields["method_options"] = with_options(method.load()(), config["method_options"])
        fields["family_options"] = with_options(family.load()(), config["family_options"])
        return cls(**fields)

    def config(self) -> dict[str, Any]:
        """The contents of config.json."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return fields | {
            "method_options": to_options(self.method_options),
            "family_options": to_options(self.family_options),
        }

    @property
    def algorithm(self) -> AbstractMetaAlgorithm:
        """The meta-algorithm, built for the family."""
        return catalog.method(self.method).build(self.method_options, self.family_options)

    @property
    def collector(self) -> AbstractCollector:
        """A collector of the family's trials, in which an oracle is shown the task."""
        family, shown = self.family_options, catalog.method(self.method).shows_task
        if isinstance(family, HostFamily):
            return family.showing_task.collector if shown else family.collector
        return GraphCollector(ShownTask(family) if shown else family.env)  # pyright: ignore[reportArgumentType]

    @property
    def budgets(self) -> Budgets:
        """The trials of training and evaluation, in blocks of the length that the method needs."""
        return catalog.method(self.method).budgets(self.method_options, self.family_options)

    @property
    def steps_per_update(self) -> int:
        """Environment steps of one meta-update, over all tasks, for each seed."""
        return self.budgets.train.num_steps * self.num_tasks


def train(
    experiment: Experiment,
    run: RunDirectory,
    *,
    loggers: Sequence[AbstractLogger] = (),
    progress: Progress | None = None,
    checkpoint_seconds: float = 30.0,
) -> TrainState:
    """Train until ``experiment.num_steps``, from the run's newest checkpoint if it has one.

    Every meta-update's metrics go to metrics.jsonl and the loggers; the state is saved every ``checkpoint_seconds``,
    at the end, and when training stops early (an interrupt, an error), so that nothing that was computed is lost.
    """
    algorithm, collector = experiment.algorithm, experiment.collector
    state = _fresh_state(experiment)
    with Checkpointer(run.checkpoints) as checkpointer:
        if checkpointer.latest_step() is not None:
            state = checkpointer.restore(state)
        run.truncate_metrics(int(state.step))
        records = run.read_metrics()
        start = time.monotonic() - (records[-1]["seconds"] if records else 0.0)
        newest, saved, clock = state, int(state.step), time.monotonic()

        def on_step(step: int, state: TrainState, metrics: Metrics) -> None:
            nonlocal newest, saved, clock
            newest, env_steps = state, step * experiment.steps_per_update
            values = {name: [float(x) for x in value] for name, value in metrics.items()}
            seconds = round(time.monotonic() - start, 3)
            run.append_metrics({"step": step, "env_steps": env_steps, "seconds": seconds} | values)
            for logger in loggers:
                logger.log(step, env_steps, values)
            if progress is not None:
                progress(step, env_steps, metrics)
            if time.monotonic() - clock > checkpoint_seconds:
                checkpointer.save(step, state)
                saved, clock = step, time.monotonic()

        try:
            meta_train(
                algorithm,
                collector,
                experiment.family_options.tasks("train"),
                experiment.budgets.train,
                num_steps=experiment.num_steps,
                num_tasks=experiment.num_tasks,
                key=jax.random.key(experiment.seed),
                state=state,
                on_step=on_step,
            )
        finally:
            if int(newest.step) > saved:
                checkpointer.save(int(newest.step), newest)
    return newest


def load(run: RunDirectory) -> tuple[Experiment, TrainState]:
    """The experiment of a run and its newest state.

    Raises:
        CheckpointError: the run has no checkpoint that can be read.
    """
    experiment = Experiment.from_config(run.read_config())
    with Checkpointer(run.checkpoints) as checkpointer:
        if checkpointer.latest_step() is None:
            raise CheckpointError(f"{run.path} has no checkpoint yet: train it first")
        return experiment, checkpointer.restore(_fresh_state(experiment))


def evaluate_run(run: RunDirectory, split: SplitName, *, num_tasks: int | None = None) -> dict[str, Any]:
    """Evaluate a run's newest state on a split and store the evaluation in the run directory; returns its summary."""
    experiment, state = load(run)
    family = experiment.family_options
    start = time.monotonic()
    evaluation = evaluate(
        experiment.algorithm.learner,
        state.meta.params,
        experiment.collector,
        family.tasks(split),
        experiment.budgets.test,
        num_seeds=experiment.num_seeds,
        num_tasks=num_tasks or experiment.num_test_tasks,
        num_episodes=family.num_episodes,
        key=jax.random.key(EVALUATION_SEED),
        yardsticks=family.yardsticks(),
    )
    summary = {
        "family": experiment.family,
        "method": experiment.method,
        "split": split,
        "step": int(state.step),
        "env_steps": int(state.step) * experiment.steps_per_update,
        **summarize(evaluation),
        "probe": _probe(family, evaluation),
        "seconds": round(time.monotonic() - start, 3),
    }
    _store(run.evaluation(split), evaluation, experiment, state, summary)
    return summary


def adapt_run(run: RunDirectory, split: SplitName, *, task_seed: int, training_seed: int = 0) -> dict[str, Any]:
    """Let a trained run adapt to one task of a split; returns the return of each episode and the replay."""
    experiment, state = load(run)
    family = experiment.family_options
    params = params_of_seed(state.meta.params, training_seed)
    k_task, k_trial = jax.random.split(jax.random.key(task_seed))
    task = family.tasks(split).sample(key=k_task)
    learner = experiment.algorithm.learner
    adapted = adapt(learner, params, experiment.collector, task, experiment.budgets.test, key=k_trial)
    stream = _stream(adapted.trial.trajectory)
    last = jnp.asarray(stream.terminated | stream.truncated)
    returns = episode_returns(jnp.asarray(stream.reward), last, family.num_episodes)
    return {"returns": [float(x) for x in returns], "replay": _replay(experiment, task, stream)}


def params_of_seed(params: Any, training_seed: int) -> Any:
    """Of parameters ``[S, ...]`` those of one training seed."""
    return jax.tree.map(lambda x: x[training_seed] if eqx.is_array(x) else x, params)


def _require_names(family: AbstractFamily) -> None:
    """Refuse a family that names some of the numbers of its tasks and not the others."""
    names = family.feature_names
    if not names or isinstance(family, HostFamily):
        return
    (num_features,) = shape_of_features(family).shape
    if len(names) != num_features:
        raise InvalidArgument(
            f"feature_names of {type(family).__name__} must name all {num_features} numbers of task_features or none, "
            f"got {len(names)}: {', '.join(names)}"
        )


def _probe(family: AbstractFamily, evaluation: Evaluation) -> dict[str, Any] | None:
    """What the codes of the tasks say of the numbers that the family's tasks are made of."""
    if evaluation.codes is None:
        return None
    features = jax.vmap(family.task_features)(jax.tree.map(jnp.asarray, evaluation.tasks))
    return probe(evaluation.codes, np.asarray(features, np.float64), family.feature_names)


def _fresh_state(experiment: Experiment) -> TrainState:
    key = jax.random.key(experiment.seed)
    return init_train_state(experiment.algorithm, experiment.collector, num_seeds=experiment.num_seeds, key=key)


def _store(
    directory: Path, evaluation: Evaluation, experiment: Experiment, state: TrainState, summary: dict[str, Any]
) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    nothing = np.full_like(evaluation.adapted, np.nan)
    yardsticks = {f"yardstick/{name}": returns for name, returns in evaluation.yardsticks.items()}
    np.savez_compressed(
        directory / "returns.npz",
        allow_pickle=False,
        adapted=evaluation.adapted,
        unadapted=evaluation.unadapted,
        shuffled=nothing if evaluation.shuffled is None else evaluation.shuffled,
        **yardsticks,
    )
    write_json(directory / "replays.json", _replays(experiment, state, evaluation.trials))
    write_json(directory / "summary.json", summary)


def _replays(experiment: Experiment, state: TrainState, trials: Trial) -> list[dict[str, Any]]:
    """What the first seed did in a few tasks, and what it believed and predicted meanwhile, if it can say so."""
    learner, params = experiment.algorithm.learner, params_of_seed(state.meta.params, 0)
    said = {
        "beliefs": belief_maps(learner, params, trials.trajectory, experiment.family_options),
        "predictions": predictions(learner, params, trials.trajectory),
    }
    replays: list[dict[str, Any]] = []
    for i in range(trials.trajectory.reward.shape[0]):
        pick = lambda x, i=i: x[i : i + 1]
        task = jax.tree.map(lambda x, i=i: x[i], trials.task)
        replay = _replay(experiment, task, _stream(jax.tree.map(pick, trials.trajectory)))
        replays.append({"task": i, "seed": 0, "replay": replay})
    for name, parts in said.items():
        for entry, part in zip(replays, parts, strict=False):
            entry[name] = part
    return replays


def _replay(experiment: Experiment, task: Any, stream: Any) -> dict[str, Any]:
    """What one stream did, for the report; what an oracle was shown is left out."""
    if catalog.method(experiment.method).shows_task:
        timestep = stream.timestep._replace(obs=stream.timestep.obs["obs"])
        stream = stream._replace(timestep=timestep, next_obs=stream.next_obs["obs"])
    return experiment.family_options.replay(task, stream)


def _stream(trajectory: Any) -> Any:
    """The first stream of the first task, ``[1, B, T, N, ...]`` to ``[L, ...]``, on the host."""
    return jax.tree.map(lambda x: np.asarray(x[0, :, :, 0]).reshape(-1, *x.shape[4:]), trajectory)
