"""Sessions in one model against each on its own: chaotic network, maze in halves, one added.

    python benchmarks/sessions.py [--parts stitched added ...] [--networks 0 1 2] [--n-train 1]
        [--updates 3000] [--runs runs/sessions] [--data ../shared/data]

Recipe of a network: 150 conditions, 100 units, 20 observed in each of five sessions (no unit in
two of them), read-ins of size 10; in bins of 20 ms (two steps of the network). Of each condition
and session `--n-train` trials train, 1 validates and 1 is test; 5 of each session's 20 units are
held out. Network k has model seed k. All figures are of test trials, on which nothing is selected.

Protocol, the same for every model: batches of 64 trials (mixed: of all sessions), at most 3000
updates, learning rate 4e-3, ramps over the first 400 updates; training ends early where the
validation score has not fallen for 800 updates, and the best epoch by validation is kept. It was
set down from validation scores of another network (10, one single model and one of five sessions,
1500 updates): with one training trial per condition the single model is at its best after some 650
updates and overfits from then on, also at a higher rate (1e-2: earlier, and not as low), while the
stitched one still falls after 1500. So single models end sooner; what is kept of them would be the
same with all 3000 updates, unless a later epoch were better. Mixed batches, read-ins of size 10 and
their start are as by default: nothing else was tried. Earlier runs had 612 updates, ramps of 150
and 3 training trials per condition, and nothing had converged.

- `stitched`: five sessions in one model, against five models of one session each (`alone`).
- `shuffled`: as stitched, each session's conditions relabelled at random, so that the averages
  that align the sessions belong to different conditions; the network is still the same.
- `strangers`: five sessions of five different networks in one model: nothing is shared, so that
  nothing is to be gained, against a model each. This is the negative control.
- `added`: a sixth session added to the stitched model, everything frozen but its read-in and
  read-out, against a model of its own; also from few trials.
- `maze`: half the units on odd trials, the rest on even trials, as two sessions; with the sizes and
  ramps above, where 49 trials make one step an epoch and a model of one half is overfit before its
  ramps are over, and with the settings of lfads-torch for this recording (bins of 5 ms, any epoch
  can be the best, patience of 40 epochs). The latter was added after the former's test scores of
  single models had been below 0.

Writes results/sessions.json; resumable.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from resumable import PrintedProgress, ensure_run, finished_run, provenance

from lfads_torch.analysis.metrics.bits_per_spike import bits_per_spike, held_out_entries
from lfads_torch.analysis.metrics.intervals import PairedDifference, TrialScore, trial_bootstrap
from lfads_torch.analysis.metrics.truth import true_rate_r2
from lfads_torch.config.read import read_settings
from lfads_torch.config.tree import Settings
from lfads_torch.data.binning import rebin
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
BINS_JOINED, RAMP, PATIENCE = 2, 400, 800  # the latter two in updates
ARMS = ("shuffled", "strangers", "added", "maze")
Scores = dict[str, TrialScore]


def network_session(session: int, *, network: int = 0, n_train: int = 1) -> Recording:
    """A session of a network, its held-out units drawn once."""
    recording = synthesise(
        "chaotic-session", network, session=session, n_trials_per_condition=n_train + 2,
        n_valid_per_condition=1, n_test_per_condition=1,
    )  # fmt: skip
    named = replace(recording, session=f"network_{network}_session_{session}")
    return with_held_out(rebin(named, BINS_JOINED), N_HELD_OUT, session)


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


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What all models of one arm have in common."""

    updates: int = 3000
    seed: int = 0
    preset: str = "small"  # another one: its own sizes, ramps and epochs


def settings_of(recordings: Sequence[Recording], protocol: Protocol, **values: object) -> Settings:
    """With as many epochs as make these updates on these recordings."""
    if protocol.preset != Protocol.preset:
        own = {"training.patience": 40, "run.threads": 1, "run.seed": protocol.seed}
        return _settings(protocol.preset, own, values)
    n_train = sum(len(each.split.trials("train")) for each in recordings)
    an_epoch = -(-n_train // BATCH)
    own = {
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
        "training.epochs": max(1, round(protocol.updates / an_epoch)),
        "training.patience": max(1, round(PATIENCE / an_epoch)),
        "loss.ramp_unit": "steps",
        "loss.kl_ramp_increase": RAMP,
        "loss.l2_ramp_increase": RAMP,
        "loss.kl_scale_unit": "beta",
        "loss.kl_initial_condition_scale": 0.1,
        "inference.n_samples": 10,
        "run.threads": 1,
        "run.seed": protocol.seed,
    }
    return _settings(protocol.preset, own, values)


def _settings(preset: str, own: Mapping[str, object], given: Mapping[str, object]) -> Settings:
    values = {**own, **{name.replace("__", "."): value for name, value in given.items()}}
    return read_settings(None, preset, tuple(f"{name}={value}" for name, value in values.items()))


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
    runs: Path, recordings: Sequence[Recording], protocol: Protocol, **values: object
) -> tuple[dict[str, Scores], list[int]]:
    """Scores of a model of each, and the updates that each took."""
    found: dict[str, Scores] = {}
    updates = []
    for recording in recordings:
        settings = settings_of([recording], protocol, **values)
        run = ensure_run(runs / f"alone_{recording.session}", recording, settings)
        found |= scores_of(run, [recording])
        updates.append(_updates(run))
    return found, updates


def together(
    folder: Path, recordings: Sequence[Recording], protocol: Protocol, **values: object
) -> tuple[RunFolder, dict[str, Scores]]:
    run = ensure_run(folder, recordings, settings_of(recordings, protocol, **values))
    return run, scores_of(run, recordings)


def _updates(run: RunFolder) -> int:
    return int(run.metrics.read()[-1]["step"])


