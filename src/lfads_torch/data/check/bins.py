"""Bins too fine, too coarse, or too few."""

from __future__ import annotations

import math

from lfads_torch.counted import counted
from lfads_torch.data.check.context import CheckContext
from lfads_torch.data.check.report import Finding
from lfads_torch.data.check.units import are_times_in_milliseconds

__all__ = ["check_bins"]

FINE_MEAN_COUNT, COARSE_MEAN_COUNT = 0.01, 3.0
FEW_BINS, MANY_BINS = 10, 1000
HIGHEST_RATE_HZ = 1000.0
NARROW_BIN_S, MEMORY_S = 0.005, 0.037  # the memory of an untrained cell in bins of 10 ms, bias 1
LONG_MEMORY_TRIALS = 10
HIGHEST_EXPONENT = 700.0  # exp of more is no number
ROOM_FOR_CHANCE = 5  # spikes; narrow bins of Poisson counts exceed any rate now and then


def check_bins(context: CheckContext) -> list[Finding]:
    """The width of bins against the rates, and the number of bins in a trial."""
    return (
        _number(context)
        + _memory(context)
        + (_width(context) if context.statistics.is_spike_counts else [])
    )


def _number(context: CheckContext) -> list[Finding]:
    n_bins, width_s = context.recording.n_bins, context.recording.bin_width_s
    findings = []
    if n_bins < FEW_BINS:
        findings.append(
            Finding(
                severity="warning",
                code="few_bins",
                message=f"A trial has {counted(n_bins, 'bin')}; a dynamical model needs more to "
                "see dynamics.",
                remedy="Use finer bins or longer trials (`lfads prepare --bin-width`, `--window`).",
            )
        )
    if n_bins > MANY_BINS:
        findings.append(
            Finding(
                severity="warning",
                code="many_bins",
                message=f"A trial has {counted(n_bins, 'bin')} ({n_bins * width_s:g} s); time "
                "grows with them, and gradients fade over so many.",
                remedy="Use coarser bins, or cut the trials into windows of a few hundred bins.",
            )
        )
    return findings


def _memory(context: CheckContext) -> list[Finding]:
    """Whether untrained cells remember long enough to learn anything slow soon, or far too long."""
    bias = context.requirements.plan.update_gate_bias
    remembered_bins = 1.0 + math.exp(min(bias, HIGHEST_EXPONENT))
    remembered_s = remembered_bins * context.recording.bin_width_s
    if remembered_bins > LONG_MEMORY_TRIALS * context.recording.n_bins:
        return [_long_memory(context, remembered_bins)]
    if context.recording.bin_width_s >= NARROW_BIN_S or remembered_s > MEMORY_S / 2:
        return []
    wanted = math.log(MEMORY_S / context.recording.bin_width_s - 1.0)
    return [
        Finding(
            severity="note",
            code="short_memory",
            message=f"In bins of {context.bin_width_ms:g} ms an untrained model remembers "
            f"{1e3 * remembered_s:.2g} ms, and takes long to learn anything slower.",
            remedy=f"Use coarser bins, or set model.update_gate_bias to {wanted:.1f}, which makes "
            f"it {1e3 * MEMORY_S:g} ms, as in bins of 10 ms.",
        )
    ]


def _long_memory(context: CheckContext, remembered_bins: float) -> Finding:
    plan, n_bins = context.requirements.plan, context.recording.n_bins
    return Finding(
        severity="note",
        code="long_memory",
        message=f"With model.update_gate_bias {plan.update_gate_bias:g} an untrained model "
        f"remembers {remembered_bins:.2g} bins, {remembered_bins / n_bins:.2g} times the "
        f"{n_bins} of a trial: its state hardly moves, and it takes long to learn.",
        remedy=f"Lower model.update_gate_bias: {math.log(max(n_bins - 1.0, math.e)):.1f} remembers "
        "a trial, 1 (the default) about four bins.",
    )


def _width(context: CheckContext) -> list[Finding]:
    statistics, recording = context.statistics, context.recording
    mean = float(statistics.sums.sum() / max(int(statistics.n_present.sum()), 1))
    findings = []
    if 0 < mean < FINE_MEAN_COUNT and not are_times_in_milliseconds(context):
        factor = math.ceil(2 * FINE_MEAN_COUNT / mean)
        findings.append(
            Finding(
                severity="warning",
                code="fine_bins",
                message=f"A unit has {mean:.2g} spikes per bin of {context.bin_width_ms:g} ms: "
                "mostly zeros, and a slow fit.",
                remedy=f"Use bins of about {factor * context.bin_width_ms:g} ms, or remove units "
                "that hardly fire.",
            )
        )
    if mean > COARSE_MEAN_COUNT or recording.bin_width_s > 0.1:
        findings.append(
            Finding(
                severity="warning",
                code="coarse_bins",
                message=f"A unit has {mean:.2g} spikes per bin of {context.bin_width_ms:g} ms; "
                "what happens within a bin is lost.",
                remedy="Use finer bins, 5 to 20 ms for single units, if the spike times are at "
                "hand.",
            )
        )
    if statistics.largest > HIGHEST_RATE_HZ * recording.bin_width_s + ROOM_FOR_CHANCE:
        findings.append(
            Finding(
                severity="warning",
                code="impossible_counts",
                message=f"The largest count is {statistics.largest:g} in a bin of "
                f"{context.bin_width_ms:g} ms, over {HIGHEST_RATE_HZ:g} spikes/s.",
                remedy="Check bin_width_s (seconds) and look for artefacts; one unit can't fire so "
                "fast.",
            )
        )
    return findings
