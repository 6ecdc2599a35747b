"""How long a causal model takes for one bin when it is stepped as the counts come in.

    python benchmarks/streaming_latency.py [--out benchmarks/results/streaming_latency.json]

A model of the maze recording's size (137 encoded of 182 units) is fitted for one epoch on random
counts, for a latency does not depend on what was learned, and stepped through trials with one
thread. Reported per number of posterior samples: quantiles over bins of the time from handing the
counts in to having the rates as an array, by the wall clock and by the processor's.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from tree import sources

from lfads_torch import LFADS
from lfads_torch.outputs.run_record import library_versions, machine_text

N_UNITS, N_BINS, IC_BINS, BIN_WIDTH_S = 182, 140, 20, 0.005
SAMPLES = (0, 1, 10, 50)
QUANTILES = {"median": 50.0, "q90": 90.0, "q99": 99.0}


def fitted(random: np.random.Generator) -> LFADS:
    counts = random.poisson(0.05, (32, N_BINS, N_UNITS)).astype(float)
    settings = {
        "model.causal_controller": True, "model.ic_bins": IC_BINS, "training.epochs": 1,
        "split.held_out_fraction": 0.25, "loss.kl_ramp_increase": 0, "loss.l2_ramp_increase": 0,
    }  # fmt: skip
    model = LFADS(bin_width_s=BIN_WIDTH_S, preset="medium", settings=settings, threads=1)
    return model.fit(counts)


def latencies(model: LFADS, n_samples: int, counts: np.ndarray) -> dict[str, dict[str, float]]:
    """Milliseconds per generated bin; the first trial warms up."""
    stream, wall, processor = model.stream(n_samples=n_samples), [], []
    for trial, bins in enumerate(counts):
        stream.reset(trial=trial)
        for of_bin in bins:
            began, began_processor = time.perf_counter(), time.process_time()
            found = stream.step(of_bin)
            took = time.perf_counter() - began, time.process_time() - began_processor
            if found is not None and trial:
                wall.append(1e3 * took[0])
                processor.append(1e3 * took[1])
    return {
        name: {key: float(np.percentile(values, q)) for key, q in QUANTILES.items()}
        for name, values in (("wall_ms", wall), ("processor_ms", processor))
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--trials", type=int, default=6)
    given = parser.parse_args()
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    model = fitted(random)
    counts = random.poisson(0.05, (given.trials, N_BINS, N_UNITS)).astype(float)
    found = {
        "machine": machine_text(),
        "threads": 1,
        "versions": library_versions(),
        **sources(),
        "model": "preset medium, causal, 137 encoded of 182 units",
        "bins_timed": (given.trials - 1) * (N_BINS - IC_BINS),
        "by_samples": {str(n): latencies(model, n, counts) for n in SAMPLES},
    }
    for n, times in found["by_samples"].items():
        wall, processor = times["wall_ms"], times["processor_ms"]
        print(
            f"{n:>3} samples: {wall['median']:.3f} ms a bin (99 %: {wall['q99']:.3f}); "
            f"processor {processor['median']:.3f}"
        )
    if given.out is not None:
        given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
