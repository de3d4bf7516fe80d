import re
from pathlib import Path

import numpy as np

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_two_commands_are_given():
    install = "python3 -m venv .venv && .venv/bin/pip install -c constraints.txt "
    assert f"{install}. && .venv/bin/quickstudy train mktn --family grid-navigation\n" in blocks("bash")
    assert f"{install}-e '.[test]' && .venv/bin/pytest -n 2\n" in blocks("bash")


def test_the_python_example_is_five_lines_and_runs():
    (example,) = blocks("python")
    assert len([line for line in example.splitlines() if line and "import" not in line]) == 5
    small, changes = re.subn(
        r"num_(steps|tasks)=\d+", lambda count: f"num_{count[1]}={2 * (count[1] == 'tasks') + 2}", example
    )
    assert changes == 3
    scope = {}
    exec(compile(small, "README.md", "exec"), scope)
    assert int(scope["trained"].step) == 2
    returns = scope["result"].adapted
    assert returns.shape == (1, 4, 4)
    assert np.all((returns > -1.51) & (returns < 15.01))
