"""Which epoch to keep: rules of selection compared on the same training runs of the maze recording.

    python benchmarks/maze_selection.py [--data ../shared/data] [--runs runs/maze_selection]

Preset `maze_peer`, run seed 100, three members, 64 trials a batch, 160 epochs. Every epoch's
weights are kept, and each rule is applied to the same run, with a patience of 40 epochs after both
ramps. A rule says which entries of the validation trials its score counts (all; held-out units; or,
for exploration and at every eighth epoch, encoded entries while they are hidden from the encoder)
and which epochs may be kept (those after both ramps, or all). Splits:
- `test`: the peer's validation trials are reported and nothing is selected on them.
- `split_1` to `split_3`: trials and held-out units drawn anew, reported on test trials as well.
- `published`: the peer's split, selected and reported on the same validation trials.

Writes results/maze_selection.json; resumable.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from epoch_measures import measures_of
from epoch_weights import TrainedEpochs, ensure_epochs
from maze_single import scores, settings_of_the_peer, summary, with_test_set
from numpy.typing import NDArray
from tree import sources

from lfads_torch.analysis.metrics.intervals import ScorePair, TrialScore, compare_paired
from lfads_torch.config.read import read_settings
from lfads_torch.config.resolve import resolve
from lfads_torch.config.sizes import sizes_of
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.recording import Recording, Split
from lfads_torch.data.split_file import read_split
from lfads_torch.data.splitting import split_recording
from lfads_torch.outputs.posterior import PosteriorOptions, posterior_averages
from lfads_torch.outputs.run_record import library_versions, machine_text, now_text
from lfads_torch.workflows.assemble import Assembly, assemble

RESULTS = Path(__file__).parent / "results" / "maze_selection.json"
SEED, N_MEMBERS, N_EPOCHS, PATIENCE, N_SAMPLES = 100, 3, 160, 40, 50
DEFAULT = "all, from ramps"


@dataclass(frozen=True)
class Rule:
    """The best smoothed score of these entries, among the epochs that may be kept."""

    entries: str
    first: str  # "ramps" or "start"

    @property
    def title(self) -> str:
        return f"{self.entries}, from {self.first}"

    def epochs(
        self, score: NDArray[np.float64], ramps_are_over: NDArray[np.bool_], patience: int
    ) -> NDArray[np.int64]:
        """The epoch that each member keeps, as the training loop chooses it; score is [E, P]."""
        n_members = score.shape[1]
        smoothed, best = np.full(n_members, np.nan), np.full(n_members, np.inf)
        kept, is_stopped = np.full(n_members, -1), np.zeros(n_members, dtype=bool)
        past = settings().training.score_smoothing
        for epoch, (now, is_over) in enumerate(zip(score, ramps_are_over, strict=True)):
            after = np.where(np.isfinite(smoothed), past * smoothed + (1.0 - past) * now, now)
            is_scored = np.isfinite(now) & ~is_stopped
            smoothed = np.where(is_scored, after, smoothed)
            is_best = is_scored & (smoothed < best) & (is_over | (self.first == "start"))
            best, kept = np.where(is_best, smoothed, best), np.where(is_best, epoch, kept)
            has_waited = (epoch - kept >= patience) & (kept >= 0) & is_over
            is_stopped |= has_waited & bool(patience)
        return kept


RULES = tuple(Rule(entries, first) for entries in ("all", "held_out", "masked")
              for first in ("ramps", "start"))  # fmt: skip


def settings():
    base = settings_of_the_peer(N_MEMBERS, 64)
    training = replace(base.training, patience=0, epochs=N_EPOCHS)
    return replace(base, training=training, run=replace(base.run, seed=SEED))


def fresh_split(recording: Recording, seed: int) -> Split:
    """Trials drawn anew, 20 % each for validation and test, and a quarter of the units held out."""
    values = ("valid_fraction=0.2", "test_fraction=0.2", "held_out_fraction=0.25", f"seed={seed}")
    return split_recording(
        recording, read_settings(overrides=tuple(f"split.{each}" for each in values)).split
    )


@dataclass(frozen=True)
class Protocol:
    """What is trained and selected on which trials, and which set is reported."""

    name: str
    split: Split
    which: str


def assembled(recording: Recording) -> Assembly:
    torch.set_num_threads(1)
    resolved = resolve(settings(), sizes_of(recording)).settings
    return assemble(recording, resolved, device=torch.device("cpu"))


class Remembered:
    """A score whose resamplings are computed once per draw of the trials."""

    def __init__(self, score: TrialScore) -> None:
        self._score, self._resampled = score, {}
        self.value, self.n_trials = score.value, score.n_trials

    def resample(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        key = hashlib.sha256(np.ascontiguousarray(weights).tobytes()).digest()
        if key not in self._resampled:
            self._resampled[key] = self._score.resample(weights)
        return self._resampled[key]


def check_against_the_loop(
    trained: TrainedEpochs, measured: dict[str, NDArray], over: NDArray
) -> None:
    """The training loop's own rule without patience must choose here as it did there."""
    from lfads_torch.training.checkpoint import read_clock

    mine = Rule("all", "start").epochs(measured["valid, all"], over, 0)
    theirs = read_clock(trained.state_path, "best_epoch", torch.device("cpu")).numpy()
    if not np.array_equal(mine, theirs):
        sys.exit(f"{trained.folder}: epochs {mine} are best here, and {theirs} in the loop.")


