"""Run presets and store what they gave, one JSON file each in ``benchmarks/results/``.

Usage: ``python benchmarks/presets.py NAME [NAME …]`` (all presets without a name). A preset that was started before in
``runs/`` goes on where it stopped. Those of MML are evaluated out of distribution, too.
"""

import json
import subprocess
import sys
from pathlib import Path

from quickstudy.presets import PRESETS
from quickstudy.presets.model import PLANNED
from quickstudy.run_directory import RunDirectory, write_json

RESULTS = Path(__file__).parent / "results"

MML = [f"{cell}-mml" for cell in PLANNED]


def store(name: str, run: RunDirectory) -> Path:
    """Copy what a run measured, with everything needed to repeat it, to the results."""
    evaluation = {split: run.evaluation(split) / "summary.json" for split in ("test", "ood")}
    summaries = {split: json.loads(path.read_text()) for split, path in evaluation.items() if path.exists()}
    metrics = run.read_metrics()
    result = {
        "preset": name,
        "command": f"quickstudy reproduce {name}",
        "config": run.read_config(),
        "training": {key: metrics[-1][key] for key in ("step", "env_steps", "seconds")},
        "learning_curve": {key: [row[key] for row in metrics] for key in ("env_steps", "return_first", "return_last")},
        "published": PRESETS[name].published,
        "source": PRESETS[name].source,
        "evaluation": summaries["test"],
        "out_of_distribution": summaries.get("ood"),
        "sessions": run.read_sessions(),
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    write_json(path, result)
    return path


def main(names: list[str]) -> None:
    for name in names or list(PRESETS):
        quickstudy = [sys.executable, "-m", "quickstudy"]
        subprocess.run([*quickstudy, "reproduce", name], check=True)
        if name in MML:
            ood = ["--split", "ood", "--num-tasks", str(PRESETS[name].num_test_tasks)]
            subprocess.run([*quickstudy, "evaluate", f"runs/{name}", *ood], check=True)
        print(store(name, RunDirectory.open(Path("runs") / name)))


if __name__ == "__main__":
    main(sys.argv[1:])
