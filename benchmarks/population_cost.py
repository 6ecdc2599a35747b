"""What a member of a population costs: time of an epoch and memory, against one model alone.

    python benchmarks/population_cost.py [--data ../shared/data] [--rounds 5] [--members 1 8 20]

Whole epochs (training, validation, score) of the preset `maze_peer` on the maze recording, split as
the peer does. Populations take turns epoch by epoch (A B C A B C ...), in one process and one
thread; medians are compared. Times are processor time, so that other work on the machine shows in
caches, not in waiting; the time on the clock stands beside it. Memory is the peak of a process of
its own that trains two epochs of that population and nothing else.

Writes results/population_cost.json.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from kernel_steps import processor
from maze_single import settings_of_the_peer

from lfads_torch.config.resolve import resolve
from lfads_torch.config.sizes import sizes_of
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.recording import Recording
from lfads_torch.data.split_file import read_split
from lfads_torch.outputs.run_record import library_versions, now_text
from lfads_torch.training.loop import EpochReport, advance
from lfads_torch.workflows.assemble import Assembly, assemble, start_state

RESULTS = Path(__file__).parent / "results" / "population_cost.json"


def recording_of(data: Path) -> Recording:
    recording = read_recording(data / "mc_maze_large_subset.h5")
    return recording.with_split(read_split(data / "mc_maze_large_subset_split.json", recording))


def assembled(recording: Recording, n_members: int) -> Assembly:
    settings = settings_of_the_peer(n_members, 64)
    settings = replace(settings, training=replace(settings.training, patience=0))
    resolved = resolve(settings, sizes_of(recording)).settings
    return assemble(recording, resolved, device=torch.device("cpu"))


def epochs_of(assembly: Assembly) -> Callable[[], EpochReport]:
    """Each call trains one more epoch of a population of its own."""
    state, data = start_state(assembly), assembly.training_data()

    def epoch() -> EpochReport:
        reports: list[EpochReport] = []
        advance(state, assembly.task, data, seed=0, n_epochs=1, observe=reports.append)
        return reports[0]

    return epoch


def timed(run: dict[int, Callable[[], EpochReport]], rounds: int) -> dict[int, dict[str, list]]:
    """Seconds of every epoch; the first one of each population only warms up."""
    for epoch in run.values():
        epoch()
    times: dict[int, dict[str, list]] = {n: {"processor": [], "clock": []} for n in run}
    for _ in range(rounds):
        for n, epoch in run.items():
            clock, used = time.perf_counter(), time.process_time()
            epoch()
            times[n]["processor"].append(time.process_time() - used)
            times[n]["clock"].append(time.perf_counter() - clock)
    return times


def peak_mb(data: Path, n_members: int) -> float:
    """Of a process that trains two epochs of that many members."""
    command = [sys.executable, __file__, "--data", str(data), "--peak-of", str(n_members)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def print_peak(data: Path, n_members: int) -> None:
    epoch = epochs_of(assembled(recording_of(data), n_members))
    epoch()
    epoch()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0)


def per_member(times: dict[int, dict[str, list]], peaks: dict[int, float]) -> dict[str, Any]:
    alone = median(times[1]["processor"])
    return {
        str(n): {
            "processor_s_per_member_epoch": round(median(each["processor"]) / n, 3),
            "fastest_s_per_member_epoch": round(min(each["processor"]) / n, 3),
            "clock_s_per_member_epoch": round(median(each["clock"]) / n, 3),
            "times_faster_per_member": round(alone * n / median(each["processor"]), 2),
            "peak_mb": round(peaks[n]),
            "mb_per_additional_member": round((peaks[n] - peaks[1]) / (n - 1), 1)
            if n > 1
            else None,
        }
        for n, each in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 8, 20])
    parser.add_argument("--peak-of", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not (given.data / "mc_maze_large_subset.h5").exists():
        sys.exit(f"skipped: no recordings in {given.data}; say where they are with --data.")
    if given.peak_of:
        print_peak(given.data, given.peak_of)
        return
    sizes = sorted({1, *given.members})
    recording = recording_of(given.data)
    assemblies = {n: assembled(recording, n) for n in sizes}
    peaks = {n: peak_mb(given.data, n) for n in sizes}
    load = os.getloadavg()[0]
    times = timed({n: epochs_of(each) for n, each in assemblies.items()}, given.rounds)
    result = {
        "what": __doc__.splitlines()[0],
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "load_before": round(load, 1),
        },
        "versions": library_versions(),
        "backend": assemblies[1].task.kernels.name,
        "n_weights": assemblies[1].task.layout.n,
        "threads": 1,
        "rounds": given.rounds,
        "measured": now_text(),
        "members": per_member(times, peaks),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
