"""The estimate of memory against the peak of a process that trains."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lfads_torch.data.check.estimate import CostSizes, FitPlan, memory_of
from lfads_torch.kernels.compiled.library import Absent, find_library

SOURCE = Path(__file__).parents[2] / "src"
MARGIN = 1 / 3  # what FitEstimate promises
SIZES = CostSizes(
    n_trials=80, n_train=64, n_valid=16, n_bins=80, n_encoded_bins=80, n_units=60,
    n_encoded_units=45, n_external_inputs=0,
)  # fmt: skip
# Trains an epoch of so many members, so many at once, and prints the bytes that were added.
CHILD = """
import sys
from pathlib import Path
import numpy as np, torch
from lfads_torch.config.read import read_settings
from lfads_torch.data.recording import Recording, Split
from lfads_torch.training.loop import AdvanceOptions, advance
from lfads_torch.workflows.assemble import assemble, start_state
torch.set_num_threads(1)
backend, n_members, n_at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
random = np.random.default_rng(0)
recording = Recording(
    counts=random.poisson(0.1, (80, 80, 60)).astype(np.uint8), bin_width_s=0.01,
    trial_ids=np.arange(80), unit_ids=np.arange(60),
    split=Split(
        trial_set=np.array(["train"] * 64 + ["valid"] * 16), is_encoded=np.arange(60) < 45,
        n_encoded_bins=80,
    ),
)
def assembled(n):
    own = read_settings(preset="medium", overrides=(f"run.n_seeds={n}", "training.batch_size=64"))
    return assemble(recording, own, kernels=backend, device=torch.device("cpu"))
def held(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(name))
assembled(1)
before, assembly = held("VmRSS"), assembled(n_members)
advance(
    start_state(assembly), assembly.task, assembly.training_data(), seed=0, n_epochs=1,
    observe=lambda report: None, options=AdvanceOptions(members_at_once=n_at_once),
)
print(held("VmHWM") - before)
"""


def peak_added(backend: str, n_members: int, n_at_once: int) -> int:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, backend, str(n_members), str(n_at_once)],
        env={**os.environ, "PYTHONPATH": str(SOURCE), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    ("backend", "n_members", "n_at_once"),
    [
        ("compiled", 4, 4),
        ("compiled", 9, 1),
        pytest.param("portable", 2, 2, marks=pytest.mark.slow),
    ],
)
def test_the_peak_of_a_fit_is_as_estimated(backend, n_members, n_at_once):
    library = find_library()
    if backend == "compiled" and isinstance(library, Absent):
        pytest.skip(library.reason)
    memory = memory_of(FitPlan(n_members=n_members, backend=backend), SIZES)
    expected = memory.total(n_members, n_at_once) - memory.shared
    assert peak_added(backend, n_members, n_at_once) == pytest.approx(expected, rel=MARGIN)
