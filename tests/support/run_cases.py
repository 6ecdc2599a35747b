"""Runs small enough for a test, in this process or in one of its own that can be killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lfads_torch.config.read import read_settings
from lfads_torch.config.tree import Settings
from lfads_torch.data.recording import Recording, Split
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.search.history import GenerationReport
from lfads_torch.training.loop import EpochReport

__all__ = ["Watcher", "child", "differences", "recording", "settings"]

SMALL = (
    "model.ic_encoder_size=3",
    "model.controller_encoder_size=3",
    "model.controller_size=3",
    "model.generator_size=5",
    "model.n_factors=3",
    "model.n_inferred_inputs=1",
    "model.initial_condition_size=3",
    "loss.kl_ramp_increase=1",
    "loss.l2_ramp_increase=1",
    "training.batch_size=7",
    "training.epochs=6",
    "training.checkpoint_interval_s=0",
    "inference.n_samples=5",
    "run.threads=1",
    "run.device=cpu",
    "run.seed=4",
)


def settings(*overrides: str) -> Settings:
    return read_settings(preset="small", overrides=(*SMALL, *overrides))


def recording(n_trials: int = 17, *, n_bins: int = 9, seed: int = 0) -> Recording:
    """Rates between 20 and 80 spikes/s; one unit held out, one forward bin, ids of the user's."""
    random = np.random.default_rng(seed)
    rates = np.array([20.0, 35.0, 50.0, 65.0, 80.0])
    counts = random.poisson(rates * 0.01, (n_trials, n_bins, 5))
    trial_set = np.array(["train", "train", "valid", "train", "test"] * n_trials)[:n_trials]
    return Recording(
        counts=counts.astype(np.uint8),
        bin_width_s=0.01,
        trial_ids=500 - 3 * np.arange(n_trials),
        unit_ids=np.array(["u4", "u0", "u9", "u2", "u7"]),
        start_s=-0.02,
        session="monday",
        condition=np.arange(n_trials) % 3,
        external_inputs=random.normal(size=(n_trials, n_bins, 1)).astype(np.float32),
        split=Split(
            trial_set=trial_set,
            is_encoded=np.array([True, True, False, True, True]),
            n_encoded_bins=n_bins - 1,
        ),
    )


class Watcher:
    """Keeps what was said, and calls `after` with every epoch's report."""

    def __init__(self, after: Callable[[EpochReport], None] = lambda report: None) -> None:
        self.said: list[str] = []
        self.reports: list[EpochReport] = []
        self.generations: list[GenerationReport] = []
        self._after = after

    def message(self, text: str) -> None:
        self.said.append(text)

    def epoch(self, report: EpochReport, settings: Settings) -> None:
        self.reports.append(report)
        self._after(report)

    def generation(self, report: GenerationReport, settings: Settings) -> None:
        self.generations.append(report)


CHILD = """
import json, sys
from pathlib import Path
from run_cases import recording, settings
from lfads_torch.workflows.fit import fit_run, resume_run
folder, overrides = Path(sys.argv[1]), json.loads(sys.argv[2])
if (folder / "checkpoints" / "last.safetensors").exists():
    resume_run(folder)
else:
    fit_run(recording(), settings(*overrides), folder)
"""


def child(folder: Path, overrides: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """A process that fits into the folder, or goes on with what is there."""
    here = Path(__file__).parent
    paths = [str(here.parents[1] / "src"), str(here)]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder), json.dumps(overrides)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def differences(left: RunFolder, right: RunFolder) -> list[str]:
    """What differs between two runs in any bit: rows of metrics, tensors, names of files."""
    rows = [[without_seconds(row) for row in run.metrics.read()] for run in (left, right)]
    found = [f"row {n}" for n, (a, b) in enumerate(zip(*rows, strict=False)) if a != b]
    if len(rows[0]) != len(rows[1]):
        found.append(f"{len(rows[0])} and {len(rows[1])} rows")
    for name in ("last_checkpoint_path", "best_checkpoint_path", "generation_checkpoint_path"):
        paths = getattr(left, name), getattr(right, name)
        if all(path.exists() for path in paths):  # a missing one is told by its name below
            found += [f"{name}: {each}" for each in _differing(*paths)]
    names = [{str(p.relative_to(run.path)) for p in run.path.rglob("*")} for run in (left, right)]
    return found + sorted(names[0] ^ names[1])


def without_seconds(row: Mapping[str, Any]) -> dict[str, Any]:  # JSON values
    return {name: value for name, value in row.items() if name != "seconds"}


def _differing(left: Path, right: Path) -> list[str]:
    from safetensors import safe_open

    def content(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
        with safe_open(path, framework="pt") as file:
            return file.metadata(), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118

    (data, ours), (other_data, theirs) = content(left), content(right)
    found = [] if data == other_data else ["metadata"]
    found += sorted(ours.keys() ^ theirs.keys())
    return found + [
        name
        for name in sorted(ours.keys() & theirs.keys())
        if ours[name].numpy().tobytes() != theirs[name].numpy().tobytes()
    ]
