"""Bits per spike: masked, co-smoothing, forward, and of what the encoder saw."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lfads_torch.workflows.scores.measure import Measured, absent, measured, need_train
from lfads_torch.workflows.scores.record import Score
from lfads_torch.workflows.scores.trials import Case, random_numbers

if TYPE_CHECKING:
    from lfads_torch.analysis.metrics.bits_per_spike import Selection

__all__ = ["bits_scores", "masked_prediction"]

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


def bits_scores(case: Case) -> Iterator[Score]:
    """The honest ones first; of what the encoder saw last."""
    names = [MASKED, *(f"{part}_bits_per_spike" for part in NOTES)]
    if not case.is_spiking:
        family = case.model.assembly.task.observations[0].name
        yield measured(case, "masked_r2", partial(_masked_r2, case))
        for name in names:
            yield absent(case, name, f"the {family} observation has no spikes to count bits for")
        return
    hidden = masked_prediction(case)
    yield from _both_nulls(case, MASKED, hidden, None, MASKED_NOTE.format(n=case.protocol.n_masks))
    for part, selection in _selections(case).items():
        name = f"{part}_bits_per_spike"
        if selection is None:
            yield absent(case, name, REASONS[part])
        else:
            yield from _both_nulls(case, name, None, selection, NOTES[part])


def _masked_r2(case: Case) -> Measured:
    """What the masked score is for continuous signals: mean R2 over units with variance."""
    from lfads_torch.analysis.metrics.r_squared import pooled_r2

    hidden = masked_prediction(case)
    target = np.where(np.isfinite(hidden), case.evaluated.counts, np.nan)
    score = pooled_r2(target, hidden, label="masked")
    return Measured(trial_score=score, note=MASKED_NOTE.format(n=case.protocol.n_masks))


def _selections(case: Case) -> dict[str, Selection | None]:
    from lfads_torch.analysis.metrics.bits_per_spike import (
        forward_entries,
        held_out_entries,
        seen_entries,
    )

    choose = {"co_smoothing": held_out_entries, "forward": forward_entries, "encoded": seen_entries}
    return {part: entries(case.is_encoded, case.is_encoded_bin) for part, entries in choose.items()}


def _both_nulls(
    case: Case,
    name: str,
    hidden: NDArray[np.float64] | None,
    selection: Selection | None,
    note: str,
) -> Iterator[Score]:
    """Against the evaluated trials' mean (the benchmark's null), then the training trials' mean."""
    from lfads_torch.analysis.metrics import bits_per_spike as metric

    counts = case.evaluated.counts
    rates = case.evaluated.expected_counts if hidden is None else hidden
    if hidden is not None:
        counts = np.where(np.isfinite(hidden), counts, np.nan)

    def against_evaluated() -> Measured:
        score = metric.bits_per_spike(counts, rates, selection=selection)
        return Measured(trial_score=score, unit=UNIT, note=note)

    def against_training() -> Measured:
        train = need_train(case).counts
        score = metric.bits_per_spike_over_training_mean(
            counts, rates, train_counts=train, selection=selection
        )
        return Measured(trial_score=score, unit=UNIT, note=f"null: training trials' mean; {note}")

    yield measured(case, name, against_evaluated)
    yield measured(case, f"{name}_over_training_mean", against_training)


def masked_prediction(case: Case) -> NDArray[np.float64]:
    """Expected counts of every encoded entry from the pass in which it was hidden, [B, T, N].

    NaN where an entry is never encoded. Bins before generation starts are never hidden.
    """
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
        return expected_counts_from_visible(case.model, case.positions, is_visible)

    return masked_rates(case.evaluated.counts, hidden_by, predict)
