"""Sessions in one model against each on its own: chaotic network, maze in halves, one added.

    python benchmarks/sessions.py [--parts stitched added ...] [--n-train 3] [--steps 600]
        [--runs runs/sessions] [--data ../shared/data]

Recipe of the network: 150 conditions, 100 units, 20 observed in each of five sessions (no unit in
two of them), read-ins of size 10; here 5 trials per condition and session (3 train, 1 validates,
1 is test), and 5 of each session's 20 units are held out. Every model gets the same number of
updates and keeps its best epoch by validation; all figures are of test trials, on which nothing is
selected. One seed. Arms and scores were set down before any of it was run; the number of updates
and the sizes were halved for time after two single runs, of which no test score was looked at.
`--n-train 1` (one training trial per condition) was set down after `stitched` had shown a loss.

- `stitched`: five sessions in one model, against five models of one session each (`single`).
- `shuffled`: as stitched, each session's conditions relabelled at random, so that the averages
  that align the sessions belong to different conditions; the network is still the same.
- `strangers`: five sessions of five different networks in one model: nothing is shared, so that
  nothing is to be gained, against a model each. This is the negative control.
- `added`: a sixth session added to the stitched model, everything frozen but its read-in and
  read-out, against a model of its own; also from few trials.
- `maze`: half the units on odd trials, the rest on even trials, as two sessions.

Writes results/sessions.json; resumable.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from resumable import PrintedProgress, ensure_run, finished_run, provenance

from lfads_torch.analysis.metrics.bits_per_spike import bits_per_spike, held_out_entries
from lfads_torch.analysis.metrics.intervals import PairedDifference, TrialScore, trial_bootstrap
from lfads_torch.analysis.metrics.truth import true_rate_r2
from lfads_torch.config.read import read_settings
from lfads_torch.config.tree import Settings
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.recording import Recording
from lfads_torch.data.synthetic.choose import synthesise
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.workflows.fit import resume_run
from lfads_torch.workflows.infer import infer_to_file
from lfads_torch.workflows.sessions.add import AddOptions, add_session
from lfads_torch.workflows.sessions.folder import refresh_sessions

RESULTS = Path(__file__).parent / "results" / "sessions.json"
N_SESSIONS, N_HELD_OUT, BATCH = 5, 5, 64
Scores = dict[str, TrialScore]


def network_session(session: int, *, network: int = 0, n_train: int = 3) -> Recording:
    """A session of a network, its held-out units drawn once."""
    recording = synthesise(
        "chaotic-session", network, session=session, n_trials_per_condition=n_train + 2,
        n_valid_per_condition=1, n_test_per_condition=1,
    )  # fmt: skip
    return with_held_out(
        replace(recording, session=f"network_{network}_session_{session}"), N_HELD_OUT, session
    )


def with_held_out(recording: Recording, n_held_out: int, seed: int) -> Recording:
    is_encoded = np.ones(recording.n_units, dtype=bool)
    rng = np.random.Generator(np.random.Philox(seed))
    is_encoded[rng.choice(recording.n_units, n_held_out, replace=False)] = False
    return recording.with_split(replace(recording.split, is_encoded=is_encoded))


def relabelled(recording: Recording, seed: int) -> Recording:
    """The same trials, the names of the conditions exchanged at random."""
    names = np.unique(recording.condition)
    rng = np.random.Generator(np.random.Philox(1000 + seed))
    return replace(recording, condition=rng.permutation(names)[recording.condition])


def settings_of(recordings: Sequence[Recording], steps: int, **values: object) -> Settings:
    """As many epochs as make this many updates on these recordings."""
    n_train = sum(len(each.split.trials("train")) for each in recordings)
    values = {
        "model.generator_size": 64,
        "model.ic_encoder_size": 40,
        "model.controller_encoder_size": 32,
        "model.controller_size": 32,
        "model.n_factors": 20,
        "model.n_inferred_inputs": 0,
        "model.initial_condition_size": 32,
        "sessions.readin_size": 10 if len(recordings) > 1 else 0,
        "augmentation.dropout_rate": 0.05,
        "training.batch_size": BATCH,
        "training.learning_rate": 0.004,
        "training.epochs": max(1, round(steps / -(-n_train // BATCH))),
        "training.patience": 0,
        "loss.ramp_unit": "steps",
        "loss.kl_ramp_increase": steps // 4,
        "loss.l2_ramp_increase": steps // 4,
        "loss.kl_scale_unit": "beta",
        "loss.kl_initial_condition_scale": 0.1,
        "inference.n_samples": 10,
        "run.threads": 1,
        **{name.replace("__", "."): value for name, value in values.items()},
    }
    return read_settings(None, "small", tuple(f"{name}={value}" for name, value in values.items()))


def scores_of(run: RunFolder, recordings: Sequence[Recording]) -> dict[str, Scores]:
    """Of each session: co-smoothing, and R2 of the true rates where they are known."""
    found = {}
    for own, recording in zip(refresh_sessions(run), recordings, strict=True):
        path = own.path / "rates.nc"
        if not path.exists():
            infer_to_file(own, recording, path, is_new=False)
        found[recording.session] = _scores(path, recording)
    return found


def _scores(path: Path, recording: Recording) -> Scores:
    test = recording.split.trials("test")
    with open_rates(path) as opened:
        rates = opened["rates"].values[test].astype(float)
    counts = recording.counts[test].astype(float)
    every_bin = np.ones(recording.n_bins, dtype=bool)
    held_out = held_out_entries(recording.split.is_encoded, every_bin)
    scores: Scores = {
        "co_smoothing": bits_per_spike(counts, rates * recording.bin_width_s, selection=held_out)
    }
    if recording.true_rates is not None:
        scores["true_rates_r2"] = true_rate_r2(rates, recording.true_rates[test].astype(float))
    return scores


def compared(ours: dict[str, Scores], theirs: dict[str, Scores]) -> dict[str, Any]:
    """Ours less theirs, paired on the trials of each session, and the mean over sessions."""
    found: dict[str, Any] = {}
    for name in next(iter(ours.values())):
        pairs = {
            session: PairedDifference(first=ours[session][name], second=theirs[session][name])
            for session in ours
        }
        each = {session: _interval(pair, n) for n, (session, pair) in enumerate(pairs.items())}
        drawn = np.mean([one["resampled"] for one in each.values()], axis=0)
        value = float(np.mean([one["difference"] for one in each.values()]))
        low, high = np.quantile(drawn - drawn.mean() + value, [0.025, 0.975])
        found[name] = {
            "ours": float(np.mean([scores[name].value for scores in ours.values()])),
            "theirs": float(np.mean([theirs[session][name].value for session in ours])),
            "gain": value,
            "interval_95": [float(low), float(high)],
            "largest_loss": max(0.0, -min(one["difference"] for one in each.values())),
            "sessions": {
                session: {key: one[key] for key in ("difference", "interval_95")}
                | {"ours": ours[session][name].value, "theirs": theirs[session][name].value}
                for session, one in each.items()
            },
        }
    return found


def _interval(pair: PairedDifference, seed: int) -> dict[str, Any]:
    rng = np.random.Generator(np.random.Philox(seed))
    interval = trial_bootstrap(pair, np.random.Generator(np.random.Philox(seed)))
    n = pair.n_trials
    weights = rng.multinomial(n, np.full(n, 1 / n), size=1000).astype(float)
    return {
        "difference": pair.value,
        "interval_95": [interval.low, interval.high],
        "resampled": pair.resample(weights),
    }


def alone(
    runs: Path, recordings: Sequence[Recording], steps: int, **values: object
) -> dict[str, Scores]:
    found: dict[str, Scores] = {}
    for recording in recordings:
        folder = runs / f"single_{recording.session}"
        found |= scores_of(
            ensure_run(folder, recording, settings_of([recording], steps, **values)), [recording]
        )
    return found


def together(
    folder: Path, recordings: Sequence[Recording], steps: int, **values: object
) -> tuple[RunFolder, dict[str, Scores]]:
    run = ensure_run(folder, recordings, settings_of(recordings, steps, **values))
    return run, scores_of(run, recordings)


def network(runs: Path, steps: int, arm: str, n_train: int) -> dict[str, Any]:
    """One of the three arms on the chaotic network."""
    own = [network_session(s, n_train=n_train) for s in range(N_SESSIONS)]
    if arm == "shuffled":
        shown = [relabelled(each, s) for s, each in enumerate(own)]
    elif arm == "strangers":
        own = shown = [network_session(0, network=n, n_train=n_train) for n in range(N_SESSIONS)]
    else:
        shown = own
    theirs = alone(runs, own, steps)
    run, ours = together(runs / arm, shown, steps)
    alignment = json.loads((run.path / "alignment.json").read_text())
    return {
        "scores": compared(ours, theirs),
        "alignment": [
            {
                key: round(each[key], 4)
                for key in ("variance_explained", "variance_explained_shuffled")
            }
            for each in alignment["sessions"]
        ],
        "updates": run.metrics.read()[-1]["step"],
        **provenance(run),
    }


def added(runs: Path, steps: int, n_train: int) -> dict[str, Any]:
    """A sixth session added to the stitched model, with all and with 45 of its trials."""
    stitched = [network_session(s, n_train=n_train) for s in range(N_SESSIONS)]
    whole, _ = together(runs / "stitched", stitched, steps)
    for own, recording in zip(refresh_sessions(whole), stitched, strict=True):
        if not own.rates_path.exists():
            infer_to_file(own, recording, own.rates_path, is_new=False)
    new = network_session(N_SESSIONS, n_train=n_train)
    theirs = alone(runs, [new], steps)
    found: dict[str, Any] = {}
    for name, n_trials in (("all_trials", None), ("45_trials", 45)):
        folder = runs / f"added_{name}"
        epochs = settings_of([few(new, n_trials)], steps).training.epochs
        if not RunFolder.is_run(folder):
            add_session(
                whole, new, folder,
                asked=AddOptions(overrides=(f"training.epochs={epochs}",), n_trials=n_trials),
                observer=PrintedProgress(folder.name),
            )  # fmt: skip
        elif RunFolder.open(folder).can_resume:
            resume_run(folder, observer=PrintedProgress(folder.name))
        run = finished_run(RunFolder.open(folder))
        found[name] = {
            "scores": compared(scores_of(run, [new]), theirs),
            "updates": run.metrics.read()[-1]["step"],
            **provenance(run),
        }
    return found


def few(recording: Recording, n_trials: int | None) -> Recording:
    """With that many training trials: only their number is used."""
    if n_trials is None:
        return recording
    trial_set = recording.split.trial_set.copy()
    trial_set[recording.split.trials("train")[n_trials:]] = "unused"
    return recording.with_split(replace(recording.split, trial_set=trial_set))


def maze(runs: Path, steps: int, data: Path) -> dict[str, Any]:
    """Half the units on odd trials, the rest on even trials; no trial and no unit in both."""
    whole = read_recording(data / "mc_maze_large_subset.h5")
    halves = maze_halves(whole)
    values = {"model__n_inferred_inputs": 2, "sessions__readin_size": 0}
    theirs = alone(runs, halves, steps, **values)
    values["sessions__readin_size"] = 20
    run, ours = together(runs / "maze", halves, steps, **values)
    return {
        "scores": compared(ours, theirs),
        "updates": run.metrics.read()[-1]["step"],
        **provenance(run),
    }


def maze_halves(whole: Recording) -> list[Recording]:
    from lfads_torch.data.settings import SplitSettings
    from lfads_torch.data.splitting import split_recording

    settings = SplitSettings(valid_fraction=0.2, test_fraction=0.2, held_out_fraction=0.25)
    units = np.random.Generator(np.random.Philox(0)).permutation(whole.n_units)
    halves = []
    for n, name in enumerate(("even", "odd")):
        chosen = np.sort(units[n::2])
        part = replace(whole, split=None).take_trials(np.arange(n, whole.n_trials, 2))
        part = replace(part.take_units(chosen), session=f"maze_{name}")
        halves.append(part.with_split(split_recording(part, settings)))
    return halves


def store(name: str, result: dict[str, Any]) -> None:
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    before["what"] = "test trials; ours less theirs, paired trial bootstrap, mean over sessions"
    before[name] = result
    RESULTS.write_text(json.dumps(before, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/sessions"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--n-train", type=int, default=3, help="training trials per condition")
    parser.add_argument("--parts", nargs="+", default=None)
    given = parser.parse_args()
    runs, steps, n_train = given.runs / f"n_train_{given.n_train}", given.steps, given.n_train
    parts: dict[str, Callable[[], dict[str, Any]]] = {
        arm: lambda arm=arm: network(runs, steps, arm, n_train)
        for arm in ("stitched", "shuffled", "strangers")
    }
    parts["added"] = lambda: added(runs, steps, n_train)
    parts["maze"] = lambda: maze(given.runs / "maze", steps, given.data)
    for name in given.parts or parts:
        result = parts[name]()
        print(name, json.dumps(result, indent=1), flush=True)
        store(name if n_train == 3 or name == "maze" else f"{name}_few", result)


if __name__ == "__main__":
    main()
