"""What the report of one run says, what it says when something is missing, and what it refuses."""

import json
import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quickstudy.errors import InvalidArgument, QuickstudyError
from quickstudy.report import write_report
from quickstudy.report.page import READ_BELIEFS, READ_PREDICTIONS
from quickstudy.report.run import read_run

MakeRun = Callable[..., Path]


def page(run: Path) -> str:
    """The page without the plotting library."""
    path = write_report(run)
    assert path == run / "report.html"
    return re.sub(r"<script>.*?</script>", "", path.read_text("utf-8"), flags=re.DOTALL)


def figure(text: str, name: str) -> dict[str, Any]:
    match = re.search(rf'<script type="application/json" id="{name}-figure">(.*?)</script>', text, re.DOTALL)
    assert match is not None
    return json.loads(match[1])


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_headline_and_tables_show_the_summary(make_run: MakeRun):
    run = make_run()
    total = {"value": 36.5, "low": 36.25, "high": 36.75}
    summary = json.loads((run / "evaluation/test/summary.json").read_text())
    summary["adapted"]["total"]["mean"] = total
    summary["adapted"]["first"]["mean"] = {"value": 3.875, "low": 3.0, "high": 4.0}
    summary["adapted"]["last"]["mean"] = {"value": 10.75, "low": 10.5, "high": 11.0}
    summary["normalized_score"]["total"] = {"value": 0.8125, "low": 0.75, "high": 0.875}
    edit(run / "evaluation/test/summary.json", **summary)
    text = page(run)
    sentence = (
        "On 64 grid navigation tasks of the test split, RL² earns a return of 36.50 where Bayes-optimal earns "
        "37.21, and rises from 3.88 in the first episode to 10.75 in the last: 81 % of the way from random to "
        "Bayes-optimal."
    )
    assert f"<h1>{sentence}</h1>" in text
    assert "<td>36.50 [36.25, 36.75]</td><td>3.88 [3.00, 4.00]</td><td>10.75 [10.50, 11.00]</td>" in text
    # Bayes-optimal is the last yardstick and so the ceiling; the goal known scores (44.28 + 2) / (37.21 + 2).
    assert '<span class="score">118 %</span>' in text
    assert "quickstudy train rl2 --family grid-navigation" in text
    assert "<td>0.003</td>" in text
    assert "method_options.ppo.learning_rate" in text


def test_page_is_one_file_that_names_no_address_to_fetch(make_run: MakeRun):
    text = page(make_run())
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["data:,"]
    assert "@import" not in text
    assert "url(" not in text
    assert write_report(make_run("second")).read_text("utf-8").count("plotly.js v") == 1


@pytest.mark.parametrize(
    ("low", "high", "clause"),
    [
        (10.5, 11.0, "and rises from 4.00 in the first episode to 10.75 in the last"),
        (3.5, 18.0, "and goes from 4.00 in the first episode to 10.75 in the last"),
        (None, None, "and goes from 4.00 in the first episode to 10.75 in the last"),
    ],
)
def test_headline_claims_a_rise_only_with_evidence(
    make_run: MakeRun, low: float | None, high: float | None, clause: str
):
    run = make_run()
    summary = json.loads((run / "evaluation/test/summary.json").read_text())
    summary["adapted"]["first"]["mean"]["value"] = 4.0
    summary["adapted"]["last"]["mean"] = {"value": 10.75, "low": low, "high": high}
    edit(run / "evaluation/test/summary.json", **summary)
    assert clause in page(run)


def test_adaptation_figure_holds_the_stored_curves(make_run: MakeRun):
    run = make_run()
    summary = json.loads((run / "evaluation/test/summary.json").read_text())
    for statistic in ("mean", "iqm"):
        traces = {t["name"]: t for t in figure(page(run), f"adaptation-{statistic}")["data"] if "name" in t}
        values = [point["value"] for point in summary["adapted"]["per_episode"][statistic]]
        np.testing.assert_allclose(traces["adapting"]["y"], values, rtol=1e-4)
        assert traces["adapting"]["x"] == [1, 2, 3, 4]
        assert traces["shuffled tasks"]["x"] == [4]
    assert set(traces) >= {"random", "posterior sampling", "goal known", "Bayes-optimal", "no adaptation"}


