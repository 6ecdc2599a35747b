"""Runs of a benchmark: trained once, resumed where they were stopped, and never trained twice."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tree import sources

from lfads_torch.config.space import SpaceChoice
from lfads_torch.config.tree import Settings
from lfads_torch.data.recording import Recording
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import machine_text, now_text
from lfads_torch.search.history import GenerationReport
from lfads_torch.training.loop import EpochReport
from lfads_torch.workflows.fit import FitOptions, Observer, fit_run, resume_run
from lfads_torch.workflows.infer import infer_to_file
from lfads_torch.workflows.search import search_run

__all__ = [
    "PrintedProgress",
    "ensure_rates",
    "ensure_run",
    "ensure_search",
    "finished_run",
    "provenance",
]  # fmt: skip


class PrintedProgress:
    """One line every minute."""

    def __init__(self, name: str) -> None:
        self._name, self._last = name, 0.0

    def message(self, text: str) -> None:
        print(f"{self._name}: {text}", flush=True)

    def epoch(self, report: EpochReport, settings: Settings) -> None:
        if time.monotonic() - self._last < 60.0:
            return
        self._last = time.monotonic()
        scores = " ".join(f"{value:.5f}" for value in report.values["valid_score"])
        print(f"{self._name}: epoch {report.epoch}, {report.seconds:.1f} s, {scores}", flush=True)

    def generation(self, report: GenerationReport, settings: Settings) -> None:
        print(f"{self._name}: generation {report.generation}, best {report.best:.5f}", flush=True)


def ensure_run(
    folder: Path, recording: Recording | Sequence[Recording], settings: Settings
) -> RunFolder:
    """The finished run of this folder: trained now, gone on with, or found as it is."""
    watcher, options = PrintedProgress(folder.name), FitOptions(overwrite=True)
    return finished_run(
        _found(folder, watcher)
        or fit_run(recording, settings, folder, options=options, observer=watcher)
    )


def ensure_search(
    folder: Path,
    recording: Recording,
    settings: Settings,
    *,
    watcher: Observer,
    choice: SpaceChoice | None = None,
    values: tuple[Mapping[str, float], ...] = (),
) -> RunFolder:
    """The finished search of this folder: run now, gone on with, or found as it is."""
    options = FitOptions(overwrite=True)
    return finished_run(
        _found(folder, watcher)
        or search_run(
            recording,
            settings,
            folder,
            choice=choice,
            values=values,
            options=options,
            observer=watcher,
        )
    )


def finished_run(run: RunFolder) -> RunFolder:
    """The run, unless a signal ended it: a figure of half a run must not become a result."""
    status = run.read_record().status
    if status != "finished":
        sys.exit(f"{run.path} is {status}; start the benchmark again to go on.")
    return run


def _found(folder: Path, watcher: Observer) -> RunFolder | None:
    """What is there already, to its end; None where there is nothing to go on with."""
    if not RunFolder.is_run(folder):
        return None
    run = RunFolder.open(folder)
    if run.read_record().status == "finished":
        return run
    return resume_run(folder, observer=watcher) if run.can_resume else None


def ensure_rates(run: RunFolder, recording: Recording, member: int) -> Path:
    """The rates of one member, inferred once."""
    path = run.path / f"rates_of_member_{member}.nc"
    if not path.exists():
        infer_to_file(run, recording, path, is_new=False, member=member)
    return path


def provenance(run: RunFolder) -> dict[str, object]:
    """What a result needs beside its numbers."""
    record = run.read_record()
    return {
        "measured": now_text(),
        "machine": machine_text(),
        "versions": dict(record.versions),
        **sources(),
        "threads": record.threads,
        "backend": record.backend,
        "epochs": len(run.metrics.read()),
        "training_s": round(sum(float(row["seconds"]) for row in run.metrics.read()), 1),
    }
