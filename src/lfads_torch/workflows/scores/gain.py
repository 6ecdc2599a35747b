"""By how much an ensemble's rates are better than those of its best member, on the same trials."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from lfads_torch.workflows.scores.measure import Measured, measured
from lfads_torch.workflows.scores.record import Score
from lfads_torch.workflows.scores.trials import Case

if TYPE_CHECKING:
    from lfads_torch.analysis.metrics.intervals import TrialScore

__all__ = ["ensemble_gain"]

NOTE = "ensemble minus best member alone, on the same trials; other seeds and splits will differ"


def ensemble_gain(
    case: Case, name: str, scores: Callable[[], tuple[TrialScore, TrialScore]], *, unit: str = ""
) -> Iterator[Score]:
    """The paired difference with its interval; nothing for a single model.

    `scores` gives the figure of the ensemble's rates and that of the best member's.
    """
    from lfads_torch.analysis.metrics.intervals import PairedDifference

    def difference() -> Measured:
        ensemble, alone = scores()
        return Measured(
            trial_score=PairedDifference(first=ensemble, second=alone),
            unit=unit,
            note=NOTE,
            beside={"ensemble": ensemble.value, "best member alone": alone.value},
            is_comparable=False,
        )

    if case.others:
        yield _with_verdict(measured(case, f"ensemble_gain_{name}", difference))


def _with_verdict(score: Score) -> Score:
    if score.interval is None:
        return score
    low, high = score.interval
    verdict = "the ensemble is higher" if low > 0 else "the ensemble is lower"
    if low <= 0 <= high:
        verdict = "a tie: the interval includes 0"
    return replace(score, note=f"{verdict}; {score.note}", details={"verdict": verdict})
