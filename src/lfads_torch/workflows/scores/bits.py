"""Bits per spike, or R2 of other signals: masked, co-smoothing, forward, and of what was seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lfads_torch.workflows.scores.gain import ensemble_gain
from lfads_torch.workflows.scores.measure import Measured, absent, measured, need_train
from lfads_torch.workflows.scores.record import Score
from lfads_torch.workflows.scores.trials import Case, random_numbers

if TYPE_CHECKING:
    from lfads_torch.analysis.metrics.bits_per_spike import BitsPerSpike, Selection
    from lfads_torch.analysis.metrics.r_squared import PooledR2
    from lfads_torch.workflows.stored import TrainedModel

__all__ = ["bits_scores", "masked_prediction", "of_units"]

UNIT = "bits/spike"
MASKED = "masked_bits_per_spike"
SEEN_NOTE = "seen by the encoder: a model that copies its input wins it"
MASKED_NOTE = "each entry predicted while hidden from the encoder; {n} complementary masks"
NOTES = {
    "co_smoothing": "held-out units; its level moves with which units were drawn",
    "forward": "forward bins; says nothing about the bins that were seen",
    "encoded": SEEN_NOTE,
}
REASONS = {
    "co_smoothing": "no unit is held out: set split.held_out_fraction, or give a split that does",
    "forward": "every bin is encoded: set split.n_forward_bins, or give a split with forward bins",
    "encoded": "no generated bin is encoded",
}


@dataclass(frozen=True)
class Masked:
    """Expected counts of what was hidden, [B, T, N], NaN where an entry is never encoded."""

    mean: NDArray[np.float64]  # over the models of an ensemble
    of_best: NDArray[np.float64]  # the best model's own


def bits_scores(case: Case) -> Iterator[Score]:
    """The honest ones first; of what the encoder saw last.

    Bits per spike of the units that count spikes, R2 of the others; both where there are both.
    """
    hidden = _masked(case)
    if case.is_spiking.any():
        yield from _bits(case, hidden)
    if not case.is_spiking.all():
        yield from _r2(case, hidden)
    if not case.is_spiking.any():
        why = f"the {case.continuous_families} observation has no spikes to count bits for"
        for name in (MASKED, *(f"{part}_bits_per_spike" for part in NOTES)):
            yield absent(case, name, why)


def _bits(case: Case, hidden: Masked) -> Iterator[Score]:
    note = MASKED_NOTE.format(n=case.protocol.n_masks)
    yield from _both_nulls(case, MASKED, hidden, _everything(case, case.is_spiking), note)
    for part, selection in _selections(case, case.is_spiking).items():
        name = f"{part}_bits_per_spike"
        if selection is None:
            yield absent(case, name, REASONS[part])
        else:
            yield from _both_nulls(case, name, None, selection, NOTES[part])


def _r2(case: Case, hidden: Masked) -> Iterator[Score]:
    """What stands for bits per spike in continuous signals: mean R2 over units with variance."""
    note = MASKED_NOTE.format(n=case.protocol.n_masks)
    yield from _one_r2(case, "masked_r2", hidden, _everything(case, ~case.is_spiking), note)
    for part, selection in _selections(case, ~case.is_spiking).items():
        if selection is None:
            yield absent(case, f"{part}_r2", REASONS[part])
        else:
            yield from _one_r2(case, f"{part}_r2", None, selection, NOTES[part])


def _one_r2(
    case: Case, name: str, hidden: Masked | None, selection: Selection | None, note: str
) -> Iterator[Score]:
    from lfads_torch.analysis.metrics.r_squared import pooled_r2

    counts = case.evaluated.counts
    rates = case.evaluated.expected_counts if hidden is None else hidden.mean

    def chosen(values: NDArray[np.float64]) -> NDArray[np.float64]:
        if selection is None:
            return values
        return values[:, selection.is_bin][:, :, selection.is_unit]

    def score(predicted: NDArray[np.float64]) -> PooledR2:
        target = np.where(np.isfinite(predicted), counts, np.nan)
        return pooled_r2(chosen(target), chosen(predicted), label=name)

    def compute() -> Measured:
        said = f"units of {case.continuous_families}; {note}"
        return Measured(trial_score=score(rates), note=said)

    def with_and_without() -> tuple[PooledR2, PooledR2]:
        alone = case.of_best_model.expected_counts if hidden is None else hidden.of_best
        return score(rates), score(alone)

    yield measured(case, name, compute)
    yield from ensemble_gain(case, name, with_and_without)


def _selections(case: Case, is_unit: NDArray[np.bool_]) -> dict[str, Selection | None]:
    """Of these units."""
    from lfads_torch.analysis.metrics.bits_per_spike import (
        forward_entries,
        held_out_entries,
        seen_entries,
    )

    choose = {"co_smoothing": held_out_entries, "forward": forward_entries, "encoded": seen_entries}
    found = {
        part: entries(case.is_encoded, case.is_encoded_bin) for part, entries in choose.items()
    }
    return {part: None if each is None else of_units(each, is_unit) for part, each in found.items()}


def of_units(selection: Selection, is_unit: NDArray[np.bool_]) -> Selection | None:
    """The selection's entries of these units; None where there are none."""
    both = selection.is_unit & is_unit
    return replace(selection, is_unit=both) if both.any() else None


