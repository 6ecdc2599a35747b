"""Chop, train, merge: rates of a whole continuous session, and what they say of hand velocity.

    python benchmarks/continuous.py [--data ../shared/data] [--runs runs/continuous] [--causal]

Area 2 of somatosensory cortex, random-target reaching, 50 ms bins. The session is chopped with
overlap, divided in blocks of time with gaps of at least a chop, and the merged rates are decoded:
velocity at a bin from rates (or smoothed spikes) at bins around it. Width of the smoothing, lag,
penalty and decoder are chosen on validation bins; test bins are scored once. A lag is positive
where behaviour follows the rates: velocity(t + lag) from rates(t).

Causal against causal: rates of a causal model, or spikes smoothed with the past alone, at bins up
to the one decoded. Writes results/continuous.json; resumable.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from resumable import ensure_rates, ensure_run, provenance
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter

from lfads_torch.config.read import read_settings
from lfads_torch.data.chopping import ChopLengths
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.prepare import PrepareOptions, prepare_recording
from lfads_torch.data.recording import Recording
from lfads_torch.data.splitting import split_recording
from lfads_torch.outputs.merged_file import open_merged, write_merged
from lfads_torch.outputs.run_folder import RunFolder

RESULTS = Path(__file__).parent / "results" / "continuous.json"
CHOP, OVERLAP = ChopLengths(length=30, overlap=10), 10
MAX_LAG = 5  # bins of 50 ms: 250 ms
WIDTHS_S = (0.0, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4)
ALPHAS = np.logspace(-3, 5, 17)
SIZES = {
    "model.ic_encoder_size": 48,
    "model.controller_encoder_size": 32,
    "model.controller_size": 32,
    "model.generator_size": 64,
    "model.n_factors": 16,
    "model.n_inferred_inputs": 2,
    "model.initial_condition_size": 32,
    "training.batch_size": 128,
    "training.epochs": 250,
    "training.patience": 40,
    "loss.kl_ramp_increase": 40,
    "loss.l2_ramp_increase": 40,
    "inference.n_samples": 20,
    "split.method": "blocks",
    "split.valid_fraction": 0.15,
    "split.test_fraction": 0.2,
    "run.threads": 1,
    "run.preset": "small",
}


@dataclass(frozen=True)
class Session:
    """What is decoded, bin by bin, and which bins serve for what."""

    velocity: np.ndarray  # [bin, 2], mm/s
    sets: dict[str, np.ndarray]  # name -> [bin] booleans

    @property
    def n_bins(self) -> int:
        return len(self.velocity)


@dataclass(frozen=True)
class Decoder:
    """Which bins of a signal are read (offsets from the decoded one), and how it was chosen."""

    name: str
    offsets: tuple[int, ...]


def lagged(signal: np.ndarray, offsets: tuple[int, ...]) -> np.ndarray:
    """Columns of the signal at t + offset for each offset; NaN beyond the session's ends."""
    columns = []
    for offset in offsets:
        moved = np.full_like(signal, np.nan, dtype=float)
        stop = len(signal) - offset
        if offset >= 0:
            moved[:stop] = signal[offset:]
        else:
            moved[-offset:] = signal[:offset]
        columns.append(moved)
    return np.concatenate(columns, axis=1)


def r2(target: np.ndarray, prediction: np.ndarray) -> float:
    """Mean over dimensions of the coefficient of determination."""
    error = ((target - prediction) ** 2).sum(0)
    return float((1 - error / ((target - target.mean(0)) ** 2).sum(0)).mean())


