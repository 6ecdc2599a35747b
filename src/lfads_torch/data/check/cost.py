"""Fits that will take very long, or more memory than there is."""

from __future__ import annotations

from lfads_torch.data.check.context import CheckContext
from lfads_torch.data.check.estimate import CostSizes, FitEstimate, estimate_fit
from lfads_torch.data.check.report import Finding
from lfads_torch.data.recording import TRAIN, VALID

__all__ = ["check_cost", "estimate_for"]

LONG_S = 24 * 3600.0


def estimate_for(context: CheckContext) -> FitEstimate:
    """The estimate for this recording; without a split, for one of 20 % validation trials."""
    recording, split = context.recording, context.split
    n_valid = round(0.2 * recording.n_trials) if split is None else len(split.trials(VALID))
    n_train = recording.n_trials - n_valid if split is None else len(split.trials(TRAIN))
    inputs = recording.external_inputs
    sizes = CostSizes(
        n_trials=recording.n_trials,
        n_train=n_train,
        n_valid=n_valid,
        n_bins=recording.n_bins,
        n_encoded_bins=recording.n_bins if split is None else split.n_encoded_bins,
        n_units=recording.n_units,
        n_encoded_units=recording.n_units if split is None else int(split.is_encoded.sum()),
        n_external_inputs=0 if inputs is None else inputs.shape[2],
        is_by_trial=recording.in_file is not None,
    )
    return estimate_fit(context.requirements.plan, sizes)


def check_cost(context: CheckContext, estimate: FitEstimate) -> list[Finding]:
    """Time over a day, memory over what is free, and more bins before generation than there are."""
    findings = []
    plan, n_bins = context.requirements.plan, context.recording.n_bins
    if estimate.seconds > LONG_S:
        findings.append(
            Finding(
                severity="warning",
                code="slow_fit",
                message=f"{plan.epochs} epochs will take about {estimate.seconds / 3600:.0f} h on "
                "this machine (an estimate).",
                remedy="Use coarser bins, shorter trials, a smaller model or fewer epochs, or a "
                "GPU (`--device cuda`).",
            )
        )
    available = estimate.available_bytes
    if available is not None and estimate.memory_bytes > 0.8 * available:
        findings.append(
            Finding(
                severity="warning",
                code="memory",
                message=f"A fit needs about {estimate.memory_bytes / 2**30:.1f} GiB (an estimate); "
                f"{available / 2**30:.1f} GiB are free.",
                remedy="Lower training.batch_size, run.members_at_once, or the model's size.",
            )
        )
    n_encoded = n_bins if context.split is None else context.split.n_encoded_bins
    if plan.ic_bins >= n_encoded:
        findings.append(
            Finding(
                severity="error",
                code="no_bins_after_initial_segment",
                message=f"model.ic_bins is {plan.ic_bins}, but the encoder sees {n_encoded} bins "
                "of a trial.",
                remedy=f"Set model.ic_bins to less than {n_encoded}, or to 0 for all encoded bins.",
            )
        )
    return findings
