"""Values that are no counts, infinite, missing, or all zero."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfads_torch.counted import counted
from lfads_torch.data.check.context import CheckContext
from lfads_torch.data.check.families import check_families, how_to_set
from lfads_torch.data.check.report import Finding, listed
from lfads_torch.data.check.statistics import OddValues
from lfads_torch.data.recording import Recording

__all__ = ["check_external_inputs", "check_missing", "check_signals", "check_values"]

FEW_NEGATIVE = 0.05  # share of all values


def check_values(context: CheckContext) -> list[Finding]:
    """Infinite, negative and fractional values; a recording without a spike."""
    statistics = context.statistics
    findings = []
    if statistics.infinite.n_values:
        findings.append(
            Finding(
                severity="error",
                code="infinite_values",
                message=_said(context, statistics.infinite, "infinite"),
                remedy="Replace them by numbers, or by NaN where the value is not known.",
            )
        )
    findings += [*_not_counts(context), *check_families(context)]
    if statistics.is_all_zero and statistics.n_present.any():
        findings.append(
            Finding(
                severity="error",
                code="no_spikes",
                message="Every value is 0: there is nothing to learn from.",
                remedy="Check that the right array was read (`--counts NAME`) and the alignment "
                "window of `lfads prepare`.",
            )
        )
    return findings


def _not_counts(context: CheckContext) -> list[Finding]:
    """Values below 0 and between whole numbers in units whose family is of spike counts."""
    if not context.needs_counts.any():
        return []
    counts = context if context.needs_counts.all() else context.of_units(context.needs_counts)
    statistics = counts.statistics
    remedy = (
        "Spike counts are whole numbers of at least 0; for smoothed or continuous data set "
        'loss.observation = "gaussian". If these are rates, give the counts instead. '
        f"By the values themselves: {how_to_set(context)}."
    )
    if _mark_missing(counts):
        remedy = (
            "All other values are whole numbers, as of spike counts: if the negative ones mark "
            "what is missing, write NaN there; else look how they came about."
        )
    kinds = (("negative", statistics.negative), ("fractional", statistics.fractional))
    return [
        Finding(
            severity="error",
            code=f"{name}_counts",
            message=_said(counts, odd, name),
            remedy=remedy,
        )
        for name, odd in kinds
        if odd.n_values
    ]


def _mark_missing(counts: CheckContext) -> bool:
    """Few negative values among whole numbers: a mark, or an accident of the export."""
    statistics = counts.statistics
    n_values = max(int(statistics.units.n_values.sum()), 1)
    is_few = statistics.negative.n_values < FEW_NEGATIVE * n_values
    return is_few and statistics.fractional.n_values == 0


def check_missing(context: CheckContext) -> list[Finding]:
    """Units and trials without a value, and the share of missing entries."""
    statistics = context.statistics
    no_value_of_unit = statistics.n_present.sum(axis=0) == 0
    no_value_in_trial = statistics.n_present.sum(axis=1) == 0
    findings = []
    if no_value_of_unit.any():
        findings.append(
            Finding(
                severity="error",
                code="unit_all_missing",
                message=f"Units without a value in any trial: {int(no_value_of_unit.sum())} "
                f"({listed(context.unit_ids(no_value_of_unit))}).",
                remedy="Remove these units from the recording.",
            )
        )
    if no_value_in_trial.any() and not no_value_in_trial.all():
        findings.append(
            Finding(
                severity="warning",
                code="trial_all_missing",
                message=f"Trials without any value: {int(no_value_in_trial.sum())} "
                f"({listed(context.trial_ids(no_value_in_trial))}).",
                remedy='Remove them, or put them in the "unused" set of the split.',
            )
        )
    fraction = context.missing_fraction
    if fraction > 0:
        findings.append(
            Finding(
                severity="warning" if fraction > 0.5 else "note",
                code="missing_values",
                message=f"{fraction:.3g} of all values are missing (NaN).",
                remedy="Missing entries are 0 for the encoder and absent from the loss. If they "
                "stand for bins without a spike, write 0.",
            )
        )
    return findings


def _check_trial_inputs(recording: Recording) -> list[Finding]:
    inputs = recording.trial_inputs
    if inputs is None or np.isfinite(inputs).all():
        return []
    n_wrong = int((~np.isfinite(inputs)).any(axis=1).sum())
    return [
        Finding(
            severity="error",
            code="trial_inputs_not_finite",
            message=f"Trial inputs are missing or infinite in {counted(n_wrong, 'trial')}.",
            remedy="Every trial needs a number for each of them; leave such trials out.",
        )
    ]


def check_external_inputs(context: CheckContext) -> list[Finding]:
    """Infinite values can't be used; missing ones count as 0, as they should in forward bins."""
    recording = context.recording
    findings = _check_trial_inputs(recording)
    if recording.external_inputs is None:
        return findings
    inputs = np.asarray(recording.external_inputs, dtype=np.float64)
    split = context.split
    n_encoded = recording.n_bins if split is None else split.n_encoded_bins
    is_missing = np.isnan(inputs) & context.own_bins()
    is_missing[:, n_encoded:] = False
    if np.isinf(inputs).any():
        findings.append(
            Finding(
                severity="error",
                code="external_inputs_infinite",
                message=_said_of_inputs(context, np.isinf(inputs), "infinite"),
                remedy="Replace them by numbers, or by NaN where the input is not known.",
            )
        )
    if is_missing.any():
        findings.append(
            Finding(
                severity="warning",
                code="external_inputs_missing",
                message=_said_of_inputs(context, is_missing, "missing (NaN) in encoded bins"),
                remedy="The generator takes them for 0. Write the signal's resting value where 0 "
                "is not it.",
            )
        )
    return findings


def check_signals(context: CheckContext) -> list[Finding]:
    """Behaviour may have gaps, which decoding leaves out."""
    recording = context.recording
    findings = []
    for name, values in recording.behaviour.items():
        is_wrong = ~np.isfinite(np.asarray(values, dtype=np.float64)) & context.own_bins()
        n_wrong = int(is_wrong.sum())
        if n_wrong:
            findings.append(
                Finding(
                    severity="note",
                    code="behaviour_not_finite",
                    message=f"Values of behaviour {name!r} that are NaN or infinite: {n_wrong}.",
                    remedy="Bins with such values are left out of decoding scores; fill short gaps "
                    "if many bins are lost.",
                )
            )
    return findings


def _said_of_inputs(context: CheckContext, is_wrong: NDArray[np.bool_], kind: str) -> str:
    trial, time, dimension = (int(place[0]) for place in np.nonzero(is_wrong))
    return (
        f"Values of the external inputs that are {kind}: {int(is_wrong.sum())}; the first at trial "
        f"{context.recording.trial_ids[trial]}, bin {time}, input {dimension}."
    )


def _said(context: CheckContext, odd: OddValues, kind: str) -> str:
    where = context.place(odd.trial, odd.bin, odd.unit)
    return f"Values that are {kind}: {odd.n_values}; the first is {odd.value:g} at {where}."
