"""The small pure pieces: label placement, bins, numbers as text."""

import json

import numpy as np
import pytest

from quickstudy.report.adaptation import bin_edges, interquartile_mean
from quickstudy.report.html import compact, data_script
from quickstudy.report.labels import spread
from quickstudy.report.text import count, duration, flatten, number, percent, title


def test_labels_far_apart_stay_where_they_are():
    np.testing.assert_allclose(spread([150.0, 10.0, 60.0], gap=20, height=200), [150, 10, 60])


def test_labels_at_one_place_are_centred_on_it():
    np.testing.assert_allclose(spread([100.0, 100.0, 100.0], gap=20, height=200), [80, 100, 120])


def test_labels_stay_inside():
    np.testing.assert_allclose(spread([199.0, 199.0, 2.0, 1.0], gap=20, height=200), [180, 200, 20, 0])


def test_spread_is_the_nearest_feasible_placement():
    rng = np.random.default_rng(0)
    targets = rng.uniform(0, 300, 9)
    placed = spread(targets.tolist(), gap=17, height=400)
    assert np.diff(np.sort(placed)).min() >= 17 - 1e-9
    best = ((placed - targets) ** 2).sum()
    for _ in range(2000):
        other = np.sort(placed)[np.argsort(np.argsort(placed))] + rng.normal(0, 3, 9)
        if np.diff(np.sort(other)).min() >= 17:
            assert ((other - targets) ** 2).sum() >= best - 1e-9


def test_bins_follow_a_lattice():
    # Totals of a grid trial: 60 steps at -0.1, and 1.1 more for each on the goal.
    values = -6.0 + 1.1 * np.arange(41)
    edges = bin_edges(values, np.r_[values, -10.0, 50.0])
    counts = np.histogram(values, edges)[0]
    assert counts.sum() == 41
    assert set(counts[(edges[:-1] > -6) & (edges[1:] < 38)].tolist()) == {2}
    assert edges[0] <= -10
    assert edges[-1] >= 50


def test_bins_of_anything_else_are_even():
    values = np.random.default_rng(0).normal(size=5000)
    edges = bin_edges(values, values)
    assert len(edges) == 41
    assert np.histogram(values, edges)[0].sum() == 5000


def test_bins_of_a_single_value():
    assert np.histogram(np.full(7, 3.0), bin_edges(np.full(7, 3.0), np.full(7, 3.0)))[0].tolist() == [7]


def test_interquartile_mean_leaves_out_what_is_not_known():
    values = np.array([[-100.0], [np.nan], [1], [3], [900]])
    assert interquartile_mean(values).tolist() == [2.0]


def test_json_in_the_page_is_plain_short_and_cannot_end_its_element():
    value = {"a": np.array([1.23456789, np.nan, np.inf]), 3: "</script>", "n": 12345678}
    assert compact(value) == {"a": [1.2346, None, None], "3": "</script>", "n": 12345678}
    script = data_script("x", value)
    assert script.count("</script>") == 1
    inner = script.removeprefix('<script type="application/json" id="x">').removesuffix("</script>")
    assert json.loads(inner) == compact(value)


@pytest.mark.parametrize(
    ("value", "text"),
    [(3.14159, "3.14"), (-0.5, "−0.50"), (0, "0.00"), (1234.5, "1,234.50"), (0.0012, "1.20e−03"), (None, "–")],
)
def test_number(value: float | None, text: str):
    assert number(value) == text


def test_other_texts():
    assert [percent(x) for x in (0, 0.5, 0.987, 1, -0.2)] == ["0 %", "50 %", "98.7 %", "100 %", "−20 %"]
    assert [count(x) for x in (640, 18_432_000)] == ["640", "18.4 M"]
    assert [duration(x) for x in (3.14, 95, 7260)] == ["3.1 s", "1 min 35 s", "2 h 1 min"]
    assert [title(x) for x in ("rl2", "bernoulli-bandit", "grid-navigation")] == [
        *("RL²", "Bernoulli bandit", "grid navigation")
    ]
    assert flatten({"a": {"b": 1, "c": {}}, "d": [1, 2], "e": None}) == {"a.b": "1", "a.c": "–", "d": "1, 2", "e": "–"}
