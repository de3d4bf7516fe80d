"""Loggers: where the metrics of meta-training are shown while it runs.

The run directory keeps every metric itself (metrics.jsonl); a logger shows them in a tool. Each metric is one value a
training seed; it is logged as its mean over the seeds and, if there are several, as each seed's own.
"""

import abc
import math
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from quickstudy.extras import import_extra


class AbstractLogger(abc.ABC):
    """Shows the metrics of meta-training somewhere."""

    @abc.abstractmethod
    def log(self, step: int, env_steps: int, metrics: dict[str, list[float]]) -> None:
        """Show the metrics of one meta-update.

        Args:
            step: meta-updates taken so far.
            env_steps: environment steps taken so far, of one seed.
            metrics: by name, one value a seed.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Hand everything on; nothing can be logged after."""


class TensorBoardLogger(AbstractLogger):
    """Event files for TensorBoard, over meta-updates.

    Args:
        directory: where the event files go.
        resume_step: the meta-update that a resumed run goes on from; TensorBoard hides what was logged after it.
    """

    def __init__(self, directory: Path, resume_step: int | None = None):
        from tensorboardX import SummaryWriter

        purge_step = None if resume_step is None else resume_step + 1
        self._writer = SummaryWriter(str(directory), purge_step=purge_step, flush_secs=10)

    def log(self, step: int, env_steps: int, metrics: dict[str, list[float]]) -> None:
        for name, value in scalars(env_steps, metrics).items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class WandbLogger(AbstractLogger):
    """Weights & Biases, the extra ``wandb``.

    Args:
        directory: where W&B keeps its files; a resumed run goes on under the id that is kept there.
        name: what the run is called.
        config: what was asked, shown beside the run.
        project: the W&B project.

    Raises:
        InvalidArgument: if W&B is not installed.
    """

    def __init__(self, directory: Path, name: str, config: dict[str, Any], project: str = "quickstudy"):
        wandb = import_extra("wandb", extra="wandb", purpose="logging to wandb")
        run_id = _remember(directory, lambda: uuid.uuid4().hex)
        self._run = wandb.init(dir=str(directory), project=project, name=name, id=run_id, config=config, resume="allow")

    def log(self, step: int, env_steps: int, metrics: dict[str, list[float]]) -> None:
        self._run.log(scalars(env_steps, metrics), step=step)

    def close(self) -> None:
        self._run.finish()


class MLflowLogger(AbstractLogger):
    """MLflow, the extra ``mlflow``, on the tracking server that ``MLFLOW_TRACKING_URI`` names.

    Args:
        directory: where the id of the MLflow run is kept, under which a resumed run goes on.
        name: what the run is called.
        config: what was asked, stored as the artifact config.json.
        experiment: the MLflow experiment.

    Raises:
        InvalidArgument: if MLflow is not installed.
    """

    def __init__(self, directory: Path, name: str, config: dict[str, Any], experiment: str = "quickstudy"):
        self._mlflow = import_extra("mlflow", extra="mlflow", purpose="logging to mlflow")
        self._client = self._mlflow.MlflowClient()
        known = self._client.get_experiment_by_name(experiment)
        experiment_id = known.experiment_id if known else self._client.create_experiment(experiment)
        create = lambda: self._client.create_run(experiment_id, run_name=name).info.run_id
        self._run_id = _remember(directory, create)
        self._client.update_run(self._run_id, status="RUNNING")
        self._client.log_dict(self._run_id, config, "config.json")

    def log(self, step: int, env_steps: int, metrics: dict[str, list[float]]) -> None:
        now = int(time.time() * 1000)
        values = scalars(env_steps, metrics).items()
        batch = [self._mlflow.entities.Metric(name, value, now, step) for name, value in values]
        self._client.log_batch(self._run_id, metrics=batch)

    def close(self) -> None:
        self._client.set_terminated(self._run_id)


def scalars(env_steps: int, metrics: dict[str, list[float]]) -> dict[str, float]:
    """``metrics`` as single numbers: ``name`` is the mean over the seeds, ``name/seed_i`` what seed i had.

    What is not a number is left out: the return of an episode that no trial completed.
    """
    numbers = {"env_steps": float(env_steps)}
    for name, values in metrics.items():
        numbers[name] = sum(values) / len(values)
        if len(values) > 1:
            numbers |= {f"{name}/seed_{seed}": float(value) for seed, value in enumerate(values)}
    return {name: number for name, number in numbers.items() if not math.isnan(number)}


def _remember(directory: Path, make: Callable[[], str]) -> str:
    """The id kept in ``directory``, made and kept there if there is none."""
    file = directory / "run_id"
    if not file.exists():
        directory.mkdir(parents=True, exist_ok=True)
        file.write_text(make(), encoding="utf-8")
    return file.read_text(encoding="utf-8")
