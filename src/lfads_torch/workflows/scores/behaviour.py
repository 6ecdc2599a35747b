"""Behaviour decoded from rates, beside what the conditions alone give."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfads_torch.errors import DataError
from lfads_torch.workflows.scores.measure import (
    Measured,
    absent,
    known_conditions,
    measured,
    need_train,
)
from lfads_torch.workflows.scores.record import Score
from lfads_torch.workflows.scores.trials import Case, ScoredTrials

__all__ = ["behaviour_scores", "shifted_behaviour"]

NOTE = (
    "ridge regression fitted on training trials; a high figure does not show that rates are right"
)
MEAN_NOTE = "the training trials' mean behaviour of the condition: what the labels alone give"
WITHIN_NOTE = "of behaviour and decoded behaviour minus their condition's mean"


@dataclass(frozen=True)
class Decoding:
    """Rates and lagged behaviour in the encoded bins, [B, T, N] and [B, T, D]."""

    rates: NDArray[np.float64]
    behaviour: NDArray[np.float64]


def behaviour_scores(case: Case) -> Iterator[Score]:
    """Three scores for each behaviour: decoded, condition's mean, within conditions."""
    if not case.evaluated.recording.behaviour:
        yield absent(case, "behaviour_r2", "the recording has no behaviour")
    for name in case.evaluated.recording.behaviour:
        yield from _of_one(case, name)


def _of_one(case: Case, name: str) -> Iterator[Score]:
    from lfads_torch.analysis.metrics import behaviour as metric

    def decode() -> metric.BehaviourScore:
        train, own = (_decoding(case, each, name) for each in (need_train(case), case.evaluated))
        return metric.behaviour_r2(
            train.rates, train.behaviour, rates=own.rates, behaviour=own.behaviour
        )

    def decoded() -> Measured:
        score = decode()
        details = {"per_dimension": score.r2.per_column, "alpha": score.decoder.alpha}
        return Measured(trial_score=score, note=NOTE, details=details)

    def condition_mean() -> Measured:
        is_known, train = known_conditions(case), need_train(case)
        score = metric.condition_mean_r2(
            shifted_behaviour(case, train, name),
            _labels(train),
            behaviour=shifted_behaviour(case, case.evaluated, name)[is_known],
            condition=_labels(case.evaluated)[is_known],
        )
        details = {"per_dimension": score.per_column}
        return Measured(
            trial_score=score,
            note=MEAN_NOTE,
            details=details,
            is_scored=is_known,
            is_comparable=False,
        )

    def within_conditions() -> Measured:
        condition = _labels(case.evaluated)
        found = decode()
        score = metric.residual_r2(found.target, found.decoded, condition)
        details = {"per_dimension": score.per_column}
        return Measured(trial_score=score, note=WITHIN_NOTE, details=details)

    yield measured(case, f"behaviour_{name}_r2", decoded)
    yield measured(case, f"behaviour_{name}_condition_mean_r2", condition_mean)
    yield measured(case, f"behaviour_{name}_within_conditions_r2", within_conditions)


def _decoding(case: Case, trials: ScoredTrials, name: str) -> Decoding:
    behaviour = shifted_behaviour(case, trials, name)
    return Decoding(trials.expected_counts[:, case.is_encoded_bin], behaviour)


def shifted_behaviour(case: Case, trials: ScoredTrials, name: str) -> NDArray[np.float64]:
    """Behaviour at the encoded bins after the lag, [B, T, D]; NaN where there is none.

    Shifted before it is cut to these bins, so that a lag only costs bins at the trial's ends.
    """
    from lfads_torch.analysis.metrics.behaviour import lag_in_bins, shift_behaviour

    values = trials.recording.behaviour.get(name)
    if values is None:
        raise DataError(f"the training trials have no behaviour {name!r}")
    lag = lag_in_bins(case.protocol.behaviour_lag_ms, bin_width_s=case.bin_width_s)
    return shift_behaviour(values, lag)[:, trials.first_bin :][:, case.is_encoded_bin]


def _labels(trials: ScoredTrials) -> NDArray[np.generic]:
    if trials.condition is None:
        raise DataError("the recording has no conditions")
    return trials.condition
