"""The same training on one device and on eight."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from algorithms_table import METHODS

PROGRAM = Path(__file__).parent / "train_on_devices.py"


def _trained(path: Path, num_devices: int) -> dict[str, np.ndarray]:
    settings = {"JAX_NUM_CPU_DEVICES": str(num_devices), "PYTHONPATH": str(PROGRAM.parent.parent)}
    subprocess.run([sys.executable, PROGRAM, path], check=True, timeout=900, env=os.environ | settings)
    arrays = dict(np.load(path))
    assert arrays["num_devices"] == num_devices
    return arrays


@pytest.mark.slow
def test_one_device_equals_eight_with_the_tasks_sharded(tmp_path):
    """State and metrics of every method; one test, so that no two workers train for it."""
    one, eight = (_trained(tmp_path / f"{count}.npz", count) for count in (1, 8))
    for method in METHODS:
        own = [entry for entry in one if entry.startswith(f"{method.name} ")]
        assert len(own) > 2
        for entry in own:
            np.testing.assert_allclose(eight[entry], one[entry], rtol=1e-5, atol=1e-5, err_msg=entry)