def _result(
    run: RunFolder, ours: dict[str, Scores], theirs: dict[str, Scores], updates: list[int]
) -> dict[str, Any]:
    return {
        "scores": compared(ours, theirs),
        "updates": _updates(run),
        "updates_alone": updates,
        **provenance(run),
    }


def network(runs: Path, protocol: Protocol, arm: str, n_train: int) -> dict[str, Any]:
    """One of the three arms on the chaotic network of the protocol's seed."""
    first = protocol.seed
    own = [network_session(s, network=first, n_train=n_train) for s in range(N_SESSIONS)]
    if arm == "shuffled":
        shown = [relabelled(each, s) for s, each in enumerate(own)]
    elif arm == "strangers":
        networks = (first, *range(first + 20, first + 19 + N_SESSIONS))
        own = shown = [network_session(0, network=n, n_train=n_train) for n in networks]
    else:
        shown = own
    run, ours = together(runs / f"{arm}_{first}", shown, protocol)
    theirs, updates = alone(runs, own, protocol)
    alignment = json.loads((run.path / "alignment.json").read_text())
    return _result(run, ours, theirs, updates) | {
        "alignment": [
            {
                key: round(each[key], 4)
                for key in ("variance_explained", "variance_explained_shuffled")
            }
            for each in alignment["sessions"]
        ]
    }


def added(runs: Path, protocol: Protocol, n_train: int) -> dict[str, Any]:
    """A sixth session added to the stitched model, with all and with 45 of its trials."""
    seed = protocol.seed
    stitched = [network_session(s, network=seed, n_train=n_train) for s in range(N_SESSIONS)]
    whole, _ = together(runs / f"stitched_{seed}", stitched, protocol)
    for own, recording in zip(refresh_sessions(whole), stitched, strict=True):
        if not own.rates_path.exists():
            infer_to_file(own, recording, own.rates_path, is_new=False)
    new = network_session(N_SESSIONS, network=seed, n_train=n_train)
    theirs, updates = alone(runs, [new], protocol)
    found: dict[str, Any] = {}
    for name, n_trials in (("all_trials", None), ("45_trials", 45)):
        folder = runs / f"added_{name}_{seed}"
        training = settings_of([few(new, n_trials)], protocol).training
        changes = (f"training.epochs={training.epochs}", f"training.patience={training.patience}")
        if not RunFolder.is_run(folder):
            add_session(
                whole, new, folder,
                asked=AddOptions(overrides=changes, n_trials=n_trials),
                observer=PrintedProgress(folder.name),
            )  # fmt: skip
        elif RunFolder.open(folder).can_resume:
            resume_run(folder, observer=PrintedProgress(folder.name))
        run = finished_run(RunFolder.open(folder))
        found[name] = _result(run, scores_of(run, [new]), theirs, updates)
    return found


def few(recording: Recording, n_trials: int | None) -> Recording:
    """With that many training trials: only their number is used."""
    if n_trials is None:
        return recording
    trial_set = recording.split.trial_set.astype("<U6")
    trial_set[recording.split.trials("train")[n_trials:]] = "unused"
    return recording.with_split(replace(recording.split, trial_set=trial_set))


def maze(runs: Path, protocol: Protocol, data: Path) -> dict[str, Any]:
    """Half the units on odd trials, the rest on even trials; no trial and no unit in both."""
    whole = read_recording(data / "mc_maze_large_subset.h5")
    small = {"model__n_inferred_inputs": 2}
    return {
        "sizes_and_ramps_of_the_networks": _maze_pair(
            runs, maze_halves(rebin(whole, BINS_JOINED)), protocol, readin_size=20, **small
        ),
        "settings_of_lfads-torch": _maze_pair(
            runs / "peer",
            maze_halves(whole),
            replace(protocol, preset="maze_peer"),
            readin_size=20,
        ),
    }


def _maze_pair(
    runs: Path,
    halves: Sequence[Recording],
    protocol: Protocol,
    *,
    readin_size: int,
    **values: object,
) -> dict[str, Any]:
    joint = {"sessions__readin_size": readin_size, **values}
    run, ours = together(runs / f"stitched_{protocol.seed}", halves, protocol, **joint)
    single = {"sessions__readin_size": 0, **values}
    theirs, updates = alone(runs / f"{protocol.seed}", halves, protocol, **single)
    return _result(run, ours, theirs, updates)


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


def store(name: str, seed: int, result: dict[str, Any]) -> None:
    """Under the arm and the network (of the maze: the model seed)."""
    before = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    before["what"] = "test trials; ours less theirs, paired trial bootstrap, mean over sessions"
    before.setdefault(name, {})[str(seed)] = result
    RESULTS.write_text(json.dumps(before, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/sessions"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--updates", type=int, default=Protocol.updates)
    parser.add_argument("--n-train", type=int, default=1, help="training trials per condition")
    parser.add_argument("--networks", type=int, nargs="+", default=[0])
    parser.add_argument("--parts", nargs="+", default=["stitched", *ARMS])
    given = parser.parse_args()
    runs, n_train = given.runs / f"n_train_{given.n_train}", given.n_train
    for seed in given.networks:
        protocol = Protocol(updates=given.updates, seed=seed)
        for name in given.parts:
            if name == "maze":
                result = maze(given.runs / "maze", protocol, given.data)
            elif name == "added":
                result = added(runs, protocol, n_train)
            else:
                result = network(runs, protocol, name, n_train)
            print(
                name,
                seed,
                json.dumps(result.get("scores", result), indent=1),
                flush=True,
            )
            store(name if n_train == 1 or name == "maze" else f"{name}_{n_train}", seed, result)


if __name__ == "__main__":
    main()
