"""Why coordinated dropout: two searches on the same recording, without it and with it.

    python benchmarks/coordinated_dropout.py [--runs runs/coordinated_dropout] [--seeds 0 1 2]
        [--population 8] [--generations 6]

Lorenz attractor seen by 55 units; 15 of them are taken out before anything else. Everything that
is left is encoded, in the loss and in the score, so both searches select by the likelihood of
their own input. Both have the published ranges; one leaves coordinated dropout out of them, at a
rate of 0. The best model of every line is then scored on test trials:

- `encoded`: bits per spike of what the encoder sees, which is what the search selects by;
- `masked`: the same entries, each predicted while it is hidden from the encoder;
- `read_out`: the 15 units that were taken out, by Poisson regression on the factors, fitted to
  training trials;
- `rates`: R2 of the true rates of the units that the model has.

The leader is also scored as it stood after every generation, and the true rates themselves are
scored beside the models: no honest model is above them.

The system was made for the question, and before any search: few trials (160 train), factors and
inferred inputs (20 and 8) for more than the attractor's three dimensions, so that copying the input
is possible. One generation of three members with these sizes was looked at before; nothing was
changed after it.

A seed draws everything anew: the system, the units that are taken out, first weights, the search.
Whether encoded and masked score agree is judged over seeds (`agreement.py`) by a rule that was set
down after seed 0 had been seen and before the other seeds were run:

- level: the winner's encoded minus its masked score. They agree where the interval over seeds
  lies within .05 bits/spike of 0; the winner's encoded score may not exceed the true rates' either;
- rank: Spearman's correlation over the lines of a search between the validation score, which is
  encoded, and a score on test trials; combined over searches in Fisher's z. Eight nearly equal
  lines rank at random, so what counts is the next:
- regret: the model that the masked score on VALIDATION trials would have chosen among the lines,
  minus the one that the encoded score chose, on test trials: what choosing by the encoded score
  costs, in each score. It costs nothing worth naming where the interval over seeds lies below .01
  bits/spike (R2: .05), it costs where the interval lies above 0, and else it is open.

Intervals over seeds are Student's, and with three seeds wide; trial-bootstrap intervals of each
seed stand beside them. Results of an earlier run of seed 0 lack the validation trials' masked
scores, so it counts for level and rank alone unless it is run again.

The seeds 3 and 4 were added after those three had been seen, for the arm `on` alone: the run was
stopped before its arm `off`.

Writes results/coordinated_dropout.json after each search; resumable. Searches with coordinated
dropout come first, so that a run that was stopped has the seeds that agreement is judged by.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from agreement import judged
from maze_search import Difference, with_interval
from numpy.typing import NDArray
from resumable import PrintedProgress, ensure_search, provenance

from lfads_torch.analysis.metrics.bits_per_spike import BitsPerSpike, bits_per_spike
from lfads_torch.analysis.metrics.intervals import TrialScore
from lfads_torch.analysis.metrics.masked import complementary_masks, masked_rates
from lfads_torch.analysis.metrics.truth import true_rate_r2
from lfads_torch.config.read import read_settings
from lfads_torch.config.space import SpaceChoice
from lfads_torch.config.tree import Settings
from lfads_torch.data.recording import Recording
from lfads_torch.data.synthetic.choose import synthesise
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.search.schedule import schedule_of
from lfads_torch.training.checkpoint import load_best
from lfads_torch.training.loop import EpochReport
from lfads_torch.workflows.scores.signals import expected_counts_from_visible, inferred_signals
from lfads_torch.workflows.scores.trials import Signals
from lfads_torch.workflows.stored import TrainedModel, load_model, members_of

RESULTS = Path(__file__).parent / "results" / "coordinated_dropout.json"
RATE = "augmentation.coordinated_dropout_rate"
ARMS = ("on", "off")
N_UNITS, N_TAKEN_OUT, N_MASKS = 55, 15, 5
_SYSTEM = {
    "n_conditions": 40,
    "n_trials_per_condition": 8,
    "n_valid_per_condition": 2,
    "n_test_per_condition": 2,
    "n_units": N_UNITS,
}
_SETTINGS = {
    "model.generator_size": 64,
    "model.ic_encoder_size": 48,
    "model.controller_encoder_size": 48,
    "model.controller_size": 48,
    "model.n_factors": 20,
    "model.n_inferred_inputs": 8,
    "model.initial_condition_size": 32,
    "loss.kl_ramp_increase": 10,
    "loss.l2_ramp_increase": 10,
    "loss.kl_scale_unit": "published",
    "training.batch_size": 20,
    "inference.n_samples": 10,
    "search.kl_range": "published",
    "search.generation_epochs": 8,
    "search.stop_generations": 0,
    "run.threads": 1,
}


@dataclass(frozen=True)
class System:
    """The recording that is searched on, and the units that no model has met."""

    seen: Recording
    taken_out: Recording

    def trials(self, which: str) -> NDArray[np.int64]:
        return self.seen.split.trials(which)


def system(seed: int) -> System:
    whole = synthesise("demo", seed, **_SYSTEM)
    order = np.random.Generator(np.random.Philox(seed)).permutation(N_UNITS)
    parts = (np.sort(order[N_TAKEN_OUT:]), np.sort(order[:N_TAKEN_OUT]))
    return System(*(whole.take_units(part) for part in parts))


def settings_of(arm: str, seed: int, *, population: int, generations: int) -> Settings:
    values = _SETTINGS | {
        "run.seed": seed,
        "search.population": population,
        "search.generations": generations,
    }
    if arm == "off":
        values[RATE] = 0.0
    return read_settings(None, "small", tuple(f"{name}={value}" for name, value in values.items()))


class KeptGenerations(PrintedProgress):
    """Keeps, beside the run, the best models as they were when each generation ended."""

    def __init__(self, folder: Path) -> None:
        super().__init__("/".join(folder.parts[-3:]))
        self._folder = folder

    def epoch(self, report: EpochReport, settings: Settings) -> None:
        schedule = schedule_of(settings.search, settings.loss, steps_per_epoch=1)
        # In the first epoch of a generation the run folder's file is the one of the last one's end.
        for generation in range(1, schedule.n_generations):
            if schedule.start(generation) == report.epoch:
                best = RunFolder.open(self._folder).best_checkpoint_path
                shutil.copyfile(best, kept_path(self._folder, generation - 1))
        super().epoch(report, settings)


def kept_path(folder: Path, generation: int) -> Path:
    return folder.parent / f"{folder.name}_after_{generation}.safetensors"


def as_it_was(model: TrainedModel, path: Path) -> TrainedModel:
    """The leader among the models of a kept file, on the trials of `model`."""
    best = load_best(path, model.assembly.task.layout, torch.device("cpu"))
    leader = best.take(best.score.argmin()[None])
    return replace(
        model,
        weights=leader.weights,
        member=int(leader.members),
        hyperparameters=leader.hyperparameters,
        best_score=float(leader.score),
    )


@dataclass(frozen=True)
class Scored:
    """One model and what it makes of the system's trials."""

    model: TrainedModel
    system: System

    @cached_property
    def signals(self) -> dict[str, Signals]:
        trials = self.system.trials
        return {name: inferred_signals((self.model,), trials(name)) for name in ("train", "test")}

    def encoded(self) -> BitsPerSpike:
        rates = self.signals["test"].rates * self.system.seen.bin_width_s
        return bits_per_spike(self.system.seen.counts[self.system.trials("test")], rates)

    def masked(self, which: str = "test") -> BitsPerSpike:
        positions, seen = self.system.trials(which), self.system.seen
        counts = seen.counts[positions].astype(float)
        hidden_by = complementary_masks(
            len(positions), N_MASKS, is_encoded=np.ones(seen.n_units, dtype=bool),
            is_encoded_bin=np.ones(seen.n_bins, dtype=bool),
            rng=np.random.Generator(np.random.Philox(0)),
        )  # fmt: skip
        rates = masked_rates(
            counts,
            hidden_by,
            lambda _, hidden: expected_counts_from_visible(self.model, positions, ~hidden),
        )
        return bits_per_spike(counts, rates)

    def read_out(self) -> BitsPerSpike:
        counts, trials = self.system.taken_out.counts, self.system.trials
        rates = regressed(
            self.signals["train"].factors, counts[trials("train")], self.signals["test"].factors
        )
        return bits_per_spike(counts[trials("test")], rates)

    def rates(self) -> TrialScore:
        truth = self.system.seen.true_rates[self.system.trials("test")]
        return true_rate_r2(self.signals["test"].rates, truth)

    def all(self) -> dict[str, TrialScore]:
        scores = (self.encoded, self.masked, self.read_out, self.rates)
        return {score.__name__: score() for score in scores}


