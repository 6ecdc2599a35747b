"""A single model on the maze recording, on the peer's split with the peer's settings.

    python benchmarks/maze_single.py [--data ../shared/data] [--runs runs/maze_single]

Three protocols, three seeds each, as members of one population:
- `two_batches`: selected and reported on the peer's validation trials (their way; used for
  selection). The peer cuts 129 trials at 64 into 64 + 64 + 1: two full steps and one on a single
  trial. Ours are balanced; a batch size of 65 gives two (64 + 65).
- `three_batches`: the same with the peer's 64, which balances to 43 + 43 + 43.
- `test`: the peer's validation trials are a test set that nothing is selected on; the other trials
  are divided into training and validation.

Peer's figures: lfads-torch, two seeds. Writes results/maze_single.json; resumable.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from resumable import ensure_rates, ensure_run, provenance

from lfads_torch.analysis.metrics.behaviour import behaviour_r2
from lfads_torch.analysis.metrics.bits_per_spike import (
    bits_per_spike,
    held_out_entries,
    seen_entries,
)
from lfads_torch.analysis.metrics.intervals import trial_bootstrap
from lfads_torch.analysis.metrics.psth import averaged_psth_r2, psth, split_half_ceiling
from lfads_torch.config.read import read_settings
from lfads_torch.config.tree import Settings
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.recording import Recording, Split
from lfads_torch.data.split_file import read_split
from lfads_torch.outputs.rates_file import open_rates

RESULTS = Path(__file__).parent / "results" / "maze_single.json"
PEER = {
    "co-smoothing, bits/spike": [0.2707, 0.2710],
    "encoded units, bits/spike": [0.216, 0.207],
    "velocity R2": [0.826, 0.827],
    "PSTH R2": [0.548, 0.545],
}


def settings_of_the_peer(n_seeds: int, batch_size: int) -> Settings:
    # The peer trains 700 epochs and keeps the best of all; patience ends what is long overfit.
    values = {
        "training.patience": 40,
        "training.batch_size": batch_size,
        "run.n_seeds": n_seeds,
        "run.threads": 1,
    }
    return read_settings(
        None, "maze_peer", tuple(f"{name}={value}" for name, value in values.items())
    )


def with_test_set(split: Split, seed: int = 0) -> Split:
    """The peer's validation trials become the test set; a fifth of the others validates."""
    trial_set = split.trial_set.copy()
    trial_set[split.trials("valid")] = "test"
    others = split.trials("train")
    rng = np.random.Generator(np.random.Philox(seed))
    trial_set[rng.choice(others, len(others) // 5, replace=False)] = "valid"
    return replace(split, trial_set=trial_set)


def scores(recording: Recording, rates: np.ndarray, which: str) -> dict[str, object]:
    """The four figures on one set; rates are expected counts per bin, [trial, bin, unit]."""
    split = recording.split
    train, evaluated = split.trials("train"), split.trials(which)
    counts = recording.counts.astype(float)
    velocity = recording.behaviour["hand_velocity"].astype(float)
    is_bin = np.ones(recording.n_bins, dtype=bool)
    target = psth(counts[train], recording.condition[train], bin_width_s=recording.bin_width_s)
    return {
        "co-smoothing, bits/spike": bits_per_spike(
            counts[evaluated],
            rates[evaluated],
            selection=held_out_entries(split.is_encoded, is_bin),
        ),
        "encoded units, bits/spike": bits_per_spike(
            counts[evaluated], rates[evaluated], selection=seen_entries(split.is_encoded, is_bin)
        ),
        "velocity R2": behaviour_r2(
            rates[train], velocity[train], rates=rates[evaluated], behaviour=velocity[evaluated]
        ),
        "PSTH R2": averaged_psth_r2(
            rates[evaluated], recording.condition[evaluated], target=target
        ),
    }


@dataclass(frozen=True)
class Protocol:
    """What is trained on which trials, and which set is reported."""

    name: str
    split: Split
    which: str  # the set that is reported
    batch_size: int


def one_protocol(
    protocol: Protocol, recording: Recording, runs: Path, n_seeds: int
) -> dict[str, object]:
    settings, which = settings_of_the_peer(n_seeds, protocol.batch_size), protocol.which
    recording = recording.with_split(protocol.split)
    run = ensure_run(runs / protocol.name, recording, settings)
    per_seed = []
    for member in range(n_seeds):
        with open_rates(ensure_rates(run, recording, member)) as rates:
            counts = rates["rates"].values.astype(float) * recording.bin_width_s
        per_seed.append(scores(recording, counts, which))
    return {
        "set": "validation (used for selection)" if which == "valid" else "test",
        "n_trials": len(recording.split.trials(which)),
        "scores": {key: summary(key, [each[key] for each in per_seed]) for key in PEER},
        **provenance(run),
    }


def summary(key: str, found: list) -> dict[str, object]:
    """Seeds, their mean, and the trial-bootstrap interval of the mean over seeds."""
    values = [float(score.value) for score in found]

    class MeanOverSeeds:
        value = float(np.mean(values))
        n_trials = found[0].n_trials

        @staticmethod
        def resample(weights: np.ndarray) -> np.ndarray:
            return np.mean([score.resample(weights) for score in found], axis=0)

    interval = trial_bootstrap(MeanOverSeeds(), np.random.Generator(np.random.Philox(0)))
    return {
        "seeds": [round(value, 4) for value in values],
        "mean": round(MeanOverSeeds.value, 4),
        "interval_95": [round(float(interval.low), 4), round(float(interval.high), 4)],
        "peer": PEER[key],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/maze_single"))
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    path = given.data / "mc_maze_large_subset.h5"
    if not path.exists():
        sys.exit(f"skipped: {path} is not there; say where the recordings are with --data.")
    recording = read_recording(path)
    peer = read_split(given.data / "mc_maze_large_subset_split.json", recording)
    ceiling = split_half_ceiling(
        recording.counts.astype(float),
        recording.condition,
        bin_width_s=recording.bin_width_s,
        rng=np.random.Generator(np.random.Philox(0)),
    )
    result = {"what": __doc__.splitlines()[0], "psth_ceiling": round(float(ceiling.half), 4)}
    for protocol in (
        Protocol("two_batches", peer, "valid", 65),
        Protocol("three_batches", peer, "valid", 64),
        Protocol("test", with_test_set(peer), "test", 64),
    ):
        result[protocol.name] = one_protocol(protocol, recording, given.runs, given.seeds)
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps(result[protocol.name]), flush=True)


if __name__ == "__main__":
    main()
