"""Four ways to spend the same training on the maze recording, compared on test trials.

    python benchmarks/maze_search.py [--data ../shared/data] [--runs runs/maze_search]
        [--splits peer second] [--seeds 0] [--population 8] [--generations 12]

- `population`: AutoLFADS, binary tournaments with copying and perturbation;
- `random`: every member keeps what it drew at the start;
- `published`: every member has the published settings of this recording, from another seed;
- `explore_only`: losers of the same tournaments change their own values, nobody is copied.

Equal architecture, split, seed, member-epochs, validation passes and stopping rule (all run to the
last generation). Each arm is represented by the model with its best smoothed validation score
after the ramps. Beside it stand the averaged rates of an ensemble of up to four models, which
forward selection on validation trials takes (docs/search.md). Splits: `peer`, where the trials that
the peer validates on are a test set that nothing is selected on; `second`, another draw of trials
and held-out units.

Writes results/maze_search.json after every arm; resumable. `--ensembles-anew` scores the ensembles
of finished runs again and leaves every other figure as it is.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from maze_single import scores, with_test_set
from resumable import PrintedProgress, ensure_rates, ensure_search, finished_run, provenance

from lfads_torch.analysis.metrics.intervals import trial_bootstrap
from lfads_torch.config.read import read_settings
from lfads_torch.config.tree import Settings
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.recording import Recording, Split
from lfads_torch.data.settings import SplitSettings
from lfads_torch.data.split_file import read_split
from lfads_torch.data.splitting import split_recording
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.evaluate import Protocol, evaluate_run

RESULTS = Path(__file__).parent / "results" / "maze_search.json"
ARMS = ("population", "random", "published", "explore_only")
ENSEMBLE = 4
_METHODS = {"published": "list"}
_PUBLISHED = {
    "training.learning_rate": 3e-3,
    "augmentation.dropout_rate": 0.071,
    "augmentation.coordinated_dropout_rate": 0.302,
    "loss.l2_generator_scale": 1.37e-3,
    "loss.l2_controller_scale": 4.6e-4,
    "loss.kl_initial_condition_scale": 1.2e-6,
    "loss.kl_input_scale": 5.5e-6,
}


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much is searched."""

    population: int
    generations: int

    def settings(self, arm: str, seed: int) -> Settings:
        values = {
            "loss.kl_ramp_increase": 20,
            "loss.l2_ramp_increase": 20,
            "training.best_from": "ramps",
            "search.method": _METHODS.get(arm, arm),
            "search.population": self.population,
            "search.generations": self.generations,
            "search.generation_epochs": 10,
            "search.stop_generations": 0,
            "run.seed": seed,
            "run.threads": 1,
        }
        texts = tuple(f"{name}={value}" for name, value in values.items())
        return read_settings(None, "maze_peer", texts)


def splits(recording: Recording, peer: Split) -> dict[str, Split]:
    """Trials and units of both comparisons, each with a test set."""
    second = SplitSettings(
        method="stratified", valid_fraction=0.2, test_fraction=0.2, held_out_fraction=0.25, seed=1
    )
    plain = replace(recording, split=None)
    return {"peer": with_test_set(peer), "second": split_recording(plain, second)}


# What simple methods reach on the same trials, and the most that a PSTH can explain.
REFERENCES = {
    "co-smoothing, Poisson regression on smoothed counts": (
        "baseline_smoothed_regression_co_smoothing_bits_per_spike"
    ),
    "co-smoothing, averages of the condition": (
        "baseline_condition_mean_co_smoothing_bits_per_spike"
    ),
    "masked, averages of the condition": "baseline_condition_mean_masked_bits_per_spike",
    "velocity R2, ridge on smoothed counts": "baseline_smoothed_behaviour_hand_velocity_r2",
    "velocity R2, averages of the condition": "behaviour_hand_velocity_condition_mean_r2",
}


def masked_of(run: RunFolder) -> dict[str, object]:
    """Encoded entries of the test trials while hidden from the encoder: copying earns nothing."""
    found = {each.name: each for each in evaluate_run(run, which_set="test").scores}
    score = found["masked_bits_per_spike"]
    return {"value": round(score.value, 4), "interval_95": [round(x, 4) for x in score.interval]}


def references_of(run: RunFolder) -> dict[str, float]:
    """Figures to beat on the test trials, and the ceiling of the PSTH R2."""
    evaluation = evaluate_run(
        run, which_set="test", protocol=Protocol(with_baselines=True, n_bootstrap=0)
    )
    found = {each.name: each for each in evaluation.scores}
    values = {title: round(found[name].value, 4) for title, name in REFERENCES.items()}
    ceiling = found["psth_r2_averaged"].beside["ceiling"]
    return values | {"PSTH R2: split-half ceiling": round(ceiling, 4)}


def rates_of(run: RunFolder, recording: Recording, member: int) -> np.ndarray:
    """Expected counts [trial, bin, unit] of the best model of one line."""
    with open_rates(ensure_rates(run, recording, member)) as rates:
        return rates["rates"].values.astype(float) * recording.bin_width_s


@dataclass(frozen=True, kw_only=True)
class TestScores:
    """Of the best model, and what is told of the ensemble."""

    best: Mapping[str, object]
    averaged: Mapping[str, object]
    ensemble: dict[str, object]