def regressed(
    factors: NDArray[np.float32], counts: NDArray[np.int64], others: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Expected counts per bin [B, T, N] at other factors, by Poisson regression per unit."""
    from sklearn.linear_model import PoissonRegressor

    n_factors, n_units = factors.shape[-1], counts.shape[-1]
    rows = factors.reshape(-1, n_factors).astype(float)
    mean, deviation = rows.mean(axis=0), rows.std(axis=0) + 1e-9
    asked = (others.reshape(-1, n_factors) - mean) / deviation
    columns = []
    for unit in counts.reshape(-1, n_units).T:
        regression = PoissonRegressor(alpha=1e-3, solver="newton-cholesky", max_iter=300)
        regression.fit((rows - mean) / deviation, unit.astype(float))
        columns.append(regression.predict(asked))
    return np.stack(columns, axis=-1).reshape(*others.shape[:2], n_units)


def rounded(scores: Mapping[str, TrialScore]) -> dict[str, float]:
    return {name: round(float(score.value), 4) for name, score in scores.items()}


def line_of(model: TrainedModel, scores: Mapping[str, TrialScore]) -> dict[str, object]:
    return {
        "line": model.member,
        "validation_score": model.best_score,
        "coordinated_dropout_rate": float(model.hyperparameters.coordinated_dropout_rate),
        "test": rounded(scores),
    }


def rank_correlations(lines: list[dict]) -> dict[str, float]:
    """Spearman's, over lines, of the validation score (higher: better) with each test score."""
    from scipy.stats import spearmanr

    chosen_by = [-line["validation_score"] for line in lines]
    names = lines[0]["test"]
    return {
        name: round(float(spearmanr(chosen_by, [x["test"][name] for x in lines]).statistic), 3)
        for name in names
    }


def one_arm(run: RunFolder, found: System) -> tuple[dict[str, object], dict[str, TrialScore]]:
    """Every line, the leader after every generation, and the winner's scores."""
    models = [load_model(run, found.seen, member=member) for member in members_of(run)]
    winner = min(models, key=lambda model: model.best_score)
    scored = {model.member: Scored(model, found) for model in models}
    scores = {member: each.all() for member, each in scored.items()}
    masked = {member: float(each.masked("valid").value) for member, each in scored.items()}
    lines = [
        line_of(model, scores[model.member]) | {"masked_valid": round(masked[model.member], 4)}
        for model in models
    ]
    before = [
        as_it_was(winner, kept_path(run.path, generation))
        for generation in range(winner.settings.search.generations - 1)
    ]
    leaders = [line_of(model, Scored(model, found).all()) for model in before]
    winners = scores[winner.member]
    by_masked = max(masked, key=masked.__getitem__)
    result = {
        "lines": lines,
        "leader_after_generation": [*leaders, line_of(winner, winners)],
        "winner": winner.member,
        "winner_by_masked": by_masked,
        "test": {name: with_interval(score) for name, score in winners.items()},
        "encoded_minus_masked": with_interval(Difference(winners["encoded"], winners["masked"])),
        "rank_correlation_with_validation": rank_correlations(lines),
        "regret": {
            name: with_interval(Difference(scores[by_masked][name], winners[name]))
            for name in winners
        },
        "hyperparameters": run.read_record().search["best"]["hyperparameters"],
        **provenance(run),
    }
    return result, winners


def truth(found: System) -> dict[str, float]:
    """What the true rates score on the test trials."""
    parts = {"encoded": found.seen, "read_out": found.taken_out}
    trials = found.trials("test")
    return rounded(
        {
            name: bits_per_spike(part.counts[trials], part.true_rates[trials] * part.bin_width_s)
            for name, part in parts.items()
        }
    )


def kept_result(population: int, generations: int) -> dict[str, object]:
    """What is stored of the same settings, to be added to; else an empty result."""
    result: dict[str, object] = {
        "what": __doc__.splitlines()[0],
        "population": population,
        "generations": generations,
        "settings": _SETTINGS,
        "seeds": {},
    }
    if RESULTS.exists():
        stored = json.loads(RESULTS.read_text())
        same = ("population", "generations", "settings")
        if all(stored.get(name) == result[name] for name in same):
            result["seeds"] = stored["seeds"]
    return result


def of_system(found: System) -> dict[str, object]:
    return {
        "n_units": {"seen": found.seen.n_units, "taken_out": found.taken_out.n_units},
        "n_trials": {name: len(found.trials(name)) for name in ("train", "valid", "test")},
        "truth": truth(found),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/coordinated_dropout"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--population", type=int, default=8)
    parser.add_argument("--generations", type=int, default=6)
    given = parser.parse_args()
    size = {"population": given.population, "generations": given.generations}
    result = kept_result(**size)
    systems = {seed: system(seed) for seed in given.seeds}
    winners: dict[tuple[str, int], dict[str, TrialScore]] = {}
    for arm, seed in itertools.product(ARMS, given.seeds):
        found = systems[seed]
        folder = given.runs / f"{given.population}x{given.generations}" / f"seed_{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        run = ensure_search(
            folder / arm,
            found.seen,
            settings_of(arm, seed, **size),
            watcher=KeptGenerations(folder / arm),
            choice=SpaceChoice(dropped=(RATE,) if arm == "off" else ()),
        )
        before = result["seeds"].get(str(seed), {})
        of_seed = before | of_system(found) | {"arms": before.get("arms", {})}
        of_seed["arms"][arm], winners[arm, seed] = one_arm(run, found)
        if arm == ARMS[-1]:
            of_seed["on_minus_off"] = {
                name: with_interval(Difference(on, winners["off", seed][name]))
                for name, on in winners["on", seed].items()
            }
        result["seeds"][str(seed)] = of_seed
        result["judged"] = {each: judged(result["seeds"], each) for each in ARMS}
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
        print(arm, seed, json.dumps(of_seed["arms"][arm]["test"]), flush=True)


if __name__ == "__main__":
    main()
