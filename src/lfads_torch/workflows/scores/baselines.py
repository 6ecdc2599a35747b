"""What simple methods reach on the same entries: the figures that a model has to beat."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lfads_torch.errors import DataError
from lfads_torch.workflows.scores.behaviour import shifted_behaviour
from lfads_torch.workflows.scores.bits import of_units
from lfads_torch.workflows.scores.measure import (
    Measured,
    absent,
    known_conditions,
    measured,
    need_train,
)
from lfads_torch.workflows.scores.record import Score
from lfads_torch.workflows.scores.trials import Case

if TYPE_CHECKING:
    from lfads_torch.analysis.metrics.bits_per_spike import Selection

__all__ = ["baseline_scores"]

Scoring = Callable[..., "Measured"]  # `_bits` or `_r2`

_ALL_TRIAL_SHARE = 0.1
MEAN_NOTE = "baseline: each unit's mean over the training trials"
CONDITION_NOTE = "baseline: the training trials' average of the condition; it knows the labels"
REGRESSION_NOTE = "baseline: Poisson regression on the smoothed counts of the encoded units"
SMOOTHED_NOTE = "baseline: ridge regression from smoothed counts"


def baseline_scores(case: Case) -> Iterator[Score]:
    """The cheap ones always; regressions on smoothed counts `with_baselines`."""
    for is_unit, score, ending in (
        (case.is_spiking, _bits, "bits_per_spike"),
        (~case.is_spiking, _r2, "r2"),
    ):
        for entries, selection in _entries(case, is_unit).items():
            name = f"{entries}_{ending}"
            compute = _unit_mean(case, selection, score)
            yield measured(case, f"baseline_unit_mean_{name}", compute)
            compute = _condition_mean(case, selection, score)
            yield measured(case, f"baseline_condition_mean_{name}", compute)
    if not case.protocol.with_baselines:
        return
    if case.is_spiking.any():
        name = "baseline_smoothed_regression_co_smoothing_bits_per_spike"
        if not (~case.is_encoded & case.is_spiking).any():
            yield absent(case, name, "no unit is held out")
        else:
            yield measured(case, name, partial(_regression, case))
    for each in case.evaluated.recording.behaviour:
        name = f"baseline_smoothed_behaviour_{each}_r2"
        yield measured(case, name, partial(_smoothed_behaviour, case, each))


def _entries(case: Case, is_unit: NDArray[np.bool_]) -> dict[str, Selection]:
    """Of these units: entries by the name of the score that counts them."""
    from lfads_torch.analysis.metrics.bits_per_spike import (
        forward_entries,
        held_out_entries,
        seen_entries,
    )

    found = {
        # None sees the evaluated counts, so on encoded entries the masked score is their equal.
        "masked": seen_entries(case.is_encoded, case.is_encoded_bin),
        "co_smoothing": held_out_entries(case.is_encoded, case.is_encoded_bin),
        "forward": forward_entries(case.is_encoded, case.is_encoded_bin),
    }
    theirs = {name: of_units(each, is_unit) for name, each in found.items() if each is not None}
    return {name: each for name, each in theirs.items() if each is not None}


def _unit_mean(case: Case, selection: Selection, score: Scoring) -> Callable[[], Measured]:
    from lfads_torch.analysis.metrics.baselines import unit_mean_rates

    def compute() -> Measured:
        rates = unit_mean_rates(need_train(case).counts, n_trials=len(case.positions))
        return score(case.evaluated.counts, rates, selection, MEAN_NOTE)

    return compute


def _condition_mean(case: Case, selection: Selection, score: Scoring) -> Callable[[], Measured]:
    from lfads_torch.analysis.metrics.baselines import condition_mean_rates

    def compute() -> Measured:
        is_known, train = known_conditions(case), need_train(case)
        rates = condition_mean_rates(
            train.counts,
            np.asarray(train.condition),
            condition=np.asarray(case.evaluated.condition)[is_known],
            bin_width_s=case.bin_width_s,
            # Only of spikes is a value of nothing impossible.
            all_trial_share=_ALL_TRIAL_SHARE if score is _bits else 0.0,
        )
        counts = case.evaluated.counts[is_known]
        return score(counts, rates, selection, CONDITION_NOTE, is_scored=is_known)

    return compute


def _bits(
    counts: NDArray[np.float64],
    rates: NDArray[np.float64],
    selection: Selection,
    note: str,
    *,
    is_scored: NDArray[np.bool_] | None = None,
) -> Measured:
    from lfads_torch.analysis.metrics.bits_per_spike import bits_per_spike

    score = bits_per_spike(counts, rates, selection=selection)
    return Measured(
        trial_score=score,
        unit="bits/spike",
        note=note,
        is_scored=is_scored,
        is_comparable=False,
    )


def _r2(
    counts: NDArray[np.float64],
    rates: NDArray[np.float64],
    selection: Selection,
    note: str,
    *,
    is_scored: NDArray[np.bool_] | None = None,
) -> Measured:
    """Of signals that are no spikes: mean over units with variance, as the model's own is."""
    from lfads_torch.analysis.metrics.r_squared import pooled_r2

    bins, units = selection.is_bin, selection.is_unit
    score = pooled_r2(
        counts[:, bins][:, :, units], rates[:, bins][:, :, units], label=selection.label
    )
    return Measured(trial_score=score, note=note, is_scored=is_scored, is_comparable=False)


def _regression(case: Case) -> Measured:
    from lfads_torch.analysis.metrics.baselines import poisson_regression_rates
    from lfads_torch.analysis.metrics.bits_per_spike import bits_per_spike

    seen = case.is_encoded_bin
    used = case.is_encoded | case.is_spiking  # what is held out and counts no spikes is not asked
    counts = case.evaluated.counts[:, seen][:, :, used]
    rates = poisson_regression_rates(
        need_train(case).counts[:, seen][:, :, used],
        counts,
        is_encoded=case.is_encoded[used],
        bin_width_s=case.bin_width_s,
    )
    score = bits_per_spike(counts[:, :, ~case.is_encoded[used]], rates)
    return Measured(trial_score=score, unit="bits/spike", note=REGRESSION_NOTE, is_comparable=False)


def _smoothed_behaviour(case: Case, name: str) -> Measured:
    from lfads_torch.analysis.metrics.baselines import smoothed_behaviour_r2

    train, own, seen = need_train(case), case.evaluated, case.is_encoded_bin
    if not (np.isfinite(train.counts).any() and np.isfinite(own.counts).any()):
        raise DataError("every count is missing")
    score = smoothed_behaviour_r2(
        train.counts[:, seen],
        shifted_behaviour(case, train, name),
        counts=own.counts[:, seen],
        behaviour=shifted_behaviour(case, own, name),
        bin_width_s=case.bin_width_s,
    )
    return Measured(trial_score=score, note=SMOOTHED_NOTE, is_comparable=False)
