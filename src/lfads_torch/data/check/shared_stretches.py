"""Stretches of counts that trials of different sets have in common, wherever in them they lie.

Chops of one recording that overlap hold the same bins at different places. Every bin becomes a
hash of its counts, every run of a few bins a hash of those, and equal ones are looked up: the cost
grows with the number of bins, not of pairs of trials.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.check.context import CheckContext
from lfads_torch.data.check.report import Finding
from lfads_torch.data.recording import TEST, TRAIN, VALID, Recording

__all__ = ["SharedStretch", "check_shared_stretches", "shared_stretches"]

SPARE_BITS = 24  # beyond those that make a chance match unlikely among all pairs of runs
FEWEST_ENTRIES = 10  # above 0 in a run: silence matches silence
LONGEST_SHARE = 0.5  # of a trial; sets that share less than a run of this length are not found
VALUES_AT_ONCE = 2**22
BINS_AT_MOST = 2**24  # of a recording that is read by trial: what they need is about 50 bytes each
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)  # odd, so that powers of it stay distinct


@dataclass(frozen=True, kw_only=True)
class SharedStretch:
    """A run of bins that is in two trials of different sets."""

    trials: tuple[int, int]  # positions
    starts: tuple[int, int]  # bins
    n_bins: int


def check_shared_stretches(context: CheckContext) -> list[Finding]:
    """Trials of different sets that hold the same bins: overlapping chops that were divided."""
    if context.split is None or context.recording.n_trials < 2:
        return []
    recording = context.recording
    if recording.in_file is not None and recording.n_trials * recording.n_bins > BINS_AT_MOST:
        return [_not_looked_for(recording)]
    found = shared_stretches(recording.counts, context.split.trial_set)
    # Whole copies are reported by `check_copies`.
    found = [each for each in found if each.n_bins < recording.n_bins]
    if not found:
        return []
    ids, sets = recording.trial_ids, context.split.trial_set
    first = found[0]
    n_held = len({each.trials[1] for each in found})
    places = " and ".join(
        f"bins {start} to {start + first.n_bins - 1} of trial {ids[trial]} ({sets[trial]})"
        for trial, start in zip(first.trials, first.starts, strict=True)
    )
    return [
        Finding(
            severity="warning",
            code="overlap_leak",
            message=f"Trials that share bins with trials of another set: {n_held}; e.g. {places} "
            "are the same counts. What validates or tests has trained.",
            remedy="Divide them in blocks of time with gaps (`lfads split FILE --method blocks`, "
            "or split.method=blocks), or cut the session anew with `lfads prepare --chop`, which "
            "then does so by itself; scores of this split mean nothing.",
        )
    ]


def _not_looked_for(recording: Recording) -> Finding:
    return Finding(
        severity="note",
        code="overlap_not_looked_for",
        message=f"The recording is read by trial and has {recording.n_trials * recording.n_bins} "
        "bins, too many to be compared with each other: whether trials of different sets share "
        "bins is not known.",
        remedy="If trials were cut from a continuous recording with overlap, divide them in "
        "blocks of time (`lfads split FILE --method blocks`).",
    )


def shared_stretches(counts: NDArray[Any], sets: NDArray[np.str_]) -> list[SharedStretch]:
    """One stretch for each trial that tests or validates and shares bins with another set.

    A shared run is found where it is long enough to be no chance match, given how often each value
    of each unit occurs, and has ten entries above 0; missing entries match nothing. Counts are
    compared before anything is reported.
    """
    length = _run_length(counts)
    if length is None:
        return []
    rows, active, is_whole = _hash_bins(counts)
    runs = _hash_runs(rows, length)
    window = _sums(active, length) >= FEWEST_ENTRIES
    usable = window & (_sums(~is_whole, length) == 0)
    found: dict[int, SharedStretch] = {}
    for held, others in ((TEST, (TRAIN, VALID)), (VALID, (TRAIN,))):
        mine, theirs = sets == held, np.isin(sets, others)
        for pair in _equal_runs(runs, usable, theirs, mine):
            if pair.trials[1] in found:
                continue
            grown = _grown(counts, pair, length)
            if grown is not None:
                found[pair.trials[1]] = grown
    return list(found.values())


def _run_length(counts: NDArray[Any]) -> int | None:
    """Bins of a run that two unrelated trials share by chance in none of all pairs; None: too long.

    Two entries of a unit are equal with probability `sum_k p_k^2`.
    """
    n_trials, n_bins, n_units = counts.shape
    sample = np.asarray(counts[:: max(1, n_trials // 200)]).reshape(-1, n_units)
    bits = 0.0
    for unit in range(n_units):
        values = sample[:, unit]
        present = values[~np.isnan(values)] if values.dtype.kind == "f" else values
        if len(present):
            shares = np.unique(present, return_counts=True)[1] / len(present)
            bits -= float(np.log2((shares**2).sum()))
    if bits <= 0:
        return None
    needed = 2 * np.log2(max(n_trials * n_bins, 2)) + SPARE_BITS
    length = max(3, int(np.ceil(needed / bits)))
    return length if length <= max(3, LONGEST_SHARE * n_bins) and length <= n_bins else None


def _hash_bins(
    counts: NDArray[Any],
) -> tuple[NDArray[np.uint64], NDArray[np.int64], NDArray[np.bool_]]:
    """Hash, entries above 0 and whether all entries are present, of every bin, [B, L]."""
    n_trials, n_bins, n_units = counts.shape
    rng = np.random.Generator(np.random.Philox(0))
    factors = rng.integers(0, 2**63, n_units, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    hashes = np.zeros((n_trials, n_bins), dtype=np.uint64)
    active = np.zeros((n_trials, n_bins), dtype=np.int64)
    is_whole = np.ones((n_trials, n_bins), dtype=bool)
    at_once = max(1, VALUES_AT_ONCE // (n_bins * n_units))
    for start in range(0, n_trials, at_once):
        block = np.asarray(counts[start : start + at_once])
        rows = slice(start, start + len(block))
        active[rows] = (block > 0).sum(axis=2)
        if block.dtype.kind == "f":
            is_whole[rows] = ~np.isnan(block).any(axis=2)
            bits = (block.astype(np.float64) + 0.0).view(np.uint64)
        else:
            bits = block.astype(np.int64).view(np.uint64)
        mixed = (bits ^ (bits >> np.uint64(29))) * _MULTIPLIER
        hashes[rows] = ((mixed ^ (mixed >> np.uint64(32))) * factors).sum(axis=2, dtype=np.uint64)
    return hashes, active, is_whole


def _hash_runs(rows: NDArray[np.uint64], length: int) -> NDArray[np.uint64]:
    """Hash of every run of bins, [B, L - length + 1]; the order within a run counts."""
    n_runs = rows.shape[1] - length + 1
    runs = np.zeros((len(rows), n_runs), dtype=np.uint64)
    for place in range(length):
        runs = runs * _MULTIPLIER + rows[:, place : place + n_runs]
    return runs


def _sums(values: NDArray[Any], length: int) -> NDArray[np.int64]:
    """The sum over every run, [B, L - length + 1]."""
    total = np.pad(np.cumsum(values, axis=1, dtype=np.int64), ((0, 0), (1, 0)))
    return np.asarray(total[:, length:] - total[:, :-length])


def _equal_runs(
    runs: NDArray[np.uint64],
    usable: NDArray[np.bool_],
    theirs: NDArray[np.bool_],
    mine: NDArray[np.bool_],
) -> list[SharedStretch]:
    """For each of my trials its first run that one of theirs has too."""
    trial, start = np.nonzero(usable & theirs[:, None])
    known = runs[trial, start]
    order = np.argsort(known, kind="stable")
    known, trial, start = known[order], trial[order], start[order]
    own_trial, own_start = np.nonzero(usable & mine[:, None])
    wanted = runs[own_trial, own_start]
    if not len(known) or not len(wanted):
        return []
    place = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    hits = np.flatnonzero(known[place] == wanted)
    first = hits[np.unique(own_trial[hits], return_index=True)[1]]
    return [
        SharedStretch(
            trials=(int(trial[place[hit]]), int(own_trial[hit])),
            starts=(int(start[place[hit]]), int(own_start[hit])),
            n_bins=0,
        )
        for hit in first
    ]


def _grown(counts: NDArray[Any], pair: SharedStretch, length: int) -> SharedStretch | None:
    """The whole stretch around a run; None where only the hashes are equal."""
    (one, other), (a, b) = pair.trials, pair.starts
    back = min(a, b)
    left, right = np.asarray(counts[one, a - back :]), np.asarray(counts[other, b - back :])
    n_bins = min(len(left), len(right))
    same = (left[:n_bins] == right[:n_bins]).all(axis=1)
    if not same[back : back + length].all():
        return None
    before = int(np.argmin(same[:back][::-1])) if not same[:back].all() else back
    after = same[back:]
    size = int(np.argmin(after)) if not after.all() else len(after)
    return SharedStretch(trials=pair.trials, starts=(a - before, b - before), n_bins=before + size)
