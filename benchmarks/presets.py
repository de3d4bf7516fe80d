"""Run presets and store what they gave, one JSON file each in ``benchmarks/results/``.

Usage: ``python benchmarks/presets.py NAME [NAME …]`` (all presets without a name). A preset that was started before in
``runs/`` goes on where it stopped.
"""

import json
import subprocess
import sys
from pathlib import Path

from quickstudy.presets import PRESETS
from quickstudy.run_directory import RunDirectory, write_json

RESULTS = Path(__file__).parent / "results"


def store(name: str, run: RunDirectory) -> Path:
    """Copy what a run measured, with everything needed to repeat it, to the results."""
    summary = json.loads((run.evaluation("test") / "summary.json").read_text())
    metrics = run.read_metrics()
    result = {
        "preset": name,
        "command": f"quickstudy reproduce {name}",
        "config": run.read_config(),
        "training": {key: metrics[-1][key] for key in ("step", "env_steps", "seconds")},
        "published": PRESETS[name].published,
        "source": PRESETS[name].source,
        "evaluation": summary,
        "sessions": run.read_sessions(),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    write_json(path, result)
    return path


def main(names: list[str]) -> None:
    for name in names or list(PRESETS):
        subprocess.run([sys.executable, "-m", "quickstudy", "reproduce", name], check=True)
        print(store(name, RunDirectory.open(Path("runs") / name)))


if __name__ == "__main__":
    main(sys.argv[1:])