def decode(signal: np.ndarray, session: Session, offsets: tuple[int, ...]) -> dict[str, object]:
    """Ridge, penalty by the validation bins; the prediction of test bins goes along."""
    x = lagged(signal, offsets)
    known = np.isfinite(x).all(1) & np.isfinite(session.velocity).all(1)
    rows = {name: known & chosen for name, chosen in session.sets.items()}
    mean, scale = x[rows["train"]].mean(0), x[rows["train"]].std(0) + 1e-9
    centre = session.velocity[rows["train"]].mean(0)
    train = (x[rows["train"]] - mean) / scale
    values, vectors = np.linalg.eigh(train.T @ train)
    projected = vectors.T @ (train.T @ (session.velocity[rows["train"]] - centre))
    best = None
    for alpha in ALPHAS:
        weights = vectors @ (projected / (np.maximum(values, 0) + alpha)[:, None])
        predicted = ((x[rows["valid"]] - mean) / scale) @ weights + centre
        score = r2(session.velocity[rows["valid"]], predicted)
        if best is None or score > best["valid"]:
            test = ((x[rows["test"]] - mean) / scale) @ weights + centre
            best = {"valid": score, "alpha": float(alpha), "prediction": test}
    best["rows"] = rows["test"]
    best["test"] = r2(session.velocity[rows["test"]], best["prediction"])
    return best


def causal_filter(counts: np.ndarray, width_bins: float) -> np.ndarray:
    """Exponential smoothing with the past alone; its mean delay is `width_bins`."""
    keep = width_bins / (1 + width_bins)
    return lfilter([1 - keep], [1, -keep], counts, axis=0)


def smoothed(counts: np.ndarray, width_s: float, bin_width_s: float, *, causal: bool) -> np.ndarray:
    if width_s == 0:
        return counts.astype(float)
    if causal:
        return causal_filter(counts.astype(float), width_s / bin_width_s)
    return gaussian_filter1d(counts.astype(float), width_s / bin_width_s, axis=0)


def chosen(candidates: list[tuple[dict[str, object], dict[str, object]]]) -> dict[str, object]:
    """The candidate with the best validation R2, with how it was made."""
    how, found = max(candidates, key=lambda each: each[1]["valid"])
    return {**how, **found}


def arms(
    signals: list[tuple[dict[str, object], np.ndarray]], session: Session, *, causal: bool
) -> dict[str, dict[str, object]]:
    """One lag chosen, and all lags at once, of whichever signal validates best."""
    lags = range(-MAX_LAG, 1) if causal else range(-MAX_LAG, MAX_LAG + 1)
    single = [
        ({**how, "lag_ms": -50 * offset}, decode(signal, session, (offset,)))
        for how, signal in signals
        for offset in lags
    ]
    window = [(how, decode(signal, session, tuple(lags))) for how, signal in signals]
    return {"one lag": chosen(single), "all lags": chosen(window)}


def curve(signal: np.ndarray, session: Session) -> dict[str, float]:
    """Validation R2 by lag in ms (positive: behaviour follows)."""
    lags = range(-MAX_LAG, MAX_LAG + 1)
    return {
        str(-50 * offset): round(decode(signal, session, (offset,))["valid"], 4)
        for offset in reversed(lags)
    }


def difference(first: dict, second: dict, session: Session, *, seed: int = 0) -> dict[str, object]:
    """Test R2 of the first minus the second, with a bootstrap over stretches of 10 s."""
    rows = first["rows"] & second["rows"]
    place = np.flatnonzero(rows)
    target = session.velocity[rows]
    both = [each["prediction"][rows[each["rows"]]] for each in (first, second)]
    stretch = place // 200
    labels, position = np.unique(stretch, return_inverse=True)
    rng = np.random.Generator(np.random.Philox(seed))
    sums = [
        np.stack([np.bincount(position, (target - p)[:, d] ** 2) for d in range(2)], 1)
        for p in both
    ]
    count = np.bincount(position)
    total = np.stack([np.bincount(position, target[:, d]) for d in range(2)], 1)
    square = np.stack([np.bincount(position, target[:, d] ** 2) for d in range(2)], 1)
    found = []
    for _ in range(2000):
        weight = np.bincount(rng.integers(0, len(labels), len(labels)), minlength=len(labels))
        variance = weight @ square - (weight @ total) ** 2 / (weight @ count)
        found.append(((weight @ sums[1] - weight @ sums[0]) / variance).mean())
    low, high = np.quantile(found, [0.025, 0.975])
    return {
        "difference": round(r2(target, both[0]) - r2(target, both[1]), 4),
        "interval_95": [round(float(low), 4), round(float(high), 4)],
        "n_stretches_of_10_s": len(labels),
    }


