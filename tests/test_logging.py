import sys
import types
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from quickstudy.errors import InvalidArgument
from quickstudy.logging import MLflowLogger, TensorBoardLogger, WandbLogger, scalars

METRICS = {"return": [1.0, 3.0], "loss/value": [0.5, 0.25]}
LOGGED = {
    "env_steps": 100.0,
    "return": 2.0,
    "return/seed_0": 1.0,
    "return/seed_1": 3.0,
    "loss/value": 0.375,
    "loss/value/seed_0": 0.5,
    "loss/value/seed_1": 0.25,
}


def read_events(directory):
    """The events of every file, by TensorBoard's record format: length (8 bytes), its crc (4), data, its crc (4)."""
    events = []
    for file in sorted(Path(directory).glob("events.*")):
        content, start = file.read_bytes(), 0
        while start < len(content):
            length = int.from_bytes(content[start : start + 8], "little")
            events.append(Event.FromString(content[start + 12 : start + 12 + length]))
            start += length + 16
    return events


def read_scalars(directory):
    return {
        (value.tag, event.step): value.simple_value for event in read_events(directory) for value in event.summary.value
    }


def test_mean_and_every_seed():
    assert scalars(100, METRICS) == LOGGED


def test_the_return_of_an_episode_that_no_trial_completed_is_left_out():
    nan = float("nan")
    assert scalars(5, {"return_first": [nan, nan], "loss": [1.0]}) == {"env_steps": 5.0, "loss": 1.0}


def test_one_seed_is_its_own_mean():
    assert scalars(7, {"return": [1.5]}) == {"env_steps": 7.0, "return": 1.5}


def test_tensorboard_files_hold_everything_after_close(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    logger.log(1, 100, METRICS)
    logger.log(2, 200, {"return": [5.0, 7.0]})
    logger.close()
    second = {"env_steps": 200.0, "return": 6.0, "return/seed_0": 5.0, "return/seed_1": 7.0}
    expected = {(name, 1): value for name, value in LOGGED.items()} | {
        (name, 2): value for name, value in second.items()
    }
    assert read_scalars(tmp_path) == expected


def test_tensorboard_is_told_what_a_resume_supersedes(tmp_path):
    logger = TensorBoardLogger(tmp_path, resume_step=3)
    logger.log(4, 400, {"return": [1.0]})
    logger.close()
    starts = [event.step for event in read_events(tmp_path) if event.HasField("session_log")]
    assert starts == [4]


@pytest.mark.parametrize(("extra", "logger"), [("wandb", WandbLogger), ("mlflow", MLflowLogger)])
def test_a_missing_extra_is_named(tmp_path, monkeypatch, extra, logger):
    monkeypatch.setitem(sys.modules, extra, None)  # as if it were not installed
    with pytest.raises(
        InvalidArgument, match=rf"logging to {extra} needs an extra: pip install 'quickstudy\[{extra}\]'"
    ):
        logger(tmp_path, "run", {})


def install_fake(monkeypatch, name, **attributes):
    module = types.ModuleType(name)
    vars(module).update(attributes)
    monkeypatch.setitem(sys.modules, name, module)


class FakeRun:
    def __init__(self, options):
        self.options, self.logged, self.finished = options, [], False

    def log(self, values, step):
        self.logged.append((step, values))

    def finish(self):
        self.finished = True


def test_wandb(tmp_path, monkeypatch):
    runs = []

    def init(**options):
        runs.append(FakeRun(options))
        return runs[-1]

    install_fake(monkeypatch, "wandb", init=init)
    for step in (1, 2):
        logger = WandbLogger(tmp_path / "wandb", "bandit", {"method": "rl2"})
        logger.log(step, 100, METRICS)
        logger.close()
    first, resumed = runs
    assert first.logged == [(1, LOGGED)]
    assert resumed.logged == [(2, LOGGED)]
    assert first.finished
    assert first.options == resumed.options  # the same id: a resumed run goes on
    assert first.options["resume"] == "allow"
    assert (first.options["name"], first.options["config"]) == ("bandit", {"method": "rl2"})


class FakeClient:
    def __init__(self):
        self.runs = {}

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name):
        return "experiment"

    def create_run(self, experiment_id, run_name):
        run_id = f"{experiment_id}-{run_name}-{len(self.runs)}"
        self.runs[run_id] = {"metrics": []}
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=run_id))

    def update_run(self, run_id, status):
        self.runs[run_id]["status"] = status

    def log_dict(self, run_id, value, name):
        self.runs[run_id][name] = value

    def log_batch(self, run_id, metrics):
        self.runs[run_id]["metrics"].append({metric[0]: (metric[1], metric[3]) for metric in metrics})

    def set_terminated(self, run_id):
        self.update_run(run_id, "FINISHED")


def test_mlflow(tmp_path, monkeypatch):
    client = FakeClient()
    entities = types.SimpleNamespace(Metric=lambda *values: values)
    install_fake(monkeypatch, "mlflow", MlflowClient=lambda: client, entities=entities)
    for step in (1, 2):
        logger = MLflowLogger(tmp_path / "mlflow", "bandit", {"method": "rl2"})
        logger.log(step, 100, METRICS)
        logger.close()
    (run_id,) = client.runs  # a resumed run goes on
    assert run_id == "experiment-bandit-0"
    assert client.runs[run_id] == {
        "metrics": [{name: (value, step) for name, value in LOGGED.items()} for step in (1, 2)],
        "config.json": {"method": "rl2"},
        "status": "FINISHED",
    }
