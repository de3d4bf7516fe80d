"""The documentation says what the code says."""

import ast
import dataclasses
import importlib
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import quickstudy
from quickstudy import catalog
from quickstudy.algorithms.context.rl2 import RL2
from quickstudy.algorithms.ppo import PPO
from quickstudy.catalog import FAMILIES, METHODS
from quickstudy.cli import COMMANDS
from quickstudy.commands.train import RunOptions, TrainOptions
from quickstudy.envs.gymnax import Gymnax
from quickstudy.host.family import HostFamily
from quickstudy.host.varied import Varied
from quickstudy.outside import COMPILED, VARIED

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
CODE = [
    (page, *block) for page in PAGES for block in re.findall(r"```(python|bash)\n(.*?)```", page.read_text(), re.DOTALL)
]
FAMILY_PAGES = {
    "bernoulli-bandit": "bandits",
    "gaussian-bandit": "bandits",
    "random-mdp": "random-mdp",
    "grid-navigation": "grid-navigation",
    "dark-room": "dark-room",
    "dark-key-to-door": "dark-room",
    "point-navigation": "point-navigation",
    "sparse-point-navigation": "point-navigation",
    "rotated-point-navigation": "point-navigation",
    "cart-pole": "control",
    "cart-pole-swing-up": "control",
    "pendulum": "control",
    "mountain-car": "control",
    "reacher": "control",
} | {name: "other-libraries" for name, entry in FAMILIES.items() if entry.extra}
DIFFERS = {
    "algorithms/rl2.md": ("context.rl2",),
    "algorithms/multitask-ppo.md": ("baselines.multitask",),
    "algorithms/reference-learners.md": (
        "baselines.ucb",
        "baselines.gittins",
        "baselines.beb",
        "baselines.rmax",
        "baselines.q_learning",
    ),
    "algorithms/ddpg.md": ("baselines.continuous",),
    "algorithms/dqn.md": ("baselines.dqn",),
    "algorithms/mktn.md": ("transfer.mktn",),
    "algorithms/mml.md": ("model.mml",),
    "algorithms/grbal.md": ("model.grbal", "model.rebal"),
}


def read(page: str) -> str:
    return (ROOT / "docs" / page).read_text()


def rows(page: str) -> set[tuple[str, str]]:
    """The first two cells of every table row."""
    return set(re.findall(r"^\| `(\w+)` \| `?([^|`]*?)`? \|", read(page), re.MULTILINE))


def missing_options(options: Any, page: str) -> list[str]:
    """Fields whose default the page does not give."""
    plain = [f for f in dataclasses.fields(options) if not dataclasses.is_dataclass(getattr(options, f.name))]
    return [f.name for f in plain if (f.name, str(getattr(options, f.name))) not in rows(page)]


def family(name: str) -> Any:
    """The family of a command; of the one that the reader is to write, the part that it gets from us."""
    return HostFamily(Varied()) if name.startswith("my_") else catalog.family(name).load()()


@pytest.mark.skipif(
    shutil.which("zensical", path=Path(sys.executable).parent) is None, reason="zensical is not installed"
)
def test_the_site_builds_strictly(tmp_path: Path):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    zensical = Path(sys.executable).parent / "zensical"
    done = subprocess.run([zensical, "build", "--strict"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "index.html").read_text()
    assert not re.search(r"""<(script|link|img)[^>]+(src|href)=["']https?://""", page)


def test_every_page_is_in_the_navigation():
    listed = set(re.findall(r'"([\w/-]+\.md)"', (ROOT / "zensical.toml").read_text()))
    assert listed == {str(page.relative_to(ROOT / "docs")) for page in PAGES}


def test_every_public_name_is_on_the_api_page():
    named = set(re.findall(r"`(\w+)[`(]", read("api.md")))
    assert set(quickstudy.__all__) - named == set()


def test_every_command_method_and_family_is_described():
    assert set(re.findall(r"^## (\w+)$", read("cli.md"), re.MULTILINE)) == set(COMMANDS)
    assert set(re.findall(r"^\| \[`([\w-]+)`\]", read("algorithms/index.md"), re.MULTILINE)) == set(METHODS)
    assert set(re.findall(r"^\| \[`([\w-]+)`\]", read("families/index.md"), re.MULTILINE)) == set(FAMILIES)


@pytest.mark.parametrize("name", ["rl2", "multitask-ppo", "mktn", "mml"])
def test_every_hyperparameter_of_a_method_is_listed_with_its_default(name: str):
    assert missing_options(METHODS[name].load()(), f"algorithms/{name}.md") == []


def test_every_hyperparameter_of_the_outer_loop_is_listed_with_its_default():
    assert missing_options(PPO(), "algorithms/rl2.md") == []


@pytest.mark.parametrize("name", FAMILIES)
def test_every_option_of_a_family_is_listed_with_its_default(name: str):
    options = FAMILIES[name].load()()
    options = options.world if isinstance(options, HostFamily) else options
    assert missing_options(options, f"families/{FAMILY_PAGES[name]}.md") == []


def test_every_option_of_a_family_of_gymnax_is_listed_with_its_default():
    assert missing_options(Gymnax(), "families/other-libraries.md") == []


@pytest.mark.parametrize("page", DIFFERS)
def test_differences_from_the_paper_are_those_of_the_module(page: str):
    words = lambda text: " ".join(text.split())
    for module in DIFFERS[page]:
        doc = importlib.import_module(f"quickstudy.algorithms.{module}").__doc__
        assert doc is not None
        _, differs = doc.split("Differs from the paper:")
        assert words(differs) in words(read(page))


@pytest.mark.parametrize(("page", "code"), [(page.name, code) for page, language, code in CODE if language == "python"])
def test_what_python_blocks_import_exists(page: str, code: str):
    for node in ast.walk(ast.parse(code, page)):
        if isinstance(node, ast.ImportFrom) and not (node.module or "").startswith("my_"):
            assert node.module is not None
            module = importlib.import_module(node.module)
            assert [alias.name for alias in node.names if not hasattr(module, alias.name)] == []


@pytest.mark.parametrize(
    "line",
    sorted(
        {
            line
            for _, language, code in CODE
            if language == "bash"
            for line in code.replace("\\\n", " ").splitlines()
            if line.startswith("quickstudy")
        }
    ),
)
def test_commands_in_the_pages_exist(line: str):
    words = shlex.split(line, comments=True)
    assert words[1] in COMMANDS
    if words[1] != "train" or "--resume" in words:
        return
    for flag, outside in (("--gym-id", VARIED), ("--gymnax-id", COMPILED)):
        if flag in words:
            words[words.index(flag) : words.index(flag) + 4] = ["--family", outside]
    known = {f.name for options in (TrainOptions, RunOptions) for f in dataclasses.fields(options)}
    options = {"method": RL2(), "family": None}
    if "--preset" not in words:
        options = {
            "method": METHODS[words[2]].load()(),
            "family": family(words[words.index("--family") + 1]),
        }
    for word in words:
        name, *path = word.removeprefix("--").replace("-", "_").split(".")
        if not word.startswith("--") or name in ("help", "preset"):
            continue
        assert name.removeprefix("no_") in known
        value = options.get(name)
        for part in path:
            assert part in {f.name for f in dataclasses.fields(value)}
            value = getattr(value, part)
