import datetime
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import quickstudy
from quickstudy.errors import InvalidArgument, RunExists
from quickstudy.run_directory import RunDirectory, write_json

CONFIG = {"method": "rl2", "family": "bandit", "options": {"num_arms": 5, "prior": [1.0, 1.0]}}


def make_run(tmp_path, num_records=0):
    run = RunDirectory.create(tmp_path / "run", CONFIG, devices=["TFRT_CPU_0"])
    for step in range(1, num_records + 1):
        run.append_metrics({"step": step, "return": [step / 10, -1.5]})
    return run


def steps(run):
    return [record["step"] for record in run.read_metrics()]


def test_layout(tmp_path):
    run = make_run(tmp_path, 1)
    assert sorted(path.name for path in run.path.iterdir()) == ["config.json", "metrics.jsonl", "versions.json"]
    assert run.checkpoints == run.path / "checkpoints"
    assert run.evaluation("test") == run.path / "evaluation" / "test"
    assert run.report == run.path / "report.html"
    assert run.tensorboard == run.path / "tensorboard"


def test_open_reads_what_create_wrote(tmp_path):
    make_run(tmp_path, 2)
    run = RunDirectory.open(str(tmp_path / "run"))
    assert run.read_config() == CONFIG
    assert run.read_metrics() == [{"step": 1, "return": [0.1, -1.5]}, {"step": 2, "return": [0.2, -1.5]}]


def test_every_session_is_recorded(tmp_path):
    run = make_run(tmp_path)
    run.record_session(devices=["TFRT_CPU_0", "TFRT_CPU_1"])
    first, second = run.read_sessions()
    assert (first["devices"], second["devices"]) == (["TFRT_CPU_0"], ["TFRT_CPU_0", "TFRT_CPU_1"])
    assert first["packages"]["jax"] == jax.__version__
    assert first["packages"]["numpy"] == np.__version__
    assert None not in first["packages"].values()
    assert first["python"] == ".".join(map(str, sys.version_info[:3]))
    assert datetime.datetime.fromisoformat(first["started"]).utcoffset() == datetime.timedelta(0)


def test_the_commit_is_that_of_the_checkout(tmp_path):
    commit = make_run(tmp_path).read_sessions()[0]["commit"]
    root = Path(quickstudy.__file__).parent.parent
    head = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    assert commit in ({head, f"{head}-dirty"} if head else {None})


def test_a_run_is_not_written_over(tmp_path):
    run = make_run(tmp_path, 3)
    with pytest.raises(RunExists, match=r"run already holds a run: go on with --resume, replace it with --overwrite"):
        RunDirectory.create(run.path, {"method": "other"})
    assert run.read_config() == CONFIG
    assert steps(run) == [1, 2, 3]


def test_overwrite_removes_the_run_and_nothing_else(tmp_path):
    run = make_run(tmp_path, 3)
    write_json(run.evaluation("test") / "summary.json", {})
    (run.checkpoints / "7").mkdir(parents=True)
    run.report.write_text("<html>")
    (run.path / "notes.txt").write_text("mine")
    RunDirectory.create(run.path, {"method": "other"}, overwrite=True)
    assert sorted(path.name for path in run.path.iterdir()) == ["config.json", "notes.txt", "versions.json"]
    assert run.read_config() == {"method": "other"}
    assert len(run.read_sessions()) == 1


@pytest.mark.parametrize(
    ("kind", "reason"), [("missing", "no directory"), ("file", "no directory"), ("empty", "no config")]
)
def test_opening_what_is_no_run(tmp_path, kind, reason):
    path = tmp_path / "run"
    if kind == "file":
        path.write_text("")
    elif kind == "empty":
        path.mkdir()
    with pytest.raises(InvalidArgument, match=rf"run is not a run directory \(it (is|has) {reason}.*train wrote"):
        RunDirectory.open(path)


def test_creating_a_run_where_a_file_is_in_the_way(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(InvalidArgument, match="a file is in the way: choose another name"):
            RunDirectory.create(path, CONFIG)


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_a_damaged_config(tmp_path, content):
    run = make_run(tmp_path)
    run.config_file.write_text(content)
    with pytest.raises(InvalidArgument, match=r"config.json is not .*JSON.*: restore the file that train wrote"):
        RunDirectory.open(run.path).read_config()


def test_metrics_take_arrays_and_are_on_disk_at_once(tmp_path):
    run = make_run(tmp_path)
    run.append_metrics({"step": np.int64(1), "return": jnp.array([0.5, 2.0]), "loss": np.float32(0.25), "note": None})
    line = run.metrics_file.read_text()
    assert line == '{"step": 1, "return": [0.5, 2.0], "loss": 0.25, "note": null}\n'


def test_metrics_after_the_checkpoint_are_dropped(tmp_path):
    run = make_run(tmp_path, 5)
    run.truncate_metrics(after_step=3)
    assert steps(run) == [1, 2, 3]
    run.append_metrics({"step": 4, "return": [9.0, 9.0]})
    assert run.read_metrics()[-1] == {"step": 4, "return": [9.0, 9.0]}
    run.truncate_metrics(after_step=10)
    assert steps(run) == [1, 2, 3, 4]
    run.truncate_metrics(after_step=0)
    assert run.read_metrics() == []


def test_a_line_cut_anywhere_neither_shows_nor_spoils_the_next(tmp_path):
    run = make_run(tmp_path, 3)
    content = run.metrics_file.read_bytes()
    start = content.rindex(b"\n", 0, -1) + 1
    for end in range(start, len(content) + 1):
        run.metrics_file.write_bytes(content[:end])
        whole = end >= len(content) - 1  # only the newline may be missing
        assert steps(run) == ([1, 2, 3] if whole else [1, 2])
        run.truncate_metrics(after_step=3)
        run.append_metrics({"step": 4})
        assert steps(run) == ([1, 2, 3, 4] if whole else [1, 2, 4])


@pytest.mark.parametrize("line", ["garbage", '{"loss": 1}', "[1, 2]", '{"step": "1"}'])
def test_a_foreign_line_in_the_middle_is_an_error_that_names_it(tmp_path, line):
    run = make_run(tmp_path, 1)
    with run.metrics_file.open("a") as file:
        file.write(f"{line}\n")
    run.append_metrics({"step": 2})
    with pytest.raises(InvalidArgument, match=r"metrics.jsonl, line 2, is not a metrics record: remove that line"):
        run.read_metrics()


def test_no_metrics_yet(tmp_path):
    run = make_run(tmp_path)
    assert run.read_metrics() == []
    run.truncate_metrics(after_step=0)
    assert run.read_metrics() == []


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    write_json(tmp_path / "a.json", {"path": tmp_path, "array": np.arange(3)})
    with pytest.raises(TypeError, match="set is not a JSON value"):
        write_json(tmp_path / "a.json", {"new": {1, 2}})
    assert json.loads((tmp_path / "a.json").read_text()) == {"path": str(tmp_path), "array": [0, 1, 2]}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_importing_does_not_import_jax():
    program = "import sys, quickstudy.run_directory; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
