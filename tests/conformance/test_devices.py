"""The same training on one device and on eight."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from algorithms_table import METHODS

PROGRAM = Path(__file__).parent / "train_on_devices.py"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """What each method's state and metrics are after training on one device, and on eight with the tasks sharded."""
    directory = tmp_path_factory.mktemp("devices")
    stored = []
    for count in (1, 8):
        path = directory / f"{count}.npz"
        settings = {"JAX_NUM_CPU_DEVICES": str(count), "PYTHONPATH": str(PROGRAM.parent.parent)}
        subprocess.run([sys.executable, PROGRAM, path], check=True, timeout=900, env=os.environ | settings)
        stored.append(dict(np.load(path)))
        assert stored[-1]["num_devices"] == count
    return stored


@pytest.mark.parametrize("name", [method.name for method in METHODS])
def test_one_device_equals_eight(runs, name):
    one, eight = runs
    own = [entry for entry in one if entry.startswith(f"{name} ")]
    assert len(own) > 2
    for entry in own:
        np.testing.assert_allclose(eight[entry], one[entry], rtol=1e-5, atol=1e-5)
