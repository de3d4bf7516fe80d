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

import pytest

from quickstudy.report import write_comparison, write_report

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMEDRIVER = shutil.which("chromedriver")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
)

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


@pytest.mark.parametrize("kind", ["grid", "plane", "arms", "states", "cart-pole", "pendulum"])
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


@pytest.mark.parametrize("kind", ["grid", "plane", "states", "cart-pole", "pendulum"])
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