def test_iqm_of_yardsticks_is_taken_over_tasks(make_run: MakeRun):
    run = make_run(num_tasks=8)
    path = run / "evaluation/test/returns.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["yardstick/random"] = np.tile([[-100.0], [0], [1], [2], [3], [4], [5], [900]], 4)
    np.savez(path, **arrays)
    traces = {t.get("name"): t for t in figure(page(run), "adaptation-iqm")["data"]}
    assert traces["random"]["y"] == [2.5] * 4  # the mean of 1, 2, 3, 4


def test_hostile_text_is_escaped_everywhere(make_run: MakeRun):
    evil = "</script><script>alert('x')</script>"
    options = {evil: evil}
    run = make_run(method=evil, preset=evil, command=evil, method_options=options)
    replays = json.loads((run / "evaluation/test/replays.json").read_text())
    replays[0]["replay"]["marks"] = [{"cell": 3, "label": evil}]
    (run / "evaluation/test/replays.json").write_text(json.dumps(replays))
    summary = json.loads((run / "evaluation/test/summary.json").read_text())
    summary["yardsticks"][0]["name"] = evil
    edit(run / "evaluation/test/summary.json", **summary)
    whole = write_report(run).read_text("utf-8")
    assert evil not in whole
    assert "<script>alert" not in whole
    assert escape(evil) in whole


def test_run_without_evaluation_shows_learning_curves(make_run: MakeRun):
    text = page(make_run(splits=()))
    assert "has not been evaluated yet: run `quickstudy evaluate`" in text
    assert 'id="learning-total"' in text
    assert 'id="adaptation-mean"' not in text


def test_run_without_metrics_says_so(make_run: MakeRun):
    text = page(make_run(num_lines=0))
    assert "Training has not logged an iteration yet" in text
    assert 'id="adaptation-mean"' in text


def test_missing_returns_and_replays_are_named(make_run: MakeRun):
    run = make_run()
    (run / "evaluation/test/returns.npz").unlink()
    (run / "evaluation/test/replays.json").unlink()
    text = page(run)
    assert "holds no returns of single tasks" in text
    assert "holds no replays" in text
    assert 'id="adaptation-iqm"' in text


def test_one_seed_has_no_band_and_says_why(make_run: MakeRun):
    text = page(make_run(num_seeds=1))
    assert "the seed is the replicate" in text
    assert "There is no interval" in text
    assert not any("fillcolor" in trace for trace in figure(text, "adaptation-mean")["data"])
    assert "[" not in re.search(r'<strong class="adapted">.*?</tr>', text, re.DOTALL)[0]
    banded = figure(page(make_run("several")), "adaptation-mean")["data"]
    assert sum("fillcolor" in trace for trace in banded) == 2


def test_every_split_has_its_part_and_test_leads(make_run: MakeRun):
    text = page(make_run(splits=("ood", "test")))
    assert text.index('id="adaptation"') < text.index('id="adaptation-ood"')
    assert "Adaptation within a trial · ood" in text


def test_episodes_that_pay_or_do_not_have_no_box_plot(make_run: MakeRun):
    run = make_run()
    path = run / "evaluation/test/returns.npz"
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["adapted"] = np.random.default_rng(0).integers(0, 2, arrays["adapted"].shape).astype(float)
    np.savez(path, **arrays)
    text = page(run)
    assert 'id="boxes"' not in text
    assert 'id="totals"' in text


def test_what_the_agent_knows_is_listed_where_it_was_probed(make_run: MakeRun):
    run = make_run()
    assert "knows of its task" not in page(run)
    file = run / "evaluation/test/summary.json"
    summary = json.loads(file.read_text())
    known = {"value": 0.987, "low": 0.97, "high": 1.0}
    for num, listed in ((2, True), (40, False)):
        by_feature = [{"name": f"<mass> {i}", **known} for i in range(num)]
        probe = {"num_folds": 5, "r_squared": {"value": 0.5, "low": 0.4, "high": 0.6}, "by_feature": by_feature}
        file.write_text(json.dumps(summary | {"probe": probe}))
        text = page(run)
        assert "What the agent knows of its task" in text
        assert ("&lt;mass&gt; 1" in text) == listed
        assert f"all {num}, mean" in text
        assert "0.5" in text


