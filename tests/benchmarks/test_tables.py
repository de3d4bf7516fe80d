import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    spec = importlib.util.spec_from_file_location("tables", ROOT / "benchmarks" / "tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def both(value: float, reach: float | None) -> dict[str, Any]:
    low, high = (None, None) if reach is None else (value - reach, value + reach)
    estimate = {"value": value, "low": low, "high": high}
    return {"mean": estimate, "iqm": estimate | {"value": value + 0.5}}


def result(preset: str = "grid", *, reach: float | None = 0.25, **evaluation: Any) -> dict[str, Any]:
    curve = {"total": both(36.5, reach), "first": both(3.75, reach), "last": both(11.0, reach)}
    yardstick = {"name": "Bayes-optimal", "per_episode": [4.0, 11.07], "total": 37.21, "standard_error": 0.034}
    return {
        "preset": preset,
        "command": f"quickstudy reproduce {preset}",
        "config": {"method_options": {}},
        "training": {"step": 10, "env_steps": 2_000_000, "seconds": 300.0},
        "published": {"goal known (exact)": 44.29, "optimum (exact)": 37.21, "RL²": 35.0},
        "evaluation": {
            **{"family": "grid-navigation", "method": "rl2", "num_seeds": 6, "num_tasks": 4096},
            **{"adapted": curve, "unadapted": curve | {"total": both(12.0, reach)}},
            **{"shuffled": {"last": both(0.5, reach)}, "yardsticks": [yardstick]},
            **evaluation,
        },
        "sessions": [{"started": "2026-01-01T00:00:00+00:00"}, {"started": "2026-02-03T04:05:06+00:00"}],
    }


def site(root: Path, text: str, *results: dict[str, Any]) -> Path:
    (root / "benchmarks" / "results").mkdir(parents=True)
    (root / "docs" / "families").mkdir(parents=True)
    for stored in results:
        (root / "benchmarks" / "results" / f"{stored['preset']}.json").write_text(json.dumps(stored))
    (root / "README.md").write_text("# no block\n")
    page = root / "docs" / "families" / "page.md"
    page.write_text(text)
    return page


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def block(name: str, content: str = "old") -> str:
    return f"before\n\n<!-- results:{name} -->\n{content}\n<!-- /results -->\n\nafter\n"


def test_a_block_is_replaced_by_the_stored_numbers_and_the_rest_is_left_alone(tables: ModuleType, tmp_path: Path):
    page = site(tmp_path, block("all"), result())
    assert tables.main([], tmp_path) == 0
    lines = page.read_text().splitlines()
    assert lines[:3] == ["before", "", "<!-- results:all -->"]
    assert lines[-3:] == ["<!-- /results -->", "", "after"]
    row = dict(zip(cells(lines[3]), cells(lines[5]), strict=True))
    assert row == {
        "preset": "`grid`",
        "total on the test split, mean [95 %]": "36.50 [36.25, 36.75]",
        "IQM [95 %]": "37.00 [36.25, 36.75]",
        "first → last episode": "3.750 → 11.00",
        "published RL²": "35",
        "exact reference": "37.21",
        "un-adapted": "12.00 [11.75, 12.25]",
        "shuffled, last episode": "0.500 [0.250, 0.750]",
        "seeds × test tasks": "6 × 4,096",
        "training steps per seed": "2.0 M",
        "time, all seeds": "5 min",
        "command": "`quickstudy reproduce grid`",
        "date": "2026-02-03",
    }


def test_check_tells_stale_from_fresh_and_writes_nothing(tables: ModuleType, tmp_path: Path, capsys):
    page = site(tmp_path, block("summary"), result())
    assert tables.main(["--check"], tmp_path) == 1
    assert "docs/families/page.md: out of date" in capsys.readouterr().out
    assert page.read_text() == block("summary")
    tables.main([], tmp_path)
    assert tables.main(["--check"], tmp_path) == 0
    stored = tmp_path / "benchmarks" / "results" / "grid.json"
    stored.write_text(stored.read_text().replace("37.21", "38.5"))
    assert tables.main(["--check"], tmp_path) == 1


def test_a_block_of_one_method_or_family_holds_its_presets_only(tables: ModuleType):
    bandit = result("bandit", family="bernoulli-bandit")
    control = result("control", method="multitask-ppo")
    content = tables.blocks([bandit, control, result()], Path("nowhere.json"))
    names = lambda block: [cells(line)[0] for line in block.splitlines()[2:]]
    assert names(content("rl2")) == ["`bandit`", "`grid`"]
    assert names(content("grid-navigation")) == ["`control`", "`grid`"]
    assert names(content("all")) == ["`bandit`", "`control`", "`grid`"]
    assert names(content("bernoulli-bandit/yardsticks")) == ["`bandit`"]
    assert cells(content("bernoulli-bandit/yardsticks").splitlines()[2])[1:] == [
        "Bayes-optimal",
        "37.21 ± 0.034",
        "4.000",
        "11.07",
    ]


def rollouts(preset: str, *returns: float, **evaluation: Any) -> dict[str, Any]:
    """A stored result of a method that learns from rollouts, with these returns after 0, 1, 2, … updates."""
    stored = result(preset, **evaluation)
    stored["evaluation"]["adapted"]["per_block"] = {"mean": [both(x, 0.5)["mean"] for x in returns]}
    return stored | {"config": {"method_options": {"inner": {"num_updates": 1}}}}


def test_returns_after_updates_have_a_table_of_their_own_with_the_best_first(tables: ModuleType):
    worse, better = rollouts("worse", 0.0, 2.0, 3.0, method="maml"), rollouts("better", 0.0, 1.0, 4.0, method="mpo")
    content = tables.blocks([worse, result(), better], Path("nowhere"))
    lines = content("grid-navigation/updates").splitlines()
    assert cells(lines[0])[1:4] == ["after 0", "after 1", "after 2"]
    assert [cells(line)[0] for line in lines[2:]] == ["`better`", "`worse`"]
    assert cells(lines[2])[3] == "4.000 [3.500, 4.500]"
    assert [cells(line)[0] for line in content("maml/updates").splitlines()[2:]] == ["`worse`"]
    for name in ("all", "grid-navigation"):
        assert [cells(line)[0] for line in content(name).splitlines()[2:]] == ["`grid`"]


def planned(preset: str, *returns: float) -> dict[str, Any]:
    """A stored result beside a random policy that earns −10 an episode and an oracle planner that earns 0."""
    references = [
        {"name": name, "per_episode": [value, value], "total": 2 * value, "standard_error": 0.1}
        for name, value in (("random", -10.0), ("oracle planner", 0.0))
    ]
    stored = result(preset, yardsticks=references)
    stored["evaluation"]["adapted"]["per_episode"] = {"mean": [both(x, 0.5)["mean"] for x in returns]}
    return stored


def test_mml_stands_beside_what_it_is_measured_against(tables: ModuleType):
    mml, grbal = planned("arm-mml", -2.0, -0.1), planned("arm-grbal", -4.0, -3.0)
    mml["out_of_distribution"] = planned("arm-mml", -5.0, -2.5)["evaluation"]
    content = tables.blocks([mml, grbal, result()], Path("nowhere"))("mml-beside")
    (row,) = content.splitlines()[2:]
    assert cells(row) == ["`arm-mml`", "0.80, 0.99", "0.50, 0.75", "–", "0.60, 0.70", "–", "–"]


def test_the_gradient_speed_table_shows_speed_and_scaling(tables: ModuleType, tmp_path: Path):
    row = {"seconds_per_meta_update": 0.1, "env_steps_per_second": 800_000.0, "seconds_to_first_metric": 3.0}
    case = row | {"updates": 3, "tasks": 20, "remat": True, "peak_memory_gib": 1.25}
    stored = {
        "command": "python benchmarks/gradient_speed.py",
        "session": {"cpus": 2, "started": "2026-02-03T04:05:06+00:00"},
        "speed": {"2 × 64": row | {"cold_seconds_to_first_metric": 9.0}},
        "scaling": [case],
    }
    (tmp_path / "gradient_speed.json").write_text(json.dumps(stored))
    lines = tables.blocks([], tmp_path)("gradient-speed").splitlines()
    assert cells(lines[2]) == ["2 × 64", "0.100", "800,000", "9.0 s / 3.0 s"]
    assert cells(lines[6]) == ["3", "20", "yes", "0.100", "1.25 GiB"]


def test_the_steps_table_leaves_out_what_was_not_followed_to_the_end(tables: ModuleType, tmp_path: Path):
    estimates = [{"value": value, "low": value - 1, "high": value + 1} for value in (2.0, 9.5)]
    fast = {"marks": [0, 10], "returns": estimates, "random": 0.0, "expert": 10.0, "reaches_expert_at": 10}
    slow = fast | {"marks": [0], "returns": estimates[:1], "reaches_expert_at": None}
    stored = {"command": "x", "session": {"started": "2026-02-03T04"}, "methods": {"slow": slow, "fast": fast}}
    (tmp_path / "steps-in-grid.json").write_text(json.dumps(stored))
    lines = tables.blocks([], tmp_path)("grid/steps").splitlines()
    assert cells(lines[0])[1:] == ["after 0 steps", "after 10 steps", "95 % of the expert after"]
    assert cells(lines[2])[1:] == ["2.000 [1.000, 3.000]", "–", "–"]
    assert cells(lines[3])[2:] == ["9.500 [8.500, 10.50]", "10"]
    assert lines[-1] == "Random: 0.000, expert: 10.00. `x`, 2026-02-03."


def test_measurements_that_are_no_presets_are_left_out(tables: ModuleType, tmp_path: Path):
    (tmp_path / "grid.json").write_text(json.dumps(result()))
    (tmp_path / "act_latency.json").write_text(json.dumps({"command": "python benchmarks/act_latency.py"}))
    assert [stored["preset"] for stored in tables.read_results(tmp_path)] == ["grid"]


def test_a_reference_that_is_no_optimum_is_named_and_a_missing_one_is_a_dash(tables: ModuleType):
    control = result() | {"published": {"PSRL": 138.1, "BEB, right prior (exact)": 162.8}}
    assert cells(tables.preset_table([control], tables.SUMMARY).splitlines()[2])[2:4] == [
        "–",
        "162.8, BEB, right prior (exact)",
    ]
    assert tables.reference({"published": {"optimum (≈)": 83.85}}, "optimum") == "≈ 83.85"


def test_one_seed_has_no_interval_and_a_single_episode_no_shuffled_control(tables: ModuleType):
    row = tables.preset_table([result(reach=None, shuffled=None)], tables.ALL).splitlines()[2]
    assert cells(row)[1] == "36.50"
    assert cells(row)[7] == "–"


def test_without_results_a_block_says_how_to_get_them(tables: ModuleType, tmp_path: Path):
    page = site(tmp_path, block("rl2") + block("speed"))
    tables.main([], tmp_path)
    assert "`python benchmarks/presets.py`" in page.read_text()
    assert "`python benchmarks/speed.py`" in page.read_text()


def test_the_speed_table_shows_every_family(tables: ModuleType, tmp_path: Path):
    core = {"env_steps_per_second": 100_000.4, "programs_compiled_after_second_update": 0, "peak_memory_gib": 0.5}
    row = {
        **{"all_cores": core | {"env_steps_per_second": 210_000.0}, "one_core": core, "one_seed_all_cores": core},
        **{"cold_seconds_to_first_metric": 12.34, "warm_seconds_to_first_metric": 5.0, "all_cores_over_one_core": 2.1},
    }
    speed = {
        "command": "python benchmarks/speed.py",
        "session": {"cpus": 2, "started": "2026-02-03T04:05:06+00:00"},
        "families": {"grid-navigation": row},
    }
    (tmp_path / "speed.json").write_text(json.dumps(speed))
    lines = tables.blocks([], tmp_path)("speed").splitlines()
    assert cells(lines[2]) == [
        *("`grid-navigation`", "210,000", "100,000", "2.10", "100,000", "12.3 s / 5.0 s", "0", "0.50 GiB"),
    ]
    assert lines[-1] == "`python benchmarks/speed.py`, 2026-02-03."


@pytest.mark.parametrize("text", ["<!-- results:all -->\nno end", "no start\n<!-- /results -->"])
def test_a_marker_without_its_partner_is_refused(tables: ModuleType, text: str):
    with pytest.raises(ValueError, match="marker"):
        tables.rewrite(text, lambda name: name)


@pytest.mark.parametrize(("seconds", "text"), [(12.4, "12 s"), (300, "5 min"), (5000, "83 min"), (9000, "2.5 h")])
def test_durations_are_rounded(tables: ModuleType, seconds: float, text: str):
    assert tables.duration(seconds) == text


def test_the_pages_hold_what_is_stored(tables: ModuleType):
    """After new results: ``python benchmarks/tables.py``."""
    assert tables.main(["--check"]) == 0
