import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_adapt_to_a_grid(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    script = EXAMPLES / "00_adapt_to_a_grid.py"
    monkeypatch.setattr(sys, "argv", [str(script), "--num-steps", "2", "--num-tasks", "8"])
    scope = runpy.run_path(str(script), run_name="__main__")
    assert int(scope["trained"].step) == 2
    assert scope["rewards"].shape == (4, 15)
    printed = capsys.readouterr().out.splitlines()
    totals = {
        line[:30].strip(): float(line[30:]) for line in printed if len(line) > 30 and line[30:].strip()[-1:].isdigit()
    }
    assert {"adapted", "unadapted", "random", "Bayes-optimal"} <= totals.keys()
    assert totals["Bayes-optimal"] > totals["random"]
    assert printed[0].startswith("the goal is cell ")


def test_every_example_is_run_here():
    assert [path.name for path in sorted(EXAMPLES.glob("*.py"))] == ["00_adapt_to_a_grid.py"]
