"""The pages in a real browser: everything is drawn, the controls work, nothing complains, nothing is fetched."""

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quickstudy.report import write_comparison, write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMEDRIVER = shutil.which("chromedriver")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)

AddBeside = Callable[..., list[dict[str, Any]]]

pytestmark = pytest.mark.skipif(
    CHROMIUM is None or CHROMEDRIVER is None, reason="needs chromium and chromedriver, which are not installed"
)


class Browser:
    """The few commands of the WebDriver protocol that these tests need, over the standard library's HTTP client."""

    def __init__(self, port: int, profile: Path):
        self.base = f"http://127.0.0.1:{port}"
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        options = {"binary": CHROMIUM, "args": [*FLAGS, f"--user-data-dir={profile}"]}
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"}}
        session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": wanted}})
        self.base += f"/session/{session['sessionId']}"

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data, {"Content-Type": "application/json"}, method=method)
        with self.opener.open(request, timeout=60) as answer:
            return json.load(answer)["value"]

    def devtools(self, command: str, **params: Any) -> Any:
        return self.call("POST", "/goog/cdp/execute", {"cmd": command, "params": params})

    def run(self, script: str) -> Any:
        """What the body of a JavaScript function returns."""
        return self.call("POST", "/execute/sync", {"script": script, "args": []})

    def open(self, page: Path, *, width: int = 1280, scheme: str = "light") -> None:
        self.devtools("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.devtools("Emulation.setEmulatedMedia", media="screen", features=features)
        self.log("browser")
        self.log("performance")
        self.call("POST", "/url", {"url": page.as_uri()})

    def log(self, kind: str) -> list[dict[str, Any]]:
        """What has been logged since the last call."""
        return self.call("POST", "/se/log", {"type": kind})

    def requests(self) -> list[str]:
        """The addresses that pages asked for since the last call."""
        events = (json.loads(entry["message"])["message"] for entry in self.log("performance"))
        return [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tmp_path_factory.mktemp("chromium")
    with (folder / "driver.log").open("w") as log:
        driver = subprocess.Popen([str(CHROMEDRIVER), f"--port={port}"], stdout=log, stderr=log)
        try:
            session = connect(port, folder / "profile")
            yield session
            session.call("DELETE", "")
        finally:
            driver.terminate()
            driver.wait(timeout=30)


def connect(port: int, profile: Path, attempts: int = 100) -> Browser:
    for _ in range(attempts):
        try:
            return Browser(port, profile)
        except (ConnectionError, urllib.error.URLError) as error:
            if isinstance(error, urllib.error.HTTPError):
                pytest.fail(f"chromedriver answers, but no session began: {error.read().decode()}")
            time.sleep(0.1)
    pytest.fail(f"chromedriver did not answer on port {port}")


OPEN_ALL = "document.querySelectorAll('details').forEach((element) => (element.open = true));"
SHOW_IQM = "document.querySelectorAll('.choice input')[1].click();"
# Of each visible plot: how many lines, bars and boxes have a shape.
MARKS = """
return Object.fromEntries([...document.querySelectorAll('.plot')].filter((plot) => plot.clientWidth).map((plot) => [
  plot.id,
  [...plot.querySelectorAll('.scatterlayer .js-line, .scatterlayer .point, .boxlayer path.box')]
    .filter((path) => path.getAttribute('d')).length,
]));
"""
STAGE = "return document.querySelector('.stage').innerHTML;"
STEP = "return document.querySelector('.controls output:last-child') && document.querySelector('.step').value;"


def click(browser: Browser, selector: str) -> None:
    browser.run(f"document.querySelector('{selector}').click();")


def wait_for(browser: Browser, script: str, expected: Callable[[Any], bool]) -> Any:
    for _ in range(100):
        value = browser.run(script)
        if expected(value):
            return value
        time.sleep(0.05)
    pytest.fail(f"{script} stayed at {value!r}")


def assert_quiet(browser: Browser, page: Path) -> None:
    assert [entry for entry in browser.log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    assert [url for url in browser.requests() if not url.startswith("data:")] == [page.as_uri()]


@pytest.mark.parametrize("kind", ["grid", "plane", "arms", "states", "cart-pole", "pendulum", "hill", "arm"])
def test_report_draws_every_plot_quietly(browser: Browser, make_run: Callable[..., Path], kind: str):
    page = write_report(make_run(kind=kind))
    browser.open(page)
    browser.run(OPEN_ALL)
    plots = {"adaptation-mean", "totals", "boxes", "learning-total", "learning-ends", "metric-0", "metric-1"}
    marks = wait_for(browser, MARKS, lambda marks: set(marks) == plots and all(marks.values()))
    # Two series with markers at 4 episodes and one at the last, two bands, 4 yardsticks.
    assert marks["adaptation-mean"] >= 2 * 4 + 1 + 2 + 4
    assert marks["learning-total"] == 4 + 1 + 1  # seeds, mean, ceiling
    assert marks["boxes"] == 4
    browser.run(SHOW_IQM)
    wait_for(browser, MARKS, lambda marks: marks.get("adaptation-iqm", 0) > 0 and "adaptation-mean" not in marks)
    assert_quiet(browser, page)


@pytest.mark.parametrize("kind", ["grid", "plane", "states", "cart-pole", "pendulum", "hill", "arm"])
def test_replay_controls(browser: Browser, make_run: Callable[..., Path], kind: str):
    page = write_report(make_run(kind=kind))
    browser.open(page)
    first = browser.run(STAGE)
    assert browser.run("return document.querySelectorAll('.filmstrip button').length") == 4
    click(browser, ".next")
    second = browser.run(STAGE)
    assert second != first
    assert browser.run("return document.querySelector('.filmstrip [aria-pressed=true] b').textContent") == "Episode 2"
    click(browser, ".previous")
    assert browser.run(STAGE) == first
    click(browser, ".filmstrip button:nth-child(2)")
    assert browser.run(STAGE) == second
    browser.run("const s = document.querySelector('.step'); s.value = 3; s.dispatchEvent(new Event('input'));")
    assert browser.run("return document.querySelector('.stage svg').getAttribute('aria-label')").startswith(
        "Episode 2, step 3:"
    )
    browser.run("const t = document.querySelector('.task'); t.value = 1; t.dispatchEvent(new Event('change'));")
    assert browser.run(STAGE) not in (first, second)
    assert_quiet(browser, page)


def test_replay_plays_and_pauses(browser: Browser, make_run: Callable[..., Path]):
    page = write_report(make_run(kind="arms"))
    browser.open(page)
    pulls = "return document.querySelectorAll('.stage .pull').length"
    assert browser.run(pulls) == 20
    click(browser, ".play")
    wait_for(browser, pulls, lambda count: 2 <= count < 20)
    click(browser, ".play")
    paused = browser.run(pulls)
    time.sleep(0.5)
    assert browser.run(pulls) == paused
    click(browser, ".play")
    wait_for(browser, pulls, lambda count: count == 20)
    wait_for(browser, "return document.querySelector('.play').textContent", lambda text: text == "▶ Play")
    assert_quiet(browser, page)


MAPS = (
    "return [...document.querySelectorAll('.beliefs:not([hidden]) svg')].map((map) => map.getAttribute('aria-label'))"
)
OPACITY = """
const maps = [...document.querySelectorAll('.beliefs svg')];
return maps.map((map) => [...map.querySelectorAll('.belief')].map((cell) => Number(cell.getAttribute('fill-opacity'))));
"""
# Where the middle of the star is, as a share of the map's width from the left and of its height from the top.
STAR = """
const map = document.querySelector('.beliefs svg'), whole = map.getBoundingClientRect();
const star = map.querySelector('.goal').getBBox(), view = map.viewBox.baseVal;
return [(star.x + star.width / 2 - view.x) / view.width, (star.y + star.height / 2 - view.y) / view.height];
"""


@pytest.mark.parametrize("kind", ["grid", "plane"])
def test_beliefs_follow_the_episode(browser: Browser, make_run: Callable[..., Path], add_beliefs: AddBeside, kind: str):
    run = make_run(kind=kind)
    replays = add_beliefs(run)
    page = write_report(run)
    browser.open(page)
    assert browser.run(MAPS) == [
        "Knowledge at the start of episode 1: value of a state before the task has shown anything, from −1.00 to 7.00",
        "Adapted at the start of episode 1: its value by what the task has shown so far, from −1.00 to 7.00",
        "Uncertainty at the start of episode 1: standard deviation of the adapted value, from 0.00 to 8.00",
    ]
    # Values lie between −1 and 10 over all episodes, which is one scale for both maps; uncertainty between 0 and 8.
    values, shares = [i / 11 for i in range(9)], [i / 8 for i in range(9)]
    np.testing.assert_allclose(browser.run(OPACITY), [values, values, shares], atol=6e-4)
    click(browser, ".next")
    assert browser.run(MAPS)[1].endswith("from 0.00 to 8.00")
    moved = [(i + 1) / 11 for i in range(9)]
    np.testing.assert_allclose(browser.run(OPACITY), [values, moved, shares], atol=6e-4)
    scales = browser.run("return [...document.querySelectorAll('.beliefs .scale')].map((e) => e.textContent)")
    assert scales == ["−1.0010.00", "−1.0010.00", "0.008.00"]
    goal = replays[0]["replay"]["goal"]
    x, y = ((goal % 5 + 0.5) / 5, (goal // 5 + 0.5) / 5) if kind == "grid" else [(z + 1.25) / 2.5 for z in goal]
    assert browser.run(STAR) == pytest.approx([x, 1 - y], abs=0.02)
    # The last task has no beliefs.
    browser.run("const t = document.querySelector('.task'); t.value = 2; t.dispatchEvent(new Event('change'));")
    assert browser.run(MAPS) == []
    assert_quiet(browser, page)


def test_a_run_without_beliefs_and_predictions_draws_none(browser: Browser, make_run: Callable[..., Path]):
    page = write_report(make_run())
    browser.open(page)
    assert browser.run(MAPS) == []
    hidden = "return ['.beliefs', '.predictions'].map((part) => document.querySelector(part).hidden)"
    assert browser.run(hidden) == [True, True]
    assert_quiet(browser, page)


def test_beliefs_follow_the_theme_and_fit_a_phone(
    browser: Browser, make_run: Callable[..., Path], add_beliefs: AddBeside
):
    run = make_run(splits=("test", "ood"))
    add_beliefs(run)
    add_beliefs(run, "ood")
    page = write_report(run)
    fill = "return getComputedStyle(document.querySelector('.belief')).fill"
    fill_of_uncertainty = "return getComputedStyle(document.querySelector('.belief.deviation')).fill"
    browser.open(page, width=375, scheme="dark")
    assert browser.run("return document.documentElement.scrollWidth") <= 375
    assert len(browser.run(MAPS)) == 6
    inside = "return [...document.querySelectorAll('.beliefs *')].every((e) => e.getBoundingClientRect().right <= 375)"
    assert browser.run(inside)
    dark = browser.run(fill)
    assert browser.run(fill_of_uncertainty) != dark
    browser.open(page, scheme="light")
    assert browser.run(fill) != dark
    assert_quiet(browser, page)


LINES = """
const charts = [...document.querySelectorAll('.predictions:not([hidden]) svg')];
return charts.map((chart) => chart.getAttribute('aria-label'));
"""
# Of every chart the points of its lines, which are cut into runs.
PATHS = """
const points = (run) => run.split('L').slice(1).map((point) => point.split(',').map(Number));
const runs = (path) => path.getAttribute('d').split('M').slice(1).map(points);
return [...document.querySelectorAll('.predictions svg')].map((chart) => [...chart.querySelectorAll('path')].map(runs));
"""


def test_predictions_follow_the_episode(browser: Browser, make_run: Callable[..., Path], add_predictions: AddBeside):
    run = make_run()
    add_predictions(run)
    page = write_report(run)
    browser.open(page)
    steps = "in the first 4 steps of episode 1: what happened, from"
    assert browser.run(LINES) == [
        f"Observation 1 {steps} 0 to 1, and what was predicted",
        f"Observation 2 {steps} 1 to 2, and what was predicted",
        f"Reward {steps} 1 to 1, and what was predicted",
        "Model error, one step ahead, at each of the 16 steps of the trial; its median is 1 in episode 1",
    ]
    first, second, reward, errors = browser.run(PATHS)
    # Real values span [0, 1] and predicted ones end at 1.25: heights 38 to 2 of a picture of 40.
    y = lambda value: 2 + 36 * (1.25 - value) / 1.25
    times, values = 25 * np.arange(5), np.linspace(0, 1, 5)
    for chart in (first, second):
        [[real], [predicted]] = chart
        np.testing.assert_allclose(real, np.column_stack([times, y(values)]))
        np.testing.assert_allclose(predicted, np.column_stack([times, y(values + 0.25)]))
    # The reward is 1 throughout, and predictions that are more than half as much above it leave the picture.
    level = lambda value: 2 + 36 * (1.5 - value) / 0.5
    np.testing.assert_allclose(reward[0][0], [[x, level(1)] for x in times[1:]])
    np.testing.assert_allclose(reward[1][0], [[x, level(1)] for x in times[1:]])
    # Errors of 1 to 0.001 fill three decades; the first is not known.
    [[line]] = errors
    heights = np.repeat([0, 40 / 3, 80 / 3, 40], 4)
    np.testing.assert_allclose(line, np.column_stack([6.25 * (np.arange(16) + 0.5), heights])[1:], atol=1e-6)
    assert browser.run("return document.querySelector('.predictions .ticks').textContent") == "10.10.0110−3"
    assert browser.run("return document.querySelectorAll('.predictions .border').length") == 3

    click(browser, ".next")
    assert browser.run(LINES)[-1].endswith("its median is 0.1 in episode 2")
    first, *_, reward, errors = browser.run(PATHS)
    assert [len(run) for run in first[1]] == [2, 2]
    np.testing.assert_allclose(reward[1][0], [[x, level(2)] for x in times[1:]])
    [shown] = browser.run("return [...document.querySelectorAll('.predictions .cell')].map((e) => e.getAttribute('x'))")
    assert shown == "25"
    # The last task has no predictions.
    browser.run("const t = document.querySelector('.task'); t.value = 2; t.dispatchEvent(new Event('change'));")
    assert browser.run(LINES) == []
    assert_quiet(browser, page)


def test_no_more_components_are_drawn_than_can_be_read(
    browser: Browser, make_run: Callable[..., Path], add_predictions: AddBeside
):
    run = make_run()
    replays = add_predictions(run, num_components=11)
    replays[0]["predictions"]["errors"] = [None] * 16
    (run / "evaluation/test/replays.json").write_text(json.dumps(replays))
    page = write_report(run)
    browser.open(page)
    titles = "return [...document.querySelectorAll('.predictions b')].map((e) => e.textContent)"
    assert browser.run(titles) == [*(f"Observation {i} of 11" for i in range(1, 9)), "Reward"]
    assert_quiet(browser, page)


def test_predictions_follow_the_theme_and_fit_a_phone(
    browser: Browser, make_run: Callable[..., Path], add_predictions: AddBeside
):
    run = make_run(splits=("test", "ood"))
    add_predictions(run)
    add_predictions(run, "ood")
    page = write_report(run)
    strokes = """
    const lines = ['real', 'predicted', 'unchanged'].map((name) => document.querySelector(`.line.${name}`));
    return lines.map((line) => getComputedStyle(line).stroke);
    """
    browser.open(page, width=375, scheme="dark")
    assert browser.run("return document.documentElement.scrollWidth") <= 375
    assert len(browser.run(LINES)) == 8
    inside = """
    const parts = [...document.querySelectorAll('.predictions figure *:not(path)')];
    return parts.every((part) => part.getBoundingClientRect().right <= 375);
    """
    assert browser.run(inside)
    dark = browser.run(strokes)
    assert len(set(dark)) == 3
    browser.open(page, scheme="light")
    assert not set(browser.run(strokes)) & set(dark)
    assert_quiet(browser, page)


def test_page_follows_the_theme_and_fits_a_phone(browser: Browser, make_run: Callable[..., Path]):
    page = write_report(make_run(splits=("test", "ood")))
    ink = "return document.querySelector('#adaptation-mean .xtitle').style.fill"
    browser.open(page, width=375, scheme="dark")
    assert browser.run("return document.documentElement.scrollWidth") <= 375
    assert browser.run("return document.querySelectorAll('#adaptation-mean .legend .traces').length") == 7
    overflow = "const plot = document.getElementById('adaptation-mean'); return plot.scrollHeight - plot.clientHeight"
    assert browser.run(overflow) <= 0
    dark = browser.run(ink)
    browser.open(page, scheme="light")
    assert browser.run(ink) != dark
    assert browser.run("return document.querySelectorAll('#adaptation-mean .annotation').length") == 7
    assert_quiet(browser, page)


def test_hostile_text_is_shown_not_run(browser: Browser, make_run: Callable[..., Path]):
    evil = "</script><script>window.evil = 1</script><img src=x onerror='window.evil = 2'>"
    page = write_report(make_run(method=evil, command=evil, preset=evil, method_options={evil: evil}))
    browser.open(page)
    browser.run(OPEN_ALL)
    assert browser.run("return window.evil") is None
    assert browser.run("return document.querySelector('pre').textContent") == evil
    assert_quiet(browser, page)


def test_bare_run_is_quiet(browser: Browser, make_run: Callable[..., Path]):
    page = write_report(make_run(splits=(), num_lines=0))
    browser.open(page)
    assert browser.run("return document.querySelectorAll('.notice').length") == 2
    assert_quiet(browser, page)


def test_comparison_draws_every_run(browser: Browser, make_run: Callable[..., Path], tmp_path: Path):
    runs = [make_run("a"), make_run("b", method="multitask", num_seeds=1), make_run("c", splits=())]
    page = write_comparison(runs, tmp_path / "comparison.html")
    browser.open(page)
    marks = wait_for(browser, MARKS, lambda marks: len(marks) == 2 and all(marks.values()))
    assert marks["learning-total"] == 4 + 4 + 3  # seeds of a and c, and three means
    labels = "return [...document.querySelectorAll('#learning-total .annotation-text')].map((e) => e.textContent)"
    assert sorted(browser.run(labels)) == ["a", "b", "c"]
    assert_quiet(browser, page)
