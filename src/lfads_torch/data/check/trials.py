"""Too few trials, trials unlike the others, and drift over the session."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.check.context import CheckContext
from lfads_torch.data.check.estimate import FitPlan
from lfads_torch.data.check.report import Finding, listed
from lfads_torch.data.recording import TRAIN, VALID

__all__ = ["check_drift", "check_number_of_trials", "check_outlier_trials"]

FEW_TRAINING_TRIALS = 40
FEW_VALIDATION_TRIALS = 10
SMALL_MODEL = (100, 64, 64)  # generator, initial condition encoder, controller of preset small
OUTLIER_DEVIATIONS = 6.0
DRIFT_DEVIATIONS, DRIFT_CHANGE = 5.0, 0.25


def check_number_of_trials(context: CheckContext) -> list[Finding]:
    """Whether trials can be divided at all, and suffice for training, scoring and a batch."""
    n_trials = context.recording.n_trials
    if n_trials == 1:
        return [
            Finding(
                severity="error",
                code="one_trial",
                message="The recording has one trial; training and validation need one each.",
                remedy="Cut the recording into more trials (`lfads prepare`): windows of 0.5 to 2 "
                "s.",
            )
        ]
    if context.split is None:
        n_valid = max(1, round(0.2 * n_trials))
        n_train = n_trials - n_valid
    else:
        n_train, n_valid = (len(context.split.trials(name)) for name in (TRAIN, VALID))
    findings = []
    if 0 < n_train < FEW_TRAINING_TRIALS:
        findings.append(
            Finding(
                severity="warning",
                code="few_training_trials",
                message=f"Training trials: {n_train}; under {FEW_TRAINING_TRIALS} LFADS overfits "
                "easily.",
                remedy=_more_from_few_trials(context.requirements.plan),
            )
        )
    if 0 < n_valid < FEW_VALIDATION_TRIALS:
        findings.append(
            Finding(
                severity="warning",
                code="few_validation_trials",
                message=f"Validation trials: {n_valid}; a score of under {FEW_VALIDATION_TRIALS} "
                "trials is noisy, and so is the choice of the best epoch.",
                remedy="Raise split.valid_fraction, or report with folds (`lfads split --folds`).",
            )
        )
    batch_size = context.requirements.plan.batch_size
    if 0 < n_train < batch_size:
        findings.append(
            Finding(
                severity="note",
                code="batch_over_training_set",
                message=f"A batch of {batch_size} holds all {n_train} training trials: one step "
                "per epoch.",
                remedy=f"Set training.batch_size to {max(1, n_train // 4)} or so for more steps "
                "per epoch.",
            )
        )
    return findings


def _more_from_few_trials(plan: FitPlan) -> str:
    sizes = (plan.generator_size, plan.ic_encoder_size, plan.controller_size)
    is_small = all(size <= most for size, most in zip(sizes, SMALL_MODEL, strict=True))
    model = "" if is_small else "a small model (preset small), "
    return (
        f"Use shorter and more trials, {model}stronger regularisation; report with folds "
        "(`lfads split --folds`)."
    )


def check_outlier_trials(context: CheckContext) -> list[Finding]:
    """Trials with far more or fewer spikes than usual.

    The square root of a trial's count has about the same spread at any rate; its distance from
    the median is measured in robust standard deviations (median absolute deviation).
    """
    statistics = context.statistics
    present = np.flatnonzero(statistics.n_present.sum(axis=1) > 0)
    if not statistics.is_spike_counts or statistics.is_all_zero or len(present) < 8:
        return []
    expected_size = context.recording.n_bins * context.recording.n_units
    totals = statistics.trial_means()[present] * expected_size
    roots = np.sqrt(totals)
    middle = np.median(roots)
    spread = max(1.4826 * float(np.median(np.abs(roots - middle))), 0.5)  # 0.5: Poisson's own
    is_far = np.abs(roots - middle) > OUTLIER_DEVIATIONS * spread
    is_other = (totals > 2 * middle**2) | (totals < 0.5 * middle**2)
    outliers = present[is_far & is_other]
    if not len(outliers):
        return []
    return [
        Finding(
            severity="warning",
            code="outlier_trials",
            message=f"Trials with under half or over twice the usual {middle**2:.0f} spikes: "
            f"{len(outliers)} ({listed(context.trial_ids(outliers))}).",
            remedy="Look at them (`lfads plot`); leave out trials with artefacts or lost signal "
            '(the "unused" set of the split).',
        )
    ]


def check_drift(context: CheckContext) -> list[Finding]:
    """A rate that differs between the first and the last quarter of the session.

    Means of conditions are taken out first, so that conditions in blocks are no drift.
    """
    recording, statistics = context.recording, context.statistics
    if not statistics.is_spike_counts or statistics.is_all_zero or recording.n_trials < 20:
        return []
    means = statistics.sums / np.maximum(statistics.n_present, 1)  # [B, N]
    usual = np.maximum(means.mean(axis=0), 1e-12)
    own = _without_condition_means(means, recording.condition)
    quarter = recording.n_trials // 4
    first, last = own[:quarter], own[-quarter:]
    error = np.sqrt((first.var(axis=0, ddof=1) + last.var(axis=0, ddof=1)) / quarter)
    change = last.mean(axis=0) - first.mean(axis=0)
    drifts = (np.abs(change) > DRIFT_DEVIATIONS * np.maximum(error, 1e-12)) & (
        np.abs(change) > DRIFT_CHANGE * usual
    )
    if drifts.mean() <= 0.1:
        return []
    total = change.sum() / usual.sum()
    spread = (
        "A random or stratified split spreads the drift over all sets; one by blocks would not."
    )
    if recording.chops is not None:  # a random split of chops leaks: the blocks themselves must mix
        spread = "Chops are divided in blocks; more of them (split.n_blocks) spread the drift."
    return [
        Finding(
            severity="note",
            code="drift",
            message="Units whose rate changes by over a quarter between the first and the last "
            f"quarter of the trials: {int(drifts.sum())} of {len(drifts)}; all together by "
            f"{total:+.0%}.",
            remedy=f"Check the recording's stability. {spread}",
        )
    ]


def _without_condition_means(
    means: NDArray[np.float64], condition: NDArray[np.generic] | None
) -> NDArray[np.float64]:
    if condition is None:
        return means
    own = means.copy()
    for label in np.unique(condition):
        trials = condition == label
        if trials.sum() > 1:
            own[trials] -= means[trials].mean(axis=0) - means.mean(axis=0)
    return own