def plain(arm: dict[str, object]) -> dict[str, object]:
    kept = {key: value for key, value in arm.items() if key not in ("prediction", "rows")}
    return {key: round(v, 4) if isinstance(v, float) else v for key, v in kept.items()}


def chopped(data: Path) -> Recording:
    options = PrepareOptions(
        chop_s=CHOP.length * 0.05,
        chop_overlap_s=OVERLAP * 0.05,
        read=ReadOptions(counts="spikes"),
    )
    return prepare_recording(data / "s1_area2_continuous.h5", options)


def merged_rates(run: RunFolder, recording: Recording, member: int) -> tuple[np.ndarray, Path]:
    path = run.path / f"merged_of_member_{member}.nc"
    if not path.exists():
        write_merged(ensure_rates(run, recording, member), path)
    with open_merged(path) as merged:
        return merged["rates"].values.astype(float), path


def session_of(data: Path, merged_path: Path) -> tuple[Session, np.ndarray, float]:
    """Velocity, counts and the sets of bins, by which all arms are fitted and scored."""
    import h5py

    with h5py.File(data / "s1_area2_continuous.h5") as file:
        counts, velocity = file["spikes"][()], file["hand_velocity"][()].astype(float)
        width = float(file.attrs["bin_width_s"])
    with open_merged(merged_path) as merged:
        of_bin = merged["bin_set"].values
    sets = {name: of_bin == name for name in ("train", "valid", "test")}
    return Session(velocity=velocity, sets=sets), counts, width


def one_model(
    data: Path, runs: Path, n_seeds: int, *, causal: dict[str, object] | None
) -> dict[str, object]:
    """Train (or find) one kind of model and compare its rates with smoothed spikes."""
    is_causal = causal is not None
    values = {**SIZES, "run.n_seeds": n_seeds, **(causal or {})}
    settings = read_settings(None, None, tuple(f"{key}={value}" for key, value in values.items()))
    recording = chopped(data)
    recording = recording.with_split(split_recording(recording, settings.split))
    run = ensure_run(runs / ("causal" if is_causal else "acausal"), recording, settings)
    members = [merged_rates(run, recording, member) for member in range(n_seeds)]
    session, counts, width = session_of(data, members[0][1])
    spikes = [
        ({"width_ms": 1000 * each}, smoothed(counts, each, width, causal=is_causal))
        for each in WIDTHS_S
    ]
    of_spikes = arms(spikes, session, causal=is_causal)
    of_models = [arms([({}, rates)], session, causal=is_causal) for rates, _ in members]
    result: dict[str, object] = {
        "n_bins": {name: int(chosen.sum()) for name, chosen in session.sets.items()},
        "n_chops": {
            name: int((recording.split.trial_set == name).sum())
            for name in ("train", "valid", "test", "unused")
        },
        "model_by_lag_validation": curve(members[0][0], session),
        **provenance(run),
    }
    for arm, baseline in of_spikes.items():
        result[arm] = {
            "smoothed spikes": plain(baseline),
            "models": [plain(each[arm]) for each in of_models],
            "model minus smoothed spikes": [
                difference(each[arm], baseline, session) for each in of_models
            ],
        }
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--runs", type=Path, default=Path("runs/continuous"))
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument(
        "--causal", action="append", metavar="SETTING=VALUE",
        help="train and compare a causal model too: the settings that make it so",
    )  # fmt: skip
    given = parser.parse_args()
    if not (given.data / "s1_area2_continuous.h5").exists():
        sys.exit(f"skipped: s1_area2_continuous.h5 is not in {given.data}; say where with --data.")
    result = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    result |= {"what": __doc__.splitlines()[0], "chop_bins": CHOP.length, "overlap_bins": OVERLAP}
    kinds: list[tuple[str, dict[str, object] | None]] = [("acausal", None)]
    if given.causal:
        kinds.append(("causal", dict(each.split("=", 1) for each in given.causal)))
    for name, causal in kinds:
        result[name] = one_model(given.data, given.runs, given.seeds, causal=causal)
        RESULTS.write_text(json.dumps(result, indent=1) + "\n")
        print(json.dumps(result[name]), flush=True)


if __name__ == "__main__":
    main()
