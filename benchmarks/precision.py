"""float32 against bf16 on the processor: is the same quality held out?

    python benchmarks/precision.py [--data ../shared/data] [--runs runs/precision] [--only maze]

bf16 is `run.precision bf16`: operands of the products of both recurrences rounded, sums, states and
all else float32. The same seeds, data, noise and epochs in both precisions; the best epoch by
validation is kept, and every figure is of test trials, which nothing is selected on.
- `maze`: preset `maze_peer` on the peer's split, whose validation trials are the test set; three
  seeds as members of one run (run seed 100), no patience.
- `lorenz`: the recipe of lorenz.py at 10 ms, three seeds as members of one run on the first draw;
  its validation trials are the test set, and a fifth of the others validates.
- `lorenz_whole`: the same with the recipe's own 250 epochs and six seeds. It was set down after
  `lorenz`, whose 120 epochs end while every score still rises, had been seen.
- `maze_fresh`: `maze` with six fresh seeds (run seed 200), set down after `maze`, where PSTH R2 was
  above the spread, and `lorenz_whole` had been seen.

Writes results/precision.json; resumable.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lorenz import settings_of_the_paper
from maze_single import scores, settings_of_the_peer, with_test_set
from resumable import ensure_rates, ensure_run, provenance

from lfads_torch.analysis.metrics.truth import true_latent_r2, true_rate_r2
from lfads_torch.config.tree import Settings
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.recording import Recording
from lfads_torch.data.split_file import read_split
from lfads_torch.data.synthetic.choose import synthesise
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.masked_score import masked_score
from lfads_torch.workflows.stored import load_models

RESULTS = Path(__file__).parent / "results" / "precision.json"
PRECISIONS, SEED, FRESH_SEED = ("float32", "bf16"), 100, 200
PARTS = ("maze", "maze_fresh", "lorenz", "lorenz_whole")

Scores = dict[str, float]


def maze(data: Path, n_seeds: int, seed: int) -> tuple[Recording, Settings]:
    path = data / "mc_maze_large_subset.h5"
    if not path.exists():
        sys.exit(f"skipped: {path} is not there; say where the recordings are with --data.")
    recording = read_recording(path)
    peer = read_split(data / "mc_maze_large_subset_split.json", recording)
    settings = settings_of_the_peer(n_seeds, 64)
    training = replace(settings.training, patience=0, epochs=120)
    settings = replace(settings, training=training, run=replace(settings.run, seed=seed))
    return recording.with_split(with_test_set(peer)), settings


def lorenz(epochs: int, n_seeds: int) -> tuple[Recording, Settings]:
    recording = synthesise("lorenz-2016", 0, bin_width_s=0.01)
    settings = settings_of_the_paper(epochs)
    settings = replace(settings, run=replace(settings.run, n_seeds=n_seeds, seed=SEED))
    return recording.with_split(with_test_set(recording.split)), settings


def maze_scores(recording: Recording, run: RunFolder, member: int) -> Scores:
    """Co-smoothing, seen units, velocity and PSTH of the test trials."""
    with open_rates(ensure_rates(run, recording, member)) as rates:
        counts = rates["rates"].values.astype(float) * recording.bin_width_s
    found = scores(recording, counts, "test")
    return {name: float(score.value) for name, score in found.items()}


def lorenz_scores(recording: Recording, run: RunFolder, member: int) -> Scores:
    """R2 of the true latents, per dimension and their mean, and of the true rates."""
    train, test = (recording.split.trials(name) for name in ("train", "test"))
    with open_rates(ensure_rates(run, recording, member)) as rates:
        factors, inferred = rates["factors"].values, rates["rates"].values
    latents = recording.true_latents
    found = true_latent_r2(
        factors[train], latents[train], factors=factors[test], latents=latents[test]
    )
    dimensions = {f"R2 of latent {i + 1}": float(r2) for i, r2 in enumerate(found.per_column)}
    rate_r2 = true_rate_r2(inferred[test], recording.true_rates[test])
    return {
        **dimensions,
        "R2 of latents": float(np.mean(found.per_column)),
        "R2 of true rates": float(rate_r2.value),
    }


def masked_scores(recording: Recording, run: RunFolder, n_seeds: int) -> list[float]:
    """Bits per spike of entries of test trials while hidden from the encoder, by member."""
    part = recording.take_trials(recording.split.trials("test"))
    models = load_models(run, part, range(n_seeds))
    return [masked_score([model], part) for model in models]


def measured_in(
    precision: str,
    made: tuple[Recording, Settings],
    folder: Path,
    score: Callable[[Recording, RunFolder, int], Scores],
) -> dict[str, object]:
    """What is stored of one precision: every score of every seed, and where it comes from."""
    recording, settings = made
    torch.set_num_threads(1)
    run_settings = replace(settings.run, precision=precision)
    run = ensure_run(folder, recording, replace(settings, run=run_settings))
    n_seeds = settings.run.n_seeds
    by_seed = [score(recording, run, member) for member in range(n_seeds)]
    masked = masked_scores(recording, run, n_seeds)
    found = {name: [each[name] for each in by_seed] for name in by_seed[0]}
    found["masked, bits/spike"] = masked
    return {
        "precision": run.read_record().precision,
        "seed": settings.run.seed,
        "scores": {name: [round(value, 5) for value in each] for name, each in found.items()},
        **provenance(run),
    }


def compared(first: dict, second: dict) -> dict[str, object]:
    """Second minus first for each seed, and whether its mean lies within the spread of the seeds.

    The spread is the standard deviation over the seeds of the first.
    """
    result = {}
    for name, usual in first["scores"].items():
        differences = np.array(second["scores"][name]) - np.array(usual)
        spread = float(np.std(usual, ddof=1))
        result[name] = {
            "float32": round(float(np.mean(usual)), 4),
            "bf16": round(float(np.mean(second["scores"][name])), 4),
            "differences": differences.round(5).tolist(),
            "mean_difference": round(float(differences.mean()), 5),
            "spread_of_seeds": round(spread, 5),
            "is_within_spread": bool(abs(differences.mean()) <= spread),
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/precision"))
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    given = parser.parse_args()
    parts = {
        "maze": (lambda: maze(given.data, 3, SEED), maze_scores),
        "maze_fresh": (lambda: maze(given.data, 6, FRESH_SEED), maze_scores),
        "lorenz": (lambda: lorenz(120, 3), lorenz_scores),
        "lorenz_whole": (lambda: lorenz(250, 6), lorenz_scores),
    }
    for name, (make, score) in parts.items():
        if name not in given.only:
            continue
        made = make()
        found = {
            precision: measured_in(precision, made, given.runs / f"{name}_{precision}", score)
            for precision in PRECISIONS
        }
        store(name, {**found, "compared": compared(*(found[each] for each in PRECISIONS))})


def store(name: str, found: dict[str, object]) -> None:
    result = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    result = {
        "what": __doc__.splitlines()[0],
        **{key: result[key] for key in PARTS if key in result},
    }
    result[name] = found
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")
    print(name, json.dumps(found["compared"]), flush=True)


if __name__ == "__main__":
    main()
