"""What a member of a population costs: time of an epoch and memory, against one model alone.

    python benchmarks/population_cost.py [--data ../shared/data] [--rounds 5] [--members 1 8 20]
        [--although-loaded] [--results FILE]

Whole epochs (training, validation, score) of the preset `maze_peer` on the maze recording, split as
the peer does. Populations take turns epoch by epoch (A B C A B C ...), in one process and one
thread; medians are compared. Times are processor time, so that other work on the machine shows in
caches, not in waiting; the time on the clock stands beside it. Memory is the peak of a process of
its own that trains two epochs of that population and nothing else.

Beside other work on the machine nothing is timed, unless it is allowed; then the result tells it.
Writes results/population_cost.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

import torch
from kernel_steps import processor
from maze_single import settings_of_the_peer
from other_work import OtherWork, add_option, require_quiet
from peak_memory import peak_mb
from tree import sources

from lfads_torch.config.resolve import resolve
from lfads_torch.config.sizes import sizes_of
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.recording import Recording
from lfads_torch.data.split_file import read_split
from lfads_torch.outputs.run_record import library_versions, now_text
from lfads_torch.training.loop import AdvanceOptions, EpochReport, advance
from lfads_torch.workflows.assemble import Assembly, assemble, start_state
from lfads_torch.workflows.grouping import members_by_estimate

RESULTS = Path(__file__).parent / "results" / "population_cost.json"


def recording_of(data: Path) -> Recording:
    recording = read_recording(data / "mc_maze_large_subset.h5")
    return recording.with_split(read_split(data / "mc_maze_large_subset_split.json", recording))


def assembled(recording: Recording, n_members: int) -> Assembly:
    settings = settings_of_the_peer(n_members, 64)
    settings = replace(settings, training=replace(settings.training, patience=0))
    resolved = resolve(settings, sizes_of(recording)).settings
    return assemble(recording, resolved, device=torch.device("cpu"))


@dataclass(frozen=True)
class Population:
    """So many members, of whom so many train at once and the others in turn."""

    members: int
    at_once: int

    @property
    def name(self) -> str:
        if self.members == 1:
            return "1"
        how = "all" if self.at_once == self.members else str(self.at_once)
        return f"{self.members}, {how} at once"


def populations(recording: Recording, sizes: list[int]) -> tuple[Population, ...]:
    """One member; then every size all at once and, where that is another, as a run would do."""
    found = [Population(1, 1)]
    for n in sorted({*sizes} - {1}):
        usual = members_by_estimate(assembled(recording, n))
        found += [Population(n, at_once) for at_once in sorted({n, usual})]
    return tuple(found)


def epochs_of(assembly: Assembly, at_once: int) -> Callable[[], EpochReport]:
    """Each call trains one more epoch of a population of its own."""
    state, data = start_state(assembly), assembly.training_data()
    options = AdvanceOptions(members_at_once=at_once)

    def epoch() -> EpochReport:
        reports: list[EpochReport] = []
        advance(
            state, assembly.task, data, seed=0, n_epochs=1, observe=reports.append, options=options
        )
        return reports[0]

    return epoch


Times = dict[Population, dict[str, list[float]]]


def timed(run: dict[Population, Callable[[], EpochReport]], rounds: int) -> Times:
    """Seconds of every epoch; the first one of each population only warms up."""
    for epoch in run.values():
        epoch()
    times: Times = {population: {"processor": [], "clock": []} for population in run}
    for _ in range(rounds):
        for population, epoch in run.items():
            clock, used = time.perf_counter(), time.process_time()
            epoch()
            times[population]["processor"].append(time.process_time() - used)
            times[population]["clock"].append(time.perf_counter() - clock)
    return times


def peak_of(data: Path, population: Population) -> float:
    """MB, of a process that trains two epochs of the population."""
    wanted = [str(population.members), str(population.at_once)]
    command = [sys.executable, __file__, "--data", str(data), "--peak-of", *wanted]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def print_peak(data: Path, population: Population) -> None:
    epoch = epochs_of(assembled(recording_of(data), population.members), population.at_once)
    epoch()
    epoch()
    print(peak_mb())


def per_member(times: Times, peaks: dict[Population, float]) -> dict[str, Any]:  # JSON
    one = next(iter(times))
    alone = median(times[one]["processor"])
    return {
        each.name: {
            "processor_s_per_member_epoch": round(median(found["processor"]) / each.members, 3),
            "fastest_s_per_member_epoch": round(min(found["processor"]) / each.members, 3),
            "clock_s_per_member_epoch": round(median(found["clock"]) / each.members, 3),
            "times_faster_per_member": round(alone * each.members / median(found["processor"]), 2),
            "peak_mb": round(peaks[each]),
            "mb_per_additional_member": None
            if each == one
            else round((peaks[each] - peaks[one]) / (each.members - 1), 1),
        }
        for each, found in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--members", type=int, nargs="+", default=[1, 8, 20])
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--peak-of", type=int, nargs=2, help=argparse.SUPPRESS)
    add_option(parser)
    given = parser.parse_args()
    torch.set_num_threads(1)
    if not (given.data / "mc_maze_large_subset.h5").exists():
        sys.exit(f"skipped: no recordings in {given.data}; say where they are with --data.")
    if given.peak_of:
        print_peak(given.data, Population(*given.peak_of))
        return
    require_quiet(allowed=given.although_loaded)
    recording = recording_of(given.data)
    chosen = populations(recording, given.members)
    assemblies = {each: assembled(recording, each.members) for each in chosen}
    peaks = {each: peak_of(given.data, each) for each in chosen}
    load = os.getloadavg()[0]
    run = {each: epochs_of(assembly, each.at_once) for each, assembly in assemblies.items()}
    others = OtherWork.begin()
    times = timed(run, given.rounds)
    cores = others.cores()
    require_quiet(allowed=given.although_loaded, cores=cores or 0.0)
    first = assemblies[chosen[0]].task
    result = {
        "what": __doc__.splitlines()[0],
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "load_before": round(load, 1),
            "other_work_cores": cores,
        },
        "versions": library_versions(),
        **sources(),
        "backend": first.kernels.name,
        "n_weights": first.layout.n,
        "threads": 1,
        "rounds": given.rounds,
        "measured": now_text(),
        "members": per_member(times, peaks),
    }
    given.results.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
