"""The pages about one's own environment, run from top to bottom as a reader would."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from quickstudy.cli import main

DOCS = Path(__file__).parent.parent / "docs"
SMALL = {
    "check": ["--no-ladder"],
    "train": [
        *("--num-steps", "1", "--num-tasks", "4", "--num-seeds", "1", "--no-evaluate", "--method.width", "8"),
        *("--method.ppo.num-epochs", "1"),
    ],
}
"""What makes the commands of the page short; the commands themselves are those of the page."""


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)


def test_a_reader_gets_from_an_environment_to_an_agent(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "my_world", raising=False)
    world, training, home = blocks("your-own-environment.md", "python")
    Path("my_world.py").write_text(world)
    commands = [shlex.split(line) for block in blocks("your-own-environment.md", "bash") for line in block.splitlines()]
    assert [words[1] for words in commands] == ["train", "check", "train"]
    for words in commands:
        shorter = "--family.world.max-steps" if "--gym-id" in words else "--family.world.horizon"
        main(words[1:] + SMALL[words[1]] + ([shorter, "5"] if words[1] == "train" else []))
    assert "verdict: the contract holds" in capsys.readouterr().out
    scope = {}
    for page, codes in (("own", [world, training, home]), ("after", blocks("after-training.md", "python"))):
        for code in codes:
            exec(compile(code, page, "exec"), scope)
    assert int(scope["trained"].step) == 2
    assert scope["action"].shape == (1,)
    assert scope["customers"]["ada"].num_steps == 0
    assert scope["exported"].num_steps == scope["agent"].num_steps == 2


@pytest.mark.parametrize("page", ["your-own-environment.md", "after-training.md"])
def test_the_pages_hold_code(page):
    assert len(blocks(page, "python")) >= 3
