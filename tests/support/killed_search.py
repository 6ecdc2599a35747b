"""Searches in processes of their own, to be killed: what they do, and where a kill has hit them."""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

from lfads_torch.outputs.history_file import read_history
from lfads_torch.outputs.run_folder import RunFolder

__all__ = ["PHASES", "Kills", "differing", "n_epochs", "start", "wait_for"]

PHASES = ("before an epoch was done", "an epoch", "a checkpoint", "a generation's end")


def start(folder: Path, overrides: tuple[str, ...]) -> BaseProcess:
    """A process that searches into the folder, or goes on with what is there.

    It is forked from a server that has loaded everything, so that it starts at once.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "lfads_torch.workflows.search", "killed_search"])
    process = context.Process(target=_search, args=(folder, overrides), daemon=True)
    process.start()
    return process


def _search(folder: Path, overrides: tuple[str, ...]) -> None:
    from run_cases import recording, settings

    from lfads_torch.workflows.fit import resume_run
    from lfads_torch.workflows.search import search_run

    folder.parent.mkdir(parents=True, exist_ok=True)
    log = os.open(folder.parent / "stderr.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, sys.stderr.fileno())
    if RunFolder(folder).last_checkpoint_path.exists():
        resume_run(folder)
    else:
        search_run(recording(), settings(*overrides), folder)


def n_epochs(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait_for(is_there: Callable[[], bool], process: BaseProcess) -> None:
    """Until it is there, or the process has ended."""
    deadline = time.monotonic() + 300
    while process.is_alive() and not is_there():
        assert time.monotonic() < deadline
        time.sleep(0.001)


@dataclass
class Kills:
    """How many kills hit which phase, told from what the killed process left behind."""

    hits: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PHASES, 0))

    @property
    def total(self) -> int:
        return sum(self.hits.values())

    def count(self, folder: Path, *, since_ns: int, has_trained: bool) -> None:
        """`since_ns`: when the killed process began; what earlier ones left does not count."""
        self.hits[_phase(folder, since_ns, has_trained=has_trained)] += 1


def _phase(folder: Path, since_ns: int, *, has_trained: bool) -> str:
    from safetensors import safe_open

    run = RunFolder(folder)
    is_unfinished = any(
        (".part" in path.name or path.name.startswith(".tmp"))
        and path.stat().st_mtime_ns >= since_ns
        for path in folder.rglob("*")
    )
    if not has_trained or not run.last_checkpoint_path.exists():
        return PHASES[0]
    with safe_open(run.last_checkpoint_path, framework="pt") as file:
        n_stored = int(file.metadata()["epoch"])
        generation = int(file.get_tensor("search/generation"))
    done = [row["generation"] for row in read_history(run.history_path)]
    if max(done, default=-1) >= generation:
        return PHASES[3]
    return PHASES[2] if is_unfinished or n_stored < n_epochs(folder) else PHASES[1]


def differing(left: Path, right: Path) -> list[str]:
    """What differs between two searches in any bit."""
    from run_cases import differences

    found = differences(RunFolder(left), RunFolder(right))
    found += [
        name
        for name in ("history.csv", "space.yaml", "settings.yaml")
        if (left / name).read_bytes() != (right / name).read_bytes()
    ]
    # What a killed process was writing stays until the file is written again.
    return [each for each in found if ".part" not in each]