def test_unknown_replay_kind_is_left_out(make_run: MakeRun):
    run = make_run()
    replays = [{"task": 0, "seed": 0, "replay": {"kind": "hologram"}}]
    (run / "evaluation/test/replays.json").write_text(json.dumps(replays))
    assert "holds no replays" in page(run)


def test_half_written_last_line_of_metrics_is_passed_over(make_run: MakeRun):
    run = make_run(num_lines=20)
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 21, "env_st')
    metrics = read_run(run).metrics
    assert metrics is not None
    assert metrics.step.tolist() == list(range(1, 21))
    assert metrics.values["return_total"].shape == (20, 4)


def test_long_training_is_thinned_to_averages(make_run: MakeRun):
    run = make_run(num_lines=900)
    traces = figure(page(run), "learning-total")["data"]
    mean = next(trace for trace in traces if trace.get("name") == "total")
    stored = read_run(run).metrics
    assert stored is not None
    by_three = stored.values["return_total"].mean(axis=1).reshape(300, 3).mean(axis=1)
    np.testing.assert_allclose(mean["y"], by_three, rtol=1e-4)


BESIDE = [
    ("add_beliefs", "beliefs", READ_BELIEFS, "episodes", "'limits' and 'episodes'"),
    ("add_predictions", "predictions", READ_PREDICTIONS, "errors", "'errors' and 'starts' and 'episodes'"),
]


@pytest.mark.parametrize(("fixture", "note"), [(fixture, note) for fixture, _, note, *_ in BESIDE])
def test_what_the_agent_thought_is_explained_where_it_is_known(make_run: MakeRun, request, fixture: str, note: str):
    run, add = make_run(splits=("test", "ood")), request.getfixturevalue(fixture)
    assert note not in page(run)
    add(run, "ood")
    text = page(run)
    assert text.count(note) == 1
    assert text.index('id="replay-ood"') < text.index(note)
    add(run)
    assert page(run).count(note) == 2


@pytest.mark.parametrize(("fixture", "part", "lost", "named"), [(f, part, lost, n) for f, part, _, lost, n in BESIDE])
def test_what_is_beside_a_replay_is_refused_in_parts(
    make_run: MakeRun, request, fixture: str, part: str, lost: str, named: str
):
    run = make_run()
    replays = request.getfixturevalue(fixture)(run)
    file = run / "evaluation/test/replays.json"
    del replays[1][part][lost]
    for damaged in (replays[1][part], None, [1]):
        replays[1][part] = damaged
        file.write_text(json.dumps(replays))
        with pytest.raises(QuickstudyError, match=f"the '{part}' of entry 1 have no {named}: run"):
            write_report(run)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("config.json", lambda data: data[: len(data) // 2]),
        ("versions.json", lambda data: data[:-3]),
        ("versions.json", lambda data: b"3"),
        ("evaluation/test/summary.json", lambda data: data[: len(data) // 2]),
        ("evaluation/test/summary.json", lambda data: b"[]"),
        ("evaluation/test/summary.json", lambda data: b"{}"),
        ("evaluation/test/returns.npz", lambda data: data[: len(data) // 2]),
        ("evaluation/test/returns.npz", lambda data: b"no archive"),
        ("evaluation/test/replays.json", lambda data: data[:-10]),
        ("evaluation/test/replays.json", lambda data: b"[1]"),
        ("metrics.jsonl", lambda data: b"{bad}\n" + data),
        ("metrics.jsonl", lambda data: b'{"step": 0}\n' + data),
    ],
)
def test_damaged_file_is_named_with_its_mend(make_run: MakeRun, file: str, damage: Callable[[bytes], bytes]):
    run = make_run(num_lines=5)
    path = run / file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(QuickstudyError) as caught:
        write_report(run)
    message = str(caught.value)
    assert str(path) in message
    assert re.search("restore|quickstudy evaluate|remove", message)
    assert not (run / "report.html").exists()


def test_directory_without_a_run_is_refused(tmp_path: Path):
    with pytest.raises(InvalidArgument, match=re.escape(str(tmp_path))):
        write_report(tmp_path)
