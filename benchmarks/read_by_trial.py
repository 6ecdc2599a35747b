"""Peak memory of a fit whose counts stay in the file, against one that reads them whole.

    python benchmarks/read_by_trial.py --trials 8000 --folder work

makes a recording of Poisson counts there, and checks it and trains one epoch each way, in processes
of their own. It prints the peak of each, and how far that is above the peak of the same with a
hundredth of the trials, which is what the libraries and the model take. Rates and scores are left
out: they are written in chunks of trials either way.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np

N_BINS, N_UNITS, AT_ONCE = 100, 500, 500
SETTINGS = (
    "run.preset=small", "run.device=cpu", "run.threads=1", "training.epochs=1",
    "training.batch_size=100", "model.ic_encoder_size=8", "model.generator_size=16",
    "model.n_factors=4", "model.n_inferred_inputs=0", "inference.n_samples=0",
    "inference.batch_size=100", "run.memory_gb=0.1",
)  # fmt: skip
CHILD = """
import resource, sys
from pathlib import Path
from lfads_torch.config.read import read_settings
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.workflows.fit import FitOptions, fit_run
path, read_by, *settings = sys.argv[1:]
read = ReadOptions(read_by=read_by, memory_gb=0.1)
options = FitOptions(data_path=Path(path), read_options=read, overwrite=True)
recording = read_recording(path, options=read)
fit_run(recording, read_settings(overrides=settings), Path(path + read_by), options=options)
print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=8000)
    parser.add_argument("--folder", type=Path, required=True)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    peaks = {}
    for n_trials in (max(asked.trials // 100, 100), asked.trials):
        path = asked.folder / f"recording_{n_trials}.h5"
        write_counts(path, n_trials)
        for read_by in ("trial", "memory"):
            peaks[n_trials, read_by] = peak_of_fit(path, read_by)
    small, large = min(peaks)[0], max(peaks)[0]
    counts_gb = large * N_BINS * N_UNITS / 1e9
    print(f"{large} trials: {counts_gb:.2f} GB of 8-bit counts, run.memory_gb=0.1")
    for read_by in ("trial", "memory"):
        whole, base = peaks[large, read_by], peaks[small, read_by]
        print(f"read by {read_by}: peak {whole / 1e9:.2f} GB, {(whole - base) / 1e9:.2f} GB above")


def write_counts(path: Path, n_trials: int) -> None:
    """A recording file, written in parts."""
    import h5py

    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file.attrs.update(format="lfads-torch recording", format_version=1, bin_width_s=0.01)
        file["trial_ids"], file["unit_ids"] = np.arange(n_trials), np.arange(N_UNITS)
        shape = (n_trials, N_BINS, N_UNITS)
        counts = file.create_dataset("counts", shape, np.uint8, chunks=(1, N_BINS, N_UNITS))
        for start in range(0, n_trials, AT_ONCE):
            size = min(AT_ONCE, n_trials - start)
            counts[start : start + size] = rng.poisson(0.2, (size, N_BINS, N_UNITS))


def peak_of_fit(path: Path, read_by: str) -> int:
    """Bytes that a fit of this file took at most."""
    command = [sys.executable, "-c", CHILD, str(path), read_by, *SETTINGS]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = [line for line in ended.stdout.splitlines() if line.startswith("PEAK")]
    if not lines or ended.returncode:
        sys.exit(f"the fit failed:\n{ended.stdout}\n{ended.stderr}")
    return int(lines[-1].split()[1])


if __name__ == "__main__":
    main()