def test_scores(run: RunFolder, recording: Recording) -> TestScores:
    """Scores on the test trials: of the best model, and of the ensemble's rates beside it."""
    from lfads_torch.workflows.choose_ensemble import chosen_models

    chosen = chosen_models(run)
    taken = chosen.members[:ENSEMBLE]
    each = np.stack([rates_of(run, recording, member) for member in taken])
    best = scores(recording, each[0], "test")
    averaged = scores(recording, each.mean(axis=0), "test")
    of_test = each[:, recording.split.trials("test")]
    spread = of_test.std(axis=0) / of_test.mean(axis=0)
    return TestScores(
        best=best,
        averaged=averaged,
        ensemble={
            "ensemble_members": list(taken),
            "n_candidates": len(chosen.candidates),
            "ensemble_validation_gain_nats": chosen.nats[0] - chosen.nats[len(taken) - 1],
            # Spread between members over the rates' size, median over trials, bins and units.
            "member_spread": round(float(np.median(spread)), 4),
            "ensemble_minus_best": against(averaged, best),
        },
    )


class Difference:
    """A score of one model minus that of another, on the same trials: what the bootstrap takes."""

    def __init__(self, first: object, second: object) -> None:
        self._pair = (first, second)
        self.value = float(first.value) - float(second.value)
        self.n_trials = first.n_trials

    def resample(self, weights: np.ndarray) -> np.ndarray:
        first, second = self._pair
        return first.resample(weights) - second.resample(weights)


def with_interval(score: object) -> dict[str, object]:
    interval = trial_bootstrap(score, np.random.Generator(np.random.Philox(0)))
    return {
        "value": round(float(score.value), 4),
        "interval_95": [round(float(interval.low), 4), round(float(interval.high), 4)],
    }


def against(first: Mapping[str, object], second: Mapping[str, object]) -> dict[str, object]:
    """Paired differences, first minus second; a tie where the interval holds 0."""
    found = {}
    for name in first:
        entry = with_interval(Difference(first[name], second[name]))
        low, high = entry["interval_95"]
        found[name] = entry | {"verdict": "tie" if low <= 0.0 <= high else "different"}
    return found


def one_comparison(
    split_name: str, seed: int, recording: Recording, runs: Path, size: Size
) -> dict[str, object]:
    """All arms on one split from one seed, as far as they are done."""
    found: dict[str, TestScores] = {}
    result: dict[str, object] = {"n_test_trials": len(recording.split.trials("test")), "arms": {}}
    for arm in ARMS:
        folder = runs / split_name / f"seed_{seed}" / arm
        run = ensure_search(
            folder,
            recording,
            size.settings(arm, seed),
            watcher=PrintedProgress("/".join(folder.parts[-3:])),
            values=(_PUBLISHED,) * size.population if arm == "published" else (),
        )
        found[arm] = test_scores(run, recording)
        search = run.read_record().search
        result["arms"][arm] = {
            "test": {name: with_interval(s) for name, s in found[arm].best.items()},
            "masked, bits/spike": masked_of(run),
            **found[arm].ensemble,
            "validation_score": search["best"]["score"],
            "best_epoch": search["best"]["epoch"],
            "hyperparameters": search["best"]["hyperparameters"],
            "member_epochs": search["member_epochs"],
            "n_validation_passes": search["n_validation_passes"],
            **provenance(run),
        }
        if "references" not in result:
            result["references"] = references_of(run)
        if arm != "population":
            entry = result["arms"][arm]
            entry["population_minus_this"] = against(found["population"].best, found[arm].best)
            entry["population_ensemble_minus_this"] = against(
                found["population"].averaged, found[arm].averaged
            )
        store(split_name, seed, size, result)
        print(split_name, seed, arm, json.dumps(result["arms"][arm]["test"]), flush=True)
    return result


def ensembles_anew(
    split_name: str, seed: int, recording: Recording, runs: Path, size: Size
) -> None:
    """Score the ensembles of finished runs again, by the rule of today, in the stored result."""
    result = json.loads(RESULTS.read_text())[key_of(size)][split_name][f"seed {seed}"]
    found: dict[str, TestScores] = {}
    for arm, entry in result["arms"].items():
        run = finished_run(RunFolder.open(runs / split_name / f"seed_{seed}" / arm))
        found[arm] = test_scores(run, recording)
        entry |= found[arm].ensemble
        if arm != "population":
            entry["population_ensemble_minus_this"] = against(
                found["population"].averaged, found[arm].averaged
            )
        store(split_name, seed, size, result)
        print(split_name, seed, arm, json.dumps(entry["ensemble_minus_best"]), flush=True)


def key_of(size: Size) -> str:
    return f"{size.population} members, {size.generations} generations of 10 epochs"


def store(split_name: str, seed: int, size: Size, result: dict[str, object]) -> None:
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    before["what"] = __doc__.splitlines()[0]
    key = key_of(size)
    before.setdefault(key, {}).setdefault(split_name, {})[f"seed {seed}"] = result
    RESULTS.write_text(json.dumps(before, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/maze_search"))
    parser.add_argument(
        "--splits", nargs="+", choices=("peer", "second"), default=["peer", "second"]
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--population", type=int, default=8)
    parser.add_argument("--generations", type=int, default=12)
    parser.add_argument("--ensembles-anew", action="store_true")
    given = parser.parse_args()
    path = given.data / "mc_maze_large_subset.h5"
    if not path.exists():
        sys.exit(f"skipped: {path} is not there; say where the recordings are with --data.")
    recording = read_recording(path)
    peer = read_split(given.data / "mc_maze_large_subset_split.json", recording)
    size = Size(population=given.population, generations=given.generations)
    ways = splits(recording, peer)
    score = ensembles_anew if given.ensembles_anew else one_comparison
    for seed, name in itertools.product(given.seeds, given.splits):
        runs = given.runs / f"{size.population}x{size.generations}"
        score(name, seed, recording.with_split(ways[name]), runs, size)


if __name__ == "__main__":
    main()
