"""The masked score of a trained model on a whole recording, as the Python estimator reports it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lfads_torch.errors import DataError

if TYPE_CHECKING:
    from lfads_torch.data.recording import Recording
    from lfads_torch.workflows.scores.trials import Case
    from lfads_torch.workflows.stored import TrainedModel

__all__ = ["masked_score"]


def masked_score(models: Sequence[TrainedModel], recording: Recording) -> float:
    """Bits per spike, or R2 where no unit counts spikes; the figure `lfads evaluate` gives too.

    Of several models it is that of their mean prediction. `recording` is what they were loaded
    with, its units in the model's order. Raises
    DataError where it cannot be scored.
    """
    from lfads_torch.workflows.scores.bits import bits_scores

    score = next(iter(bits_scores(_case(models, recording))))
    if score.value is None:
        raise DataError(f"{recording.session}: it cannot be scored: {score.reason}")
    return score.value


def _case(models: Sequence[TrainedModel], recording: Recording) -> Case:
    from lfads_torch.workflows.families import counts_to_rates
    from lfads_torch.workflows.scores.signals import inferred_signals
    from lfads_torch.workflows.scores.trials import Case, Protocol, ScoredTrials

    model = models[0]
    card, first = model.card, model.settings.model.first_generated_bin
    positions = np.arange(recording.n_trials)
    evaluated = ScoredTrials(
        recording=recording,
        first_bin=first,
        count_factor=1.0 / counts_to_rates(model, recording.bin_width_s),
        fetch=lambda: inferred_signals(models, positions),
    )
    return Case(
        model=model,
        others=tuple(models[1:]),
        positions=positions,
        evaluated=evaluated,
        train=None,
        no_train_reason="the estimator scores against the mean of the trials given",
        is_encoded=np.array(card.is_encoded),
        is_encoded_bin=np.arange(first, card.n_bins) < card.n_encoded_bins,
        protocol=Protocol(n_bootstrap=0),
        set_name="new",
        is_used_for_selection=False,
    )
