"""PSTH R2 in both definitions, with the ceiling that the noise of the averages sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lfads_torch.counted import counted
from lfads_torch.errors import DataError
from lfads_torch.workflows.scores.measure import Measured, known_conditions, measured, need_train
from lfads_torch.workflows.scores.record import Score
from lfads_torch.workflows.scores.trials import Case, random_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lfads_torch.analysis.metrics.conditions import ConditionAverages
    from lfads_torch.analysis.metrics.psth import PsthR2
    from lfads_torch.analysis.metrics.r_squared import PooledR2

__all__ = ["psth_scores"]

KERNEL_S = 0.05
SHORT_TRIAL_KERNELS = 10
SMOOTHING_CAUTION = (
    "lower than it should be: only the data are smoothed (50 ms), much for trials of "
    "{length_s:.3g} s; the figure of condition averages compares both smoothed"
)
SINGLE_TRIAL_NOTE = (
    "single-trial rates against the training trials' smoothed averages; what differs within a "
    "condition, rightly or not, loses by it"
)
AVERAGED_NOTE = (
    "mean rate per condition against the training trials' smoothed averages; equal rates for all "
    "trials of a condition can score perfectly"
)


def psth_scores(case: Case) -> Iterator[Score]:
    """In encoded bins, all units. Targets come from the training trials alone."""
    from lfads_torch.analysis.metrics.psth import averaged_psth_r2, single_trial_psth_r2

    single = partial(_against_averages, case, single_trial_psth_r2, SINGLE_TRIAL_NOTE)
    yield measured(case, "psth_r2_single_trial", single)
    averaged = partial(_against_averages, case, averaged_psth_r2, AVERAGED_NOTE)
    yield measured(case, "psth_r2_averaged", averaged)


def _against_averages(
    case: Case, definition: Callable[..., PooledR2 | PsthR2], note: str
) -> Measured:
    from lfads_torch.analysis.metrics.psth import psth

    is_known, train = known_conditions(case), need_train(case)
    seen, own = case.is_encoded_bin, case.evaluated
    target = psth(
        train.counts[:, seen],
        np.asarray(train.condition),
        bin_width_s=case.bin_width_s,
        kernel_s=KERNEL_S,
    )
    score = definition(
        own.expected_counts[is_known][:, seen],
        np.asarray(own.condition)[is_known],
        target=target,
    )
    true_rates = _of_true_rates(case, definition, target, is_known)
    remarks = [note]
    if score.n_excluded:
        remarks.append(f"{counted(score.n_excluded, 'unit')} without variance left out")
    if not is_known.all():
        remarks.append(
            f"{counted(int((~is_known).sum()), 'trial')} of conditions that never train left out"
        )
    return Measured(
        trial_score=score,
        note="; ".join(remarks),
        beside=_ceiling(case),
        details={
            "per_unit": score.per_column,
            "n_units_excluded": score.n_excluded,
            **({} if true_rates is None else {"true_rates": true_rates}),
        },
        caution=_caution(case, true_rates),
        is_scored=is_known,
    )


def _of_true_rates(
    case: Case,
    definition: Callable[..., PooledR2 | PsthR2],
    target: ConditionAverages,
    is_known: NDArray[np.bool_],
) -> float | None:
    """What the right answer scores: only the data's averages are smoothed. None if not known."""
    own = case.evaluated
    if own.recording.true_rates is None:
        return None
    rates = np.asarray(own.recording.true_rates)[:, own.first_bin :] * own.count_factor
    try:
        found = definition(
            rates[is_known][:, case.is_encoded_bin],
            np.asarray(own.condition)[is_known],
            target=target,
        )
        return float(found.value)
    except DataError:  # true rates of some entries are missing
        return None


def _caution(case: Case, true_rates: float | None) -> str:
    if true_rates is not None:
        return f"the true rates reach {true_rates:.3f}"
    length_s = float(case.is_encoded_bin.sum()) * case.bin_width_s
    if length_s >= SHORT_TRIAL_KERNELS * KERNEL_S:
        return ""
    return SMOOTHING_CAUTION.format(length_s=length_s)


def _ceiling(case: Case) -> dict[str, float]:
    """What noise-free rates would reach; nothing where no condition can be halved."""
    from lfads_torch.analysis.metrics.psth import split_half_ceiling

    train = need_train(case)
    try:
        found = split_half_ceiling(
            train.counts[:, case.is_encoded_bin],
            np.asarray(train.condition),
            bin_width_s=case.bin_width_s,
            rng=random_numbers(case.protocol.seed),
            kernel_s=KERNEL_S,
        )
    except DataError:
        return {}
    return {"ceiling": found.full}
