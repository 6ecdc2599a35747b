"""What an evaluation gives back: scores, each with its set, interval and caveat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lfads_torch.analysis.metrics.intervals import TrialScore
    from lfads_torch.analysis.report_scores import ScoreRow

__all__ = ["Evaluation", "Score", "to_json", "to_rows"]

FORMAT, FORMAT_VERSION = "lfads-torch scores", 1
LEVEL = 0.95


@dataclass(frozen=True, kw_only=True)
class Score:
    """One figure on one set of trials. A score that does not apply has no value but a reason."""

    name: str
    set: str  # train, valid, test, all, or new: a recording without sets that the run has not seen
    is_used_for_selection: bool  # among its trials are those that chose the best epoch
    value: float | None = None
    interval: tuple[float, float] | None = None  # 95 %, trial bootstrap
    unit: str = ""
    n_trials: int = 0
    note: str = ""  # what it cannot tell
    caution: str = ""  # the part of the note without which the figure misleads
    reason: str = ""  # why it does not apply
    beside: Mapping[str, float] = field(default_factory=dict)  # ceiling, chance, ...
    details: Mapping[str, Any] = field(default_factory=dict)  # JSON values, e.g. per unit
    is_comparable: bool = True  # False: not the model's, or of a dimension in arbitrary order
    # For comparisons: the sums per trial, and the ids of the trials that they belong to.
    trial_score: TrialScore | None = field(default=None, compare=False, repr=False)
    trial_ids: NDArray[Any] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All scores of one member of a run on one set of trials."""

    run: str
    member: int
    set: str
    session: str
    is_new_recording: bool
    trial_ids: NDArray[Any] = field(compare=False)  # [B], evaluated trials, integers or text
    scores: tuple[Score, ...]
    beta: Mapping[str, Any]  # name -> weight of the divergence in units of the evidence bound
    rates_from: str  # the rates file, or "inferred"
    protocol: Mapping[str, Any]  # seed, n_bootstrap, n_masks, ...: what the figures depend on
    notes: tuple[str, ...] = ()
    ensemble_members: tuple[int, ...] = ()  # whose rates are averaged; empty: those of `member`

    def score(self, name: str) -> Score:
        """The score of this name; KeyError without it."""
        return {each.name: each for each in self.scores}[name]


def to_json(evaluation: Evaluation) -> dict[str, Any]:  # JSON values
    """The content of `scores.json`."""
    from lfads_torch.outputs.json_text import plain

    content: dict[str, Any] = plain(
        {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "run": evaluation.run,
            "member": evaluation.member,
            "ensemble_members": list(evaluation.ensemble_members),
            "set": evaluation.set,
            "session": evaluation.session,
            "is_new_recording": evaluation.is_new_recording,
            "n_trials": len(evaluation.trial_ids),
            "rates_from": evaluation.rates_from,
            "beta": evaluation.beta,
            "protocol": evaluation.protocol,
            "notes": evaluation.notes,
            "scores": [_entry(score) for score in evaluation.scores],
        }
    )
    return content


def _entry(score: Score) -> dict[str, object]:
    low, high = score.interval if score.interval is not None else (None, None)
    return {
        "name": score.name,
        "value": score.value,
        "low": low,
        "high": high,
        "level": LEVEL,
        "unit": score.unit,
        "set": score.set,
        "used_for_selection": score.is_used_for_selection,
        "n_trials": score.n_trials if score.value is not None else None,
        "note": score.note,
        "caution": score.caution,
        "reason": score.reason,
        "beside": score.beside,
        "details": score.details,
    }


def to_rows(evaluation: Evaluation) -> list[ScoreRow]:
    """The scores in words, rounded to what can be read from them: the table of the page."""
    from lfads_torch.analysis.report_scores import score_rows

    return score_rows(to_json(evaluation))
