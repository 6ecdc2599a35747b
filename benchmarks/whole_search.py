"""A search of 20 members on the maze recording, from the command to the page, before and after.

    python benchmarks/whole_search.py [--data ../shared/data] [--threads 2] [--population 20]
        [--generations 1] [--kernels reference portable compiled] [--although-loaded]

The command `lfads search` as a user gives it, as a process of its own, once for every backend: it
reads the file, trains, validates, writes checkpoints, chooses the ensemble, infers, scores and
writes the page. `reference` is the definition in PyTorch operations with autograd, `portable` the
same operations with a hand-written backward pass, `compiled` the library. Time of the clock for
all, and of it the time of the epochs.

Beside other work on the machine nothing is timed, unless it is allowed; then the result tells it.
Writes results/whole_search.json after every backend.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from kernel_steps import processor
from other_work import OtherWork, add_option, require_quiet
from tree import sources

from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import library_versions, now_text

RESULTS = Path(__file__).parent / "results" / "whole_search.json"
GENERATION_EPOCHS = RAMP = 10
RECORDING, SPLIT = "mc_maze_large_subset.h5", "mc_maze_large_subset_split.json"


def command(given: argparse.Namespace, kernels: str, folder: Path) -> list[str]:
    return [
        sys.executable, "-m", "lfads_torch", "search", str(given.data / RECORDING),
        "--split", str(given.data / SPLIT), "--preset", "maze_peer",
        "--population", str(given.population), "--generations", str(given.generations),
        "--generation-epochs", str(GENERATION_EPOCHS), "--kernels", kernels,
        "--threads", str(given.threads), "--device", "cpu", "--out", str(folder), "--quiet",
        # The first generation waits for the ramps: short ones, for a short search.
        "--set", f"loss.kl_ramp_increase={RAMP}", "--set", f"loss.l2_ramp_increase={RAMP}",
        "--set", "search.stop_generations=0",
    ]  # fmt: skip


def timed_search(given: argparse.Namespace, kernels: str) -> dict[str, Any]:  # JSON values
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        others, began = OtherWork.begin(), time.perf_counter()
        subprocess.run(command(given, kernels, out), check=True)
        whole, cores = time.perf_counter() - began, others.cores()
        require_quiet(allowed=given.although_loaded, cores=cores or 0.0)
        run = RunFolder.open(out)
        rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
        if not (out / "report.html").exists():
            sys.exit(f"{kernels}: the search wrote no page")
        return {
            "whole_s": round(whole, 1),
            "epochs_s": round(sum(row["seconds"] for row in rows), 1),
            "n_epochs": len(rows),
            "backend": run.read_record().backend,
            "other_work_cores": cores,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--population", type=int, default=20)
    parser.add_argument("--generations", type=int, default=1)
    parser.add_argument(
        "--kernels", nargs="+", default=["compiled", "portable", "reference"],
        choices=["reference", "portable", "compiled"],
    )  # fmt: skip
    add_option(parser)
    given = parser.parse_args()
    if not (given.data / RECORDING).exists():
        sys.exit(f"skipped: {given.data / RECORDING} is not there; say where it is with --data.")
    require_quiet(allowed=given.although_loaded)
    result: dict[str, Any] = {
        "what": __doc__.splitlines()[0],
        "machine": {"processor": processor(), "cores": os.cpu_count()},
        "versions": library_versions(),
        **sources(),
        "measured": now_text(),
        "population": given.population,
        "generations": given.generations,
        "threads": given.threads,
        "kernels": {},
    }
    for kernels in given.kernels:
        result["kernels"][kernels] = timed_search(given, kernels)
        RESULTS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(kernels, json.dumps(result["kernels"][kernels]), flush=True)


if __name__ == "__main__":
    main()
