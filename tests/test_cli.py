"""The command line as a person meets it: each test is a process of its own, or as good as one."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from quickstudy.cli import COMMANDS, main
from quickstudy.experiment import load
from quickstudy.progress import Interrupt
from quickstudy.run_directory import RunDirectory

SMALL = [
    *("rl2", "--family", "bernoulli-bandit", "--family.num-arms", "2", "--family.num-pulls", "3"),
    *("--method.width", "4", "--method.ppo.num-epochs", "1", "--method.ppo.num-minibatches", "1"),
    *("--num-tasks", "4", "--num-seeds", "2", "--num-test-tasks", "8", "--no-evaluate"),
]


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "quickstudy", *args]


def fails(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    with pytest.raises(SystemExit) as stopped:
        main(args)
    assert stopped.value.code not in (0, None)
    return capsys.readouterr().err


def test_help_names_every_command_and_does_not_import_jax():
    program = "import atexit, sys; atexit.register(lambda: print('jax' in sys.modules)); import quickstudy.cli as c; "
    program += "c.main(['--help'])"
    out = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert all(name in out for name in COMMANDS)
    assert out.splitlines()[-1] == "False"


def test_list_names_methods_families_and_presets(capsys):
    main(["list"])
    out = capsys.readouterr().out
    for name in ("rl2", "grid-navigation", "bandit-100-10"):
        assert name in out


def test_a_reader_that_goes_away_is_no_accident():
    listing = subprocess.Popen(
        [sys.executable, "-m", "quickstudy", "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert listing.stdout is not None
    assert listing.stderr is not None
    listing.stdout.close()
    assert (listing.stderr.read(), listing.wait()) == (b"", 1)
    listing.stderr.close()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["trian"], "unknown command 'trian': did you mean 'train'?"),
        (["train", "rl3", "--family", "grid-navigation"], "unknown method 'rl3': did you mean 'rl2'?"),
        (["train", "rl2", "--family", "grid"], "unknown family 'grid'"),
        (["train", "rl2"], "train needs --family FAMILY"),
        (["reproduce", "bandit-10-55"], "unknown preset 'bandit-10-55': did you mean 'bandit-10-5'?"),
        (["evaluate", "nowhere"], "nowhere is not a run directory"),
        (["train", "--resume", "nowhere"], "nowhere is not a run directory"),
        (["report", "nowhere"], "nowhere"),
    ],
)
def test_a_mistake_is_one_line_and_no_traceback(capsys, args, message):
    err = fails(capsys, *args)
    assert message in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--num-steps", "0"], "num_steps must be a whole number of at least 1, got 0"),
        (["--num-tasks", "0"], "num_tasks must be a whole number of at least 1, got 0"),
        (["--method.ppo.gamma", "2"], "ppo.gamma must lie in [0, 1], got 2.0"),
        (["--family.num-pulls", "0"], "num_pulls must be a whole number of at least 1, got 0"),
    ],
)
def test_an_impossible_value_is_named_with_its_option(capsys, tmp_path, extra, message):
    run = tmp_path / "run"
    err = fails(capsys, "train", *SMALL, "--num-steps", "1", "--out", str(run), *extra)
    assert message in " ".join(err.split())
    assert "Traceback" not in err
    assert not run.exists()


def test_an_unknown_option_suggests_the_nearest(capsys):
    err = fails(capsys, "train", *SMALL, "--method.ppo.gama", "0.5")
    assert "--method.ppo.gamma" in err


def test_the_whole_journey(capsys, tmp_path):
    run = str(tmp_path / "run")
    arguments = [argument for argument in SMALL if argument != "--no-evaluate"]
    main(["train", *arguments, "--num-steps", "2", "--out", run])
    assert f"report: {run}" in capsys.readouterr().out.replace("\n", "")
    opened = RunDirectory.open(run)
    assert [record["step"] for record in opened.read_metrics()] == [1, 2]
    assert opened.read_metrics()[-1]["env_steps"] == 2 * 4 * 3
    summary = json.loads((opened.evaluation("test") / "summary.json").read_text())
    assert (summary["num_seeds"], summary["num_tasks"], summary["num_episodes"]) == (2, 8, 3)
    returns = np.load(opened.evaluation("test") / "returns.npz", allow_pickle=False)
    assert returns["adapted"].shape == (2, 8, 3)
    assert returns["adapted"].mean() == pytest.approx(summary["adapted"]["total"]["mean"]["value"] / 3, abs=1e-6)
    assert list(opened.tensorboard.iterdir())

    main(["adapt", run, "--out", str(tmp_path / "adapted.json")])
    assert "episode 3: return" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "adapted.json").read_text())["returns"]) == 3

    assert "already holds a run" in fails(capsys, "train", *SMALL, "--num-steps", "2", "--out", run)

    config = opened.read_config()
    config["method_options"]["width"] = 5
    opened.config_file.write_text(json.dumps(config))
    err = fails(capsys, "evaluate", run)
    assert "float32[2,12,8] in the checkpoint and float32[2,15,8] here" in err
    assert len(err.strip().splitlines()) == 1


def test_interrupt_saves_and_says_how_to_go_on(tmp_path):
    run = tmp_path / "run"
    process = subprocess.Popen(
        command("train", *SMALL, "--num-steps", "1000000", "--out", str(run)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    _wait_for_steps(run, 3)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130, out
    assert f"quickstudy train --resume {run}" in out
    _, state = load(RunDirectory.open(run))
    assert int(state.step) >= 3


def test_an_interrupt_that_nobody_heard_is_raised_again():
    """Python prints and forgets what a finaliser raises; here ``suppress`` does."""
    before = signal.getsignal(signal.SIGINT)
    with Interrupt() as interrupt:
        interrupt.check()
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            interrupt.check()
    assert signal.getsignal(signal.SIGINT) is before


def test_a_killed_run_resumes_to_the_same_bits(tmp_path):
    """SIGKILL at two moments, resume, and compare with a run that was never stopped."""
    steps = ["--num-steps", "60", "--checkpoint-seconds", "0"]
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    subprocess.run(command("train", *SMALL, *steps, "--out", str(whole)), check=True, capture_output=True)
    for seen in (5, 20):
        start = ["train", *SMALL, *steps, "--out", str(killed)]
        again = ["train", "--resume", str(killed), "--no-evaluate", "--checkpoint-seconds", "0"]
        process = subprocess.Popen(command(*(again if killed.exists() else start)), stdout=subprocess.DEVNULL)
        _wait_for_steps(killed, seen)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command(*again), check=True, capture_output=True)
    states = [load(RunDirectory.open(run))[1] for run in (whole, killed)]
    assert int(states[1].step) == 60
    for one, other in zip(*(jax.tree.leaves(state.meta) for state in states), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
    records = [RunDirectory.open(run).read_metrics() for run in (whole, killed)]
    assert [record["step"] for record in records[1]] == list(range(1, 61))
    assert records[0][-1]["loss"] == records[1][-1]["loss"]


def test_a_run_whose_loss_is_not_finite_stops_and_keeps_its_checkpoint(capsys, tmp_path):
    run = tmp_path / "run"
    err = fails(capsys, "train", *SMALL, "--num-steps", "50", "--out", str(run), "--method.ppo.learning-rate", "1e38")
    assert "meta-update" in err
    assert "the last good checkpoint is in" in err
    _, state = load(RunDirectory.open(run))
    assert all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(state.meta.params))


def _wait_for_steps(run: Path, count: int) -> None:
    """Until the run has written ``count`` more lines of metrics than now, or 120 s."""
    metrics = run / "metrics.jsonl"
    lines = lambda: metrics.read_bytes().count(b"\n") if metrics.exists() else 0
    goal, end = lines() + count, time.monotonic() + 120
    while lines() < goal:
        assert time.monotonic() < end, f"no {goal} lines in {metrics}"
        time.sleep(0.02)
