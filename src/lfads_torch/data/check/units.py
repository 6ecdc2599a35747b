"""Units that are silent, in the file twice, or share spikes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.check.context import CheckContext
from lfads_torch.data.check.report import Finding, listed
from lfads_torch.data.count_correlation import count_correlation
from lfads_torch.data.recording import TRAIN

__all__ = [
    "are_times_in_milliseconds",
    "check_number_of_units",
    "check_rates",
    "check_shared_spikes",
    "check_silent_units",
]

DUPLICATE_CORRELATION = 0.95
# How far the correlation in the same bin may exceed that one bin apart before it can't be common
# modulation, which is smooth.
SHARED_SPIKES_CORRELATION = 0.25
# Spike and event times in ms that were taken for seconds: the windows are a thousand times too
# far apart, nearly all of them beyond the last spike, and the rates a thousand times too low.
SILENT_SHARE, SPIKING_SHARE, LOW_RATE_HZ = 0.5, 0.05, 0.05
PLAUSIBLE_RATE_HZ = (0.5, 100.0)


def check_number_of_units(context: CheckContext) -> list[Finding]:
    """A single unit shares nothing with others."""
    if context.recording.n_units > 1:
        return []
    return [
        Finding(
            severity="warning",
            code="one_unit",
            message="The recording has one unit; the model looks for dynamics that units share.",
            remedy="Give the units that were recorded together. Of one unit alone the rates are "
            "little more than its smoothed counts.",
        )
    ]


def check_silent_units(context: CheckContext) -> list[Finding]:
    """Units without a spike, in the whole recording or in the trials that train."""
    statistics = context.statistics
    if not statistics.is_spike_counts or statistics.is_all_zero:
        return []
    if are_times_in_milliseconds(context):
        return [_milliseconds(context)]
    has_values = statistics.n_present.sum(axis=0) > 0
    silent = (statistics.unit_means() == 0) & has_values
    findings = []
    if silent.any():
        findings.append(
            Finding(
                severity="warning",
                code="silent_units",
                message=f"Units without a spike in any trial: {int(silent.sum())} of {len(silent)} "
                f"({listed(context.unit_ids(silent))}).",
                remedy="Remove them: they teach nothing and weigh in every average over units.",
            )
        )
    if context.split is None:
        return findings
    in_training = statistics.unit_means(context.split.trials(TRAIN)) == 0
    only_elsewhere = in_training & ~silent & has_values
    if only_elsewhere.any():
        findings.append(
            Finding(
                severity="warning",
                code="silent_in_training",
                message="Units without a spike in the training trials, but with some in others: "
                f"{int(only_elsewhere.sum())} ({listed(context.unit_ids(only_elsewhere))}).",
                remedy="Remove them, or draw another split (another seed, method stratified).",
            )
        )
    return findings


def are_times_in_milliseconds(context: CheckContext) -> bool:
    """A mean rate that is plausible only a thousand times higher, and hardly a spike anywhere.

    Most units are silent, or, in a file of many trials, each unit is in nearly all of them.
    """
    if not context.statistics.is_spike_counts or context.statistics.is_all_zero:
        return False
    means = context.statistics.unit_means()
    rate = _mean_rate(context)
    low, high = PLAUSIBLE_RATE_HZ
    is_empty = (
        float((means == 0).mean()) > SILENT_SHARE
        or float((context.statistics.sums > 0).mean()) < SPIKING_SHARE
    )
    return is_empty and rate < LOW_RATE_HZ and low <= 1000 * rate <= high


def _mean_rate(context: CheckContext) -> float:
    """Spikes/s of a unit, over all of them."""
    return float(context.statistics.unit_means().mean()) / context.recording.bin_width_s


def _milliseconds(context: CheckContext) -> Finding:
    silent, rate = context.statistics.unit_means() == 0, _mean_rate(context)
    spiking = float((context.statistics.sums > 0).mean())
    return Finding(
        severity="warning",
        code="times_in_milliseconds",
        message=f"{int(silent.sum())} of {len(silent)} units have no spike in any trial, a unit "
        f"has one in {100 * spiking:.2g} % of the trials and fires {rate:.2g} spikes/s on average: "
        "as if times were in milliseconds "
        f"({1000 * rate:.2g} spikes/s if so).",
        remedy="Divide the times of spikes, events and trials by 1000 (seconds are needed), and "
        "run `lfads prepare` again. If they are in seconds, the trials lie where hardly a unit "
        "was recorded: look at the events, or remove the silent units.",
    )


def check_rates(context: CheckContext) -> list[Finding]:
    """Rates that no unit has: most often a bin width in the wrong unit."""
    statistics = context.statistics
    if not statistics.is_spike_counts or statistics.is_all_zero:
        return []
    if are_times_in_milliseconds(context):
        return []  # said already, with its cause
    rates = statistics.unit_means() / context.recording.bin_width_s
    typical = float(np.median(rates[rates > 0]))
    if 0.02 <= typical <= 500:
        return []
    return [
        Finding(
            severity="warning",
            code="implausible_rates",
            message=f"The median rate of a unit is {typical:.3g} spikes/s with bins of "
            f"{context.bin_width_ms:g} ms.",
            remedy="Check bin_width_s: it is in seconds (0.005 for 5 ms).",
        )
    ]


def check_shared_spikes(context: CheckContext) -> list[Finding]:
    """Pairs of units whose counts are the same, or agree bin by bin more than in the next bin."""
    same_bin = np.triu(count_correlation(context.recording.counts), 1)
    twins = same_bin > DUPLICATE_CORRELATION
    findings = []
    if twins.any():
        findings.append(
            Finding(
                severity="warning",
                code="duplicate_units",
                message="Pairs of units with (almost) the same counts, correlation over "
                f"{DUPLICATE_CORRELATION}: {int(twins.sum())} ({_pairs(context, twins)}).",
                remedy="Keep one of each: a twin lets the model copy what it should predict.",
            )
        )
    if not context.statistics.is_spike_counts or context.recording.n_bins < 2:
        return findings
    next_bin = count_correlation(context.recording.counts, 1)
    # Pairs once each, no unit with itself: one that fires regularly shuns its own next bin.
    excess = np.triu(same_bin - np.maximum(next_bin, next_bin.T), 1)
    sharing = (excess > SHARED_SPIKES_CORRELATION) & ~twins
    if sharing.any():
        units = np.flatnonzero(sharing.any(axis=0) | sharing.any(axis=1))
        findings.append(
            Finding(
                severity="warning",
                code="correlated_units",
                message="Units that share spikes with others in the same bin, far more than one "
                f"bin apart: {len(units)} ({_pairs(context, sharing)}).",
                remedy="Look for cross-talk, a common reference artefact or one cell sorted twice; "
                "keep one unit of each group, or remove the artefact before binning.",
            )
        )
    return findings


def _pairs(context: CheckContext, chosen: NDArray[np.bool_]) -> str:
    ids = context.recording.unit_ids
    return listed([f"{ids[one]} and {ids[other]}" for one, other in np.argwhere(chosen)], at_most=5)
