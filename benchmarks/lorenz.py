"""The Lorenz system of the 2016 paper: R2 of the true state per dimension, over draws of weights.

    python benchmarks/lorenz.py [--draws 5] [--bin-width-s 0.01] [--runs runs/lorenz]

Recipe, sizes and published figures: Sussillo et al. 2016 (arXiv:1608.06315), pages 8 and 9: 65
conditions x 20 trials of 1 s, 30 units, no controller, 8 factors, generator and encoder 64, dropout
.05, batches of 150. The paper bins at 2 ms; the default here is 10 ms, five times less to compute
(the state that is scored is then its average over 10 ms). Latents come from an affine regression
on factors, fitted on training trials and scored on validation trials. Writes
results/lorenz_10ms.json (or of another width); resumable.

In bins of 2 ms training with those settings is slow, and what differs is in FINE: update gates that
start as slow in seconds as those of 10 ms do (bias 3 for 1), batches of 26 and a lower rate that
decays faster. They were chosen by the validation likelihood of draw 0 (whose trials are the ones
that are scored here), before any other draw was looked at.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from resumable import ensure_rates, ensure_run, provenance

from lfads_torch.analysis.metrics.truth import true_latent_r2, true_rate_r2
from lfads_torch.config.read import read_settings
from lfads_torch.config.tree import Settings
from lfads_torch.data.synthetic.choose import synthesise
from lfads_torch.outputs.rates_file import open_rates

PUBLISHED = {"LFADS": [0.826, 0.900, 0.821]}
RESULTS = Path(__file__).parent / "results"
FINE_BIN_S = 0.005  # bins narrower than this have the settings of FINE
FINE = {
    "model.update_gate_bias": 3.0,
    "training.batch_size": 26,
    "training.learning_rate": 0.004,
    "training.plateau_factor": 0.8,
}


def settings_of_the_paper(epochs: int, bin_width_s: float = 0.01) -> Settings:
    values: dict[str, float] = {
        "model.n_inferred_inputs": 0,
        "model.n_factors": 8,
        "model.generator_size": 64,
        "model.ic_encoder_size": 64,
        "model.initial_condition_size": 64,
        "augmentation.dropout_rate": 0.05,
        "augmentation.coordinated_dropout_rate": 0.0,
        "training.batch_size": 150,
        "training.learning_rate": 0.01,
        "training.plateau_factor": 0.9,
        "training.plateau_patience": 6,
        "training.epochs": epochs,
        "training.patience": 0,
        "loss.kl_scale_unit": "beta",
        "loss.kl_initial_condition_scale": 0.5,
        "loss.kl_ramp_increase": epochs // 8,
        "loss.l2_ramp_increase": epochs // 8,
        "run.threads": 1,
    }
    if bin_width_s < FINE_BIN_S:
        values |= FINE
    return read_settings(None, "small", tuple(f"{name}={value}" for name, value in values.items()))


def one_draw(seed: int, runs: Path, epochs: int, bin_width_s: float) -> dict[str, object]:
    recording = synthesise("lorenz-2016", seed, bin_width_s=bin_width_s)
    folder = runs / f"{1e3 * bin_width_s:g}ms_draw_{seed}"
    run = ensure_run(folder, recording, settings_of_the_paper(epochs, bin_width_s))
    train, valid = (recording.split.trials(name) for name in ("train", "valid"))
    with open_rates(ensure_rates(run, recording, 0)) as rates:
        factors, inferred = rates["factors"].values, rates["rates"].values
    latents = recording.true_latents
    r2 = true_latent_r2(
        factors[train], latents[train], factors=factors[valid], latents=latents[valid]
    )
    rate_r2 = true_rate_r2(inferred[valid], recording.true_rates[valid])
    return {
        "seed": seed,
        "latent_r2": [round(float(value), 4) for value in r2.per_column],
        "rate_r2": round(float(rate_r2.value), 4),
        **provenance(run),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=250)
    parser.add_argument("--bin-width-s", type=float, default=0.01)
    parser.add_argument("--runs", type=Path, default=Path("runs/lorenz"))
    given = parser.parse_args()
    results = RESULTS / f"lorenz_{1e3 * given.bin_width_s:g}ms.json"
    for seed in range(given.first, given.first + given.draws):
        if is_stored(results, seed, given.epochs):
            continue
        result = one_draw(seed, given.runs, given.epochs, given.bin_width_s)
        print(json.dumps(result), flush=True)
        store(results, result)


def is_stored(results: Path, seed: int, epochs: int) -> bool:
    if not results.exists():
        return False
    draws = json.loads(results.read_text())["draws"]
    return any(each["seed"] == seed and each["epochs"] == epochs for each in draws)


def store(results: Path, result: dict[str, object]) -> None:
    """Add one draw to the results, and their mean and standard deviation."""
    before = json.loads(results.read_text()) if results.exists() else {"draws": []}
    draws = [each for each in before["draws"] if each["seed"] != result["seed"]] + [result]
    draws.sort(key=lambda each: each["seed"])
    r2 = np.array([each["latent_r2"] for each in draws])
    summary = {
        "what": "R2 of the true Lorenz state per dimension, validation trials",
        "mean": r2.mean(0).round(4).tolist(),
        "standard_deviation": (r2.std(0, ddof=1) if len(r2) > 1 else r2[0] * 0).round(4).tolist(),
        "published": PUBLISHED,
        "draws": draws,
    }
    results.write_text(json.dumps(summary, indent=1) + "\n")


if __name__ == "__main__":
    main()
