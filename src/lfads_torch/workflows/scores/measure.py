"""From a figure with its sums per trial to a score with interval, set and note."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.errors import DataError
from lfads_torch.workflows.scores.record import LEVEL, Score
from lfads_torch.workflows.scores.trials import Case, ScoredTrials, random_numbers

if TYPE_CHECKING:
    from lfads_torch.analysis.metrics.intervals import TrialScore

__all__ = ["Measured", "absent", "known_conditions", "measured", "need_train"]


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A figure of the evaluated trials, or of those that `is_scored` marks."""

    trial_score: TrialScore
    unit: str = ""
    note: str = ""
    caution: str = ""  # without which the figure misleads
    beside: Mapping[str, float] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)  # JSON values and arrays
    is_scored: NDArray[np.bool_] | None = None  # [B]; None: every trial
    is_comparable: bool = True  # between models, see `Score`
    is_of_rates: bool = True  # False: of an ensemble it is the best member's alone


def measured(case: Case, name: str, compute: Callable[[], Measured]) -> Score:
    """The score, or its absence where the trials do not allow it (DataError says why)."""
    from lfads_torch.analysis.metrics.intervals import trial_bootstrap
    from lfads_torch.outputs.json_text import plain

    try:
        found = compute()
        value = found.trial_score.value
        interval = None
        if case.protocol.n_bootstrap:
            drawn = trial_bootstrap(
                found.trial_score,
                random_numbers(case.protocol.seed),
                n_samples=case.protocol.n_bootstrap,
                level=LEVEL,
            )
            interval = (drawn.low, drawn.high)
    except DataError as error:
        return absent(case, name, str(error))
    ids = case.evaluated.recording.trial_ids
    return Score(
        name=name,
        set=case.set_name,
        is_used_for_selection=case.is_used_for_selection,
        value=float(value),
        interval=interval,
        unit=found.unit,
        n_trials=found.trial_score.n_trials,
        note=_with_neighbours(case, found),
        caution=found.caution,
        beside=found.beside,
        details=plain(found.details),
        is_comparable=found.is_comparable,
        trial_score=found.trial_score,
        trial_ids=ids if found.is_scored is None else ids[found.is_scored],
    )


def absent(case: Case, name: str, reason: str) -> Score:
    """A score that does not apply."""
    return Score(
        name=name,
        set=case.set_name,
        is_used_for_selection=case.is_used_for_selection,
        reason=reason,
    )


def _with_neighbours(case: Case, found: Measured) -> str:
    """The note, led by what must be read beside the figure."""
    parts = [f"{name} {value:.3f}" for name, value in found.beside.items()]
    if case.others and not found.is_of_rates:
        parts.append(f"of member {case.model.member} alone, the best of the ensemble")
    return "; ".join([*parts, *(text for text in (found.caution, found.note) if text)])


def need_train(case: Case) -> ScoredTrials:
    """The training trials; DataError says why there are none."""
    if case.train is None:
        raise DataError(case.no_train_reason)
    return case.train


def known_conditions(case: Case) -> NDArray[np.bool_]:
    """Evaluated trials whose condition some training trial has, [B]; DataError if there is none."""
    train = need_train(case)
    own, others = case.evaluated.condition, train.condition
    if own is None or others is None:
        raise DataError("the recording has no conditions")
    # Labels of two files may be numbers in one and text in the other: then none is shared.
    known = set(others.tolist())
    is_known = np.array([label in known for label in own.tolist()], dtype=np.bool_)
    if not is_known.any():
        raise DataError("none of the evaluated trials has a condition with training trials")
    return is_known
