"""Several runs on one page."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from quickstudy.errors import InvalidArgument
from quickstudy.report import write_comparison

MakeRun = Callable[..., Path]


def set_total(run: Path, value: float, low: float, high: float) -> None:
    path = run / "evaluation/test/summary.json"
    summary = json.loads(path.read_text())
    summary["adapted"]["total"]["mean"] = {"value": value, "low": low, "high": high}
    path.write_text(json.dumps(summary))


def compare(*runs: Path) -> str:
    out = runs[0].parent / "pages" / "comparison.html"
    assert write_comparison(list(runs), out) == out
    return re.sub(r"<script>.*?</script>", "", out.read_text("utf-8"), flags=re.DOTALL)


def test_table_and_headline(make_run: MakeRun):
    better, worse = make_run("better"), make_run("worse", method="multitask")
    set_total(better, 36.0, 35.5, 36.5)
    set_total(worse, 12.0, 11.0, 13.0)
    text = compare(worse, better)
    assert "<h1>2 runs on grid navigation: better has the highest mean return per held-out task, 36.00" in text
    assert "overlap" not in text
    assert "<td>36.00 [35.50, 36.50]</td>" in text
    assert "<td>12.00 [11.00, 13.00]</td>" in text
    assert "multi-task PPO" in text


def test_overlapping_intervals_are_admitted(make_run: MakeRun):
    better, worse = make_run("better"), make_run("worse")
    set_total(better, 36.0, 35.5, 36.5)
    set_total(worse, 35.0, 34.0, 35.6)
    assert ", but the intervals overlap." in compare(better, worse)


def test_only_options_that_differ_are_listed(make_run: MakeRun):
    text = compare(make_run("a", num_steps=100), make_run("b", num_steps=900))
    options = text[text.index('id="options"') :]
    assert "<td>100</td><td>900</td>" in options
    assert "num_steps" in options
    assert "hidden_size" not in options


def test_names_are_the_shortest_ends_that_differ(make_run: MakeRun):
    text = compare(make_run("rl2/seed-0"), make_run("ppo/seed-0"))
    assert "rl2/seed-0" in text
    assert "ppo/seed-0" in text


def test_runs_without_evaluation_or_metrics_are_listed(make_run: MakeRun):
    text = compare(make_run("a", splits=()), make_run("b", splits=(), num_lines=0))
    assert "none of them evaluated yet" in text
    assert text.count("not evaluated<") == 2


def test_different_families_are_refused(make_run: MakeRun, tmp_path: Path):
    runs = [make_run("a"), make_run("b", family="bernoulli-bandit")]
    with pytest.raises(InvalidArgument, match=r"'grid-navigation'.*'bernoulli-bandit'.*compare runs of one family"):
        write_comparison(runs, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_one_run_is_refused(make_run: MakeRun, tmp_path: Path):
    with pytest.raises(InvalidArgument, match="at least two runs, got 1"):
        write_comparison([make_run()], tmp_path / "page.html")


def test_the_same_run_twice_is_refused(make_run: MakeRun, tmp_path: Path):
    run = make_run()
    with pytest.raises(InvalidArgument, match="given twice"):
        write_comparison([run, run], tmp_path / "page.html")
