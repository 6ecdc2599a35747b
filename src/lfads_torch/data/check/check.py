"""All checks of a recording, in one report."""

from __future__ import annotations

import numpy as np

from lfads_torch.data.check.axes import check_axes
from lfads_torch.data.check.bins import check_bins
from lfads_torch.data.check.context import CheckContext, CheckRequirements
from lfads_torch.data.check.cost import check_cost, estimate_for
from lfads_torch.data.check.families import suited_families
from lfads_torch.data.check.lengths import check_lengths
from lfads_torch.data.check.report import CheckReport, RecordingSummary
from lfads_torch.data.check.sets import check_copies, check_overlap, check_sets
from lfads_torch.data.check.shared_stretches import check_shared_stretches
from lfads_torch.data.check.statistics import count_statistics
from lfads_torch.data.check.synchrony import check_synchronous_bins
from lfads_torch.data.check.trials import (
    check_drift,
    check_number_of_trials,
    check_outlier_trials,
)
from lfads_torch.data.check.units import (
    check_number_of_units,
    check_rates,
    check_shared_spikes,
    check_silent_units,
)
from lfads_torch.data.check.values import (
    check_external_inputs,
    check_missing,
    check_signals,
    check_values,
)
from lfads_torch.data.recording import TEST, TRAIN, VALID, Recording

__all__ = ["check_recording"]


def check_recording(recording: Recording, requirements: CheckRequirements) -> CheckReport:
    """What is wrong or unusual in a recording, before any training.

    Nothing is raised and nothing is changed: a fit refuses what `errors_of` lists and goes on
    with the rest.
    """
    context = CheckContext(
        recording=recording,
        statistics=count_statistics(recording.counts),
        requirements=requirements,
        split=requirements.split if requirements.split is not None else recording.split,
    )
    estimate = estimate_for(context)
    of_all = (
        check_values, check_missing, check_external_inputs, check_signals, check_lengths,
        check_number_of_trials, check_number_of_units, check_sets, check_copies, check_overlap,
        check_shared_stretches,
    )  # fmt: skip
    of_spikes = (
        check_axes, check_silent_units, check_rates, check_shared_spikes, check_synchronous_bins,
        check_bins, check_outlier_trials, check_drift,
    )  # fmt: skip
    findings = [finding for check in of_all for finding in check(context)]
    spiking = _spiking(context)
    findings += [finding for check in of_spikes for finding in check(spiking)]
    findings += check_cost(context, estimate)
    order = ("error", "warning", "note")
    findings.sort(key=lambda finding: order.index(finding.severity))
    return CheckReport(findings=tuple(findings), summary=_summary(context), estimate=estimate)


def _spiking(context: CheckContext) -> CheckContext:
    """Only the units of families of spike counts, where there are others beside them."""
    chosen = context.needs_counts
    return context.of_units(chosen) if chosen.any() and not chosen.all() else context


def _summary(context: CheckContext) -> RecordingSummary:
    recording, statistics, split = context.recording, context.statistics, context.split
    is_spiking = np.full(recording.n_units, statistics.is_spike_counts)
    if len(set(context.families.tolist())) > 1:
        is_spiking = context.needs_counts
    scale = np.where(is_spiking, recording.bin_width_s, 1.0)
    families = {name: int((context.families == name).sum()) for name in context.families.tolist()}
    n_train, n_valid, n_test = (
        None if split is None else len(split.trials(name)) for name in (TRAIN, VALID, TEST)
    )
    inputs, condition = recording.external_inputs, recording.condition
    return RecordingSummary(
        session=recording.session,
        n_trials=recording.n_trials,
        n_bins=recording.n_bins,
        n_units=recording.n_units,
        bin_width_s=float(recording.bin_width_s),
        n_conditions=None if condition is None else len(np.unique(condition)),
        n_external_inputs=0 if inputs is None else inputs.shape[2],
        n_train=n_train,
        n_valid=n_valid,
        n_test=n_test,
        n_held_out_units=None if split is None else int((~split.is_encoded).sum()),
        n_forward_bins=None if split is None else recording.n_bins - split.n_encoded_bins,
        is_spike_counts=statistics.is_spike_counts,
        families=families,
        suited_families=tuple(suited_families(statistics.units).tolist()),
        total=float(statistics.sums.sum()),
        largest=statistics.largest,
        fraction_missing=context.missing_fraction,
        shortest_trial_bins=None
        if recording.n_trial_bins is None
        else int(recording.n_trial_bins.min()),
        behaviour=tuple(recording.behaviour),
        unit_rates=tuple((statistics.unit_means() / scale).tolist()),
    )