def _everything(case: Case, is_unit: NDArray[np.bool_]) -> Selection | None:
    """All bins of these units; None, which is every entry, where these are all units."""
    from lfads_torch.analysis.metrics.bits_per_spike import Selection

    if is_unit.all():
        return None
    return Selection(label="masked", is_unit=is_unit, is_bin=np.ones_like(case.is_encoded_bin))


def _both_nulls(
    case: Case, name: str, hidden: Masked | None, selection: Selection | None, note: str
) -> Iterator[Score]:
    """Against the evaluated trials' mean (the benchmark's null), then the training trials' mean."""
    from lfads_torch.analysis.metrics import bits_per_spike as metric

    counts = case.evaluated.counts
    rates = case.evaluated.expected_counts if hidden is None else hidden.mean
    if hidden is not None:
        counts = np.where(np.isfinite(rates), counts, np.nan)

    def score(predicted: NDArray[np.float64]) -> BitsPerSpike:
        return metric.bits_per_spike(counts, predicted, selection=selection)

    def against_evaluated() -> Measured:
        return Measured(trial_score=score(rates), unit=UNIT, note=note)

    def against_training() -> Measured:
        train = need_train(case).counts
        found = metric.bits_per_spike_over_training_mean(
            counts, rates, train_counts=train, selection=selection
        )
        return Measured(trial_score=found, unit=UNIT, note=f"null: training trials' mean; {note}")

    def with_and_without() -> tuple[BitsPerSpike, BitsPerSpike]:
        alone = case.of_best_model.expected_counts if hidden is None else hidden.of_best
        return score(rates), score(alone)

    yield measured(case, name, against_evaluated)
    # Of the other null it would be the same: both figures share the null.
    yield from ensemble_gain(case, name, with_and_without, unit=UNIT)
    yield measured(case, f"{name}_over_training_mean", against_training)


def masked_prediction(case: Case) -> NDArray[np.float64]:
    """Expected counts of every encoded entry from the pass in which it was hidden, [B, T, N].

    The mean over models, as of the rates. NaN where an entry is never encoded. Bins before
    generation starts are never hidden.
    """
    return _masked(case).mean


def _masked(case: Case) -> Masked:
    of_best = _masked_prediction(case, case.model)
    if not case.others:
        return Masked(of_best, of_best)
    total = of_best.copy()
    for model in case.others:
        total += _masked_prediction(case, model)
    return Masked(total / len(case.models), of_best)


def _masked_prediction(case: Case, model: TrainedModel) -> NDArray[np.float64]:
    from lfads_torch.analysis.metrics.masked import complementary_masks, masked_rates
    from lfads_torch.workflows.scores.signals import expected_counts_from_visible

    hidden_by = complementary_masks(
        len(case.positions),
        case.protocol.n_masks,
        is_encoded=case.is_encoded,
        is_encoded_bin=case.is_encoded_bin,
        rng=random_numbers(case.protocol.seed),
    )
    first, n_encoded = case.evaluated.first_bin, int(case.is_encoded_bin.sum())

    def predict(counts: NDArray[np.float64], is_hidden: NDArray[np.bool_]) -> NDArray[np.float64]:
        shape = (len(case.positions), first + n_encoded, len(case.is_encoded))
        is_visible = np.ones(shape, dtype=np.bool_)
        is_visible[:, first:] = ~is_hidden[:, :n_encoded]
        return expected_counts_from_visible(model, case.positions, is_visible)

    return masked_rates(case.evaluated.counts, hidden_by, predict)
