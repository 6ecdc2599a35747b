"""Splits that can't serve, or let the same data train and validate."""

from __future__ import annotations

import hashlib

import numpy as np

from lfads_torch.data.check.context import CheckContext
from lfads_torch.data.check.report import Finding, listed
from lfads_torch.data.recording import TEST, TRAIN, VALID

__all__ = ["check_copies", "check_overlap", "check_sets"]

FEWEST_SPIKES = 10  # two trials with fewer can be equal by chance
PAIRS_AT_MOST = 50


def check_sets(context: CheckContext) -> list[Finding]:
    """Empty sets, an encoder without units, conditions that only validation knows."""
    split = context.split
    if split is None:
        return []
    findings = [
        Finding(
            severity="error",
            code="empty_set",
            message=f"The {name} set of the split has no trial.",
            remedy="Draw another split (`lfads split`), with at least one trial in each set.",
        )
        for name in (TRAIN, VALID)
        if not len(split.trials(name))
    ]
    if not split.is_encoded.any():
        findings.append(
            Finding(
                severity="error",
                code="no_encoded_units",
                message=f"All {len(split.is_encoded)} units are held out: nothing for the encoder.",
                remedy="Lower split.held_out_fraction, or name fewer held-out units.",
            )
        )
    condition = context.recording.condition
    if condition is not None and not findings:
        known = np.unique(condition[split.trials(TRAIN)])
        unseen = sorted(set(condition[split.trials(VALID)].tolist()) - set(known.tolist()))
        if unseen:
            findings.append(
                Finding(
                    severity="note",
                    code="unseen_conditions",
                    message=f"Conditions that validate but never train: {len(unseen)} "
                    f"({listed(unseen)}).",
                    remedy="Intended for generalisation; otherwise use split.method = "
                    '"stratified".',
                )
            )
    return findings


def check_copies(context: CheckContext) -> list[Finding]:
    """Trials with exactly the same counts."""
    trials_of: dict[bytes, list[int]] = {}
    has_spikes = context.statistics.sums.sum(axis=1) >= FEWEST_SPIKES
    for trial, counts in enumerate(context.recording.counts):
        if has_spikes[trial]:
            digest = hashlib.blake2b(np.ascontiguousarray(counts).tobytes()).digest()
            trials_of.setdefault(digest, []).append(trial)
    copies = [trials for trials in trials_of.values() if len(trials) > 1]
    if not copies:
        return []
    sets = context.split.trial_set if context.split is not None else None
    used = (TRAIN, VALID, TEST)
    leaks = [
        trials
        for trials in copies
        if sets is not None and len({str(name) for name in sets[trials] if name in used}) > 1
    ]
    shown = leaks or copies
    pairs = listed(
        [" = ".join(map(str, context.trial_ids(np.array(one)))) for one in shown], at_most=5
    )
    if leaks:
        return [
            Finding(
                severity="warning",
                code="split_leak",
                message=f"Groups of identical trials in more than one set: {len(leaks)} ({pairs}).",
                remedy="Remove the copies: scores on trials that also train mean nothing.",
            )
        ]
    return [
        Finding(
            severity="warning",
            code="duplicate_trials",
            message=f"Groups of trials with identical counts: {len(copies)} ({pairs}).",
            remedy="Remove the copies, or make sure that they fall into the same set.",
        )
    ]


def check_overlap(context: CheckContext) -> list[Finding]:
    """Trials cut from a continuous recording in windows that overlap, where that is not known.

    Looks whether the end of a trial is the beginning of the next one in file order, in at most 50
    pairs spread over the file; at least 3 bins and 10 spikes must agree.
    """
    recording = context.recording
    n_pairs = recording.n_trials - 1
    if n_pairs < 1 or recording.n_bins < 4 or recording.chops is not None:
        return []  # of chops it is known where they lie, and they are divided in blocks
    pairs = np.unique(np.linspace(0, n_pairs - 1, min(n_pairs, PAIRS_AT_MOST)).astype(int))
    shared = [(trial, _shared_bins(context, trial)) for trial in pairs.tolist()]
    overlapping = [(trial, n_bins) for trial, n_bins in shared if n_bins]
    if len(overlapping) < 0.1 * len(pairs):
        return []
    trial, n_bins = overlapping[0]
    first, second = recording.trial_ids[trial], recording.trial_ids[trial + 1]
    return [
        Finding(
            severity="warning",
            code="overlapping_trials",
            message=f"Trials overlap: the last {n_bins} bins of trial {first} are the first of "
            f"trial {second} ({len(overlapping)} of {len(pairs)} pairs looked at).",
            remedy="Divide them in blocks of time (`lfads split --method blocks`), or cut windows "
            "without overlap: otherwise validation trials share bins with training trials.",
        )
    ]


def _shared_bins(context: CheckContext, trial: int) -> int:
    """Bins at the end of a trial that are the beginning of the next one, 0 if none."""
    counts, active = context.recording.counts, context.statistics.n_active_units
    n_bins = context.recording.n_bins
    # Equal sums of active units rule out nearly all overlaps without touching the counts.
    end_sums = active[trial, ::-1].cumsum()[2:-1]  # of the last 3, 4, ... bins
    start_sums = active[trial + 1].cumsum()[2:-1]
    candidates = np.flatnonzero((end_sums == start_sums) & (end_sums >= FEWEST_SPIKES)) + 3
    for shared in candidates[::-1].tolist():
        if np.array_equal(counts[trial, n_bins - shared :], counts[trial + 1, :shared]):
            return int(shared)
    return 0