def rates_of(trained: TrainedEpochs, member: int, epoch: int) -> NDArray[np.float64]:
    """Expected counts per bin of every trial, the mean of 50 posterior samples; inferred once."""
    path = trained.folder / "rates" / f"member_{member}_epoch_{epoch:04d}.npy"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        assembly, weights = trained.assembly, trained.state(epoch).weights[member : member + 1]
        options = PosteriorOptions(n_samples=N_SAMPLES, seed=SEED)
        parts = posterior_averages(weights, member, assembly.task, assembly.trials, options)
        np.save(path, np.concatenate([part.mean_counts.numpy() for part in parts]))
    return np.load(path).astype(float)


def one_protocol(protocol: Protocol, recording: Recording, runs: Path) -> tuple[dict, dict]:
    """What is stored of a split, and every rule's scores by member, for the comparison."""
    recording = recording.with_split(protocol.split)
    trained = ensure_epochs(runs / protocol.name, assembled(recording))
    measured = measures_of(trained, protocol.which)
    rows = trained.metrics.read()
    over = np.array([row["ramp_kl"][0] >= 1 and row["ramp_l2"][0] >= 1 for row in rows])
    check_against_the_loop(trained, measured, over)
    found, stored, known = {}, {}, {}
    for rule in RULES:
        kept = rule.epochs(measured[f"valid, {rule.entries}"], over, PATIENCE)
        for member, epoch in enumerate(kept.tolist()):
            if (member, epoch) not in known:
                rates = rates_of(trained, member, epoch)
                fresh = scores(recording, rates, protocol.which)
                known[member, epoch] = {key: Remembered(each) for key, each in fresh.items()}
        by_member = [known[place] for place in enumerate(kept.tolist())]
        found[rule.title] = by_member
        stored[rule.title] = {
            "epochs": kept.tolist(),
            "scores": {
                key: without_peer(summary(key, [each[key] for each in by_member]))
                for key in by_member[0]
            },
        }
    curves = {
        key: [None if np.isnan(each) else round(float(each), 6) for each in value.mean(1)]
        for key, value in measured.items()
    }
    return {
        "set": "validation (used for selection)" if protocol.which == "valid" else "test",
        "n_trials": {s: len(protocol.split.trials(s)) for s in ("train", "valid", protocol.which)},
        "rules": stored,
        "against_default": differences([protocol], {protocol.name: found}, recording),
        "curves": curves,
        "measured": now_text(),
        "machine": machine_text(),
        "versions": library_versions(),
        **sources(),
        "training_s": round(sum(float(row["seconds"]) for row in rows), 1),
    }, found


def without_peer(entry: dict[str, Any]) -> dict[str, Any]:
    """The peer's figures are of one of these splits only; the page shows them there."""
    return {key: value for key, value in entry.items() if key != "peer"}


def differences(protocols: list[Protocol], found: dict, recording: Recording) -> dict[str, Any]:
    """Every rule minus the default one, paired by trials, seeds and splits."""
    keys = list(next(iter(found.values()))[DEFAULT][0])
    return {
        rule.title: {key: difference(rule, key, protocols, found, recording) for key in keys}
        for rule in RULES
        if rule.title != DEFAULT
    }


def difference(
    rule: Rule, key: str, protocols: list[Protocol], found: dict, recording: Recording
) -> dict[str, Any]:
    pairs = [
        ScorePair(
            split=protocol.name,
            seed=member,
            trial_ids=recording.trial_ids[protocol.split.trials(protocol.which)],
            first=found[protocol.name][rule.title][member][key],
            second=found[protocol.name][DEFAULT][member][key],
        )
        for protocol in protocols
        for member in range(N_MEMBERS)
    ]
    compared = compare_paired(pairs, np.random.Generator(np.random.Philox(0)))
    return {
        "difference": round(compared.difference.value, 4),
        "interval_95": [round(compared.difference.low, 4), round(compared.difference.high, 4)],
        "seeds": [round(float(value), 4) for value in compared.differences],
        "verdict": compared.verdict.replace("first", "rule").replace("second", "default"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/maze_selection"))
    parser.add_argument("--splits", type=int, default=3, help="splits drawn anew")
    given = parser.parse_args()
    path = given.data / "mc_maze_large_subset.h5"
    if not path.exists():
        sys.exit(f"skipped: {path} is not there; say where the recordings are with --data.")
    recording = read_recording(path)
    peer = read_split(given.data / "mc_maze_large_subset_split.json", recording)
    fresh = range(1, given.splits + 1)
    protocols = [
        Protocol("test", with_test_set(peer), "test"),
        Protocol("published", peer, "valid"),
        *(Protocol(f"split_{seed}", fresh_split(recording, seed), "test") for seed in fresh),
    ]
    result: dict[str, Any] = {"what": __doc__.splitlines()[0], "seed": SEED, "patience": PATIENCE}
    found: dict[str, Any] = {}
    for protocol in protocols:
        result[protocol.name], found[protocol.name] = one_protocol(protocol, recording, given.runs)
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
        print(protocol.name, json.dumps(result[protocol.name]["rules"]), flush=True)
    honest = [protocol for protocol in protocols if protocol.which == "test"]
    result["test_sets_together"] = {
        "splits": [each.name for each in honest],
        "against_default": differences(honest, found, recording),
    }
    RESULTS.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
