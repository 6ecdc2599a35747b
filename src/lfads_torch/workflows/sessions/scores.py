"""Scores of a run of several sessions: of each, and pooled over all.

Bits per spike are pooled as sums, over trials, bins and units of all sessions. Every other score is
the mean over sessions, each weighing by its trials. The interval is a bootstrap over the trials of
all sessions together; which sessions there are is taken as given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lfads_torch.analysis.metrics.arrays import Numbers
    from lfads_torch.analysis.metrics.intervals import TrialScore
    from lfads_torch.workflows.evaluate import Evaluation, Score

__all__ = ["PooledScore", "pooled_scores", "sessions_as_json"]

_POOLED = "pooled over the sessions"
_EACH_SAYS = "the scores of each session say what its true rates reach"
_MEAN = "mean over the sessions, weighed by their trials"


@dataclass(frozen=True, kw_only=True)
class PooledScore:
    """One score of all sessions; their trials stand one session after the other."""

    parts: tuple[TrialScore, ...]
    sums_spikes: bool

    @property
    def limits(self) -> tuple[float, float]:
        """A weighed mean stays within what its parts cannot leave."""
        each = [getattr(part, "limits", (-np.inf, np.inf)) for part in self.parts]
        return min(low for low, _ in each), max(high for _, high in each)

    @property
    def n_trials(self) -> int:
        return sum(part.n_trials for part in self.parts)

    @property
    def value(self) -> float:
        return float(self.resample(np.ones((1, self.n_trials)))[0])

    def resample(self, weights: Numbers, /) -> NDArray[np.float64]:
        """The score with each trial counted as often as `weights` [S, B] says, [S]."""
        ends = np.cumsum([part.n_trials for part in self.parts])
        split = np.split(weights, ends[:-1], axis=1)
        # A session of which no trial is drawn weighs nothing, but its score must be a number.
        drawn = [np.where(w.sum(1, keepdims=True) > 0, w, 1.0) for w in split]
        values = np.stack([part.resample(w) for part, w in zip(self.parts, drawn, strict=True)])
        share = np.stack([self._share(part, w) for part, w in zip(self.parts, split, strict=True)])
        known = np.where(share > 0, values * share, 0.0).sum(0)
        total = share.sum(0)
        return np.where(total > 0, known / np.where(total > 0, total, 1.0), np.nan)

    def _share(self, part: TrialScore, weights: Numbers) -> NDArray[np.float64]:
        """What a session weighs in each resampling, [S]."""
        spikes = getattr(part, "spikes", None) if self.sums_spikes else None
        drawn = weights.sum(1) if spikes is None else weights @ spikes
        return np.asarray(drawn, dtype=np.float64)


def pooled_scores(evaluations: Sequence[Evaluation], *, seed: int, n_samples: int) -> list[Score]:
    """A score of all sessions for every one that each of them has."""
    from lfads_torch.analysis.metrics.intervals import trial_bootstrap
    from lfads_torch.workflows.evaluate import Score
    from lfads_torch.workflows.scores.record import LEVEL
    from lfads_torch.workflows.scores.trials import random_numbers

    found = []
    for first in evaluations[0].scores:
        named = [{each.name: each for each in one.scores}.get(first.name) for one in evaluations]
        scores = [each for each in named if each is not None]
        parts = tuple(each.trial_score for each in scores if each.trial_score is not None)
        if len(parts) < len(evaluations):
            reason = next((each.reason for each in scores if each.reason), "not in every session")
            absent = replace(first, value=None, interval=None, n_trials=0, reason=reason)
            found.append(replace(absent, beside={}, details={}, trial_score=None))
            continue
        pooled = PooledScore(parts=parts, sums_spikes=first.unit == "bits/spike")
        drawn = (
            trial_bootstrap(pooled, random_numbers(seed), n_samples=n_samples, level=LEVEL)
            if n_samples
            else None
        )
        found.append(
            Score(
                name=first.name,
                set=first.set,
                is_used_for_selection=any(each.is_used_for_selection for each in scores),
                value=pooled.value,
                interval=None if drawn is None else (drawn.low, drawn.high),
                unit=first.unit,
                n_trials=pooled.n_trials,
                note=_note(pooled, scores),
                caution=_caution(scores),
                is_comparable=all(each.is_comparable for each in scores),
                trial_score=pooled,
            )
        )
    return found


def sessions_as_json(
    evaluations: Mapping[str, Evaluation], run_name: str
) -> dict[str, Any]:  # JSON values
    """The content of `scores.json` of such a run: pooled, and of each session."""
    from lfads_torch.workflows.evaluate import to_json

    each = list(evaluations.values())
    first = each[0]
    protocol = first.protocol
    pooled = pooled_scores(each, seed=protocol["seed"], n_samples=protocol["n_bootstrap"])
    whole = to_json(
        replace(
            first,
            run=run_name,
            session=", ".join(evaluations),
            trial_ids=np.concatenate([np.arange(len(one.trial_ids)) for one in each]),
            scores=tuple(pooled),
            beta={},
        )
    )
    return {**whole, "sessions": {name: to_json(one) for name, one in evaluations.items()}}


def _caution(scores: Sequence[Score]) -> str:
    """That of all sessions, or where each has its own."""
    cautions = {each.caution for each in scores}
    return cautions.pop() if len(cautions) == 1 else _EACH_SAYS


def _note(pooled: PooledScore, scores: Sequence[Score]) -> str:
    first, told = scores[0], _POOLED if pooled.sums_spikes else _MEAN
    own = first.note.replace(first.caution, _caution(scores)) if first.caution else first.note
    return "; ".join(filter(None, [told, own]))
