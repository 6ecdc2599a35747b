"""Trial-bootstrap intervals, and comparisons paired on the same trials.

A score is anything with `value`, `n_trials` and `resample(weights [S, B]) -> [S]`: all scores of
this folder. Trials are the unit of resampling, since bins of a trial are not independent. The
interval holds for the model and split at hand; seeds and splits vary further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.metrics.arrays import Labels, Numbers
from lfads_torch.errors import DataError, SettingsError

__all__ = [
    "Interval",
    "PairedComparison",
    "PairedDifference",
    "ScorePair",
    "TrialScore",
    "compare_paired",
    "trial_bootstrap",
]

_NO_LIMITS = (-np.inf, np.inf)


class TrialScore(Protocol):
    """What can be bootstrapped over trials.

    A score that cannot leave a range says so in an attribute `limits`, (lowest, highest).
    """

    @property
    def value(self) -> float: ...

    @property
    def n_trials(self) -> int: ...

    def resample(self, weights: Numbers, /) -> NDArray[np.float64]: ...


@dataclass(frozen=True, kw_only=True)
class Interval:
    """A figure with its percentile bootstrap interval over trials."""

    value: float
    low: float
    high: float
    standard_error: float
    level: float
    n_trials: int
    n_undefined: int  # resamplings that left the score undefined, e.g. without a spike


def trial_bootstrap(
    score: TrialScore, rng: np.random.Generator, *, n_samples: int = 1000, level: float = 0.95
) -> Interval:
    """Percentile interval of a score when its trials are drawn again with replacement.

    The resampled scores are shifted so that their mean is the score itself; where that carries an
    end of the interval out of the score's limits (an R2 above 1), the interval ends there.

    With one trial the interval is the value itself; it then says nothing about other trials.
    """
    weights = _trial_weights(score.n_trials, rng, n_samples)
    found = _interval(score.value, score.resample(weights), level, score.n_trials)
    lowest, highest = getattr(score, "limits", _NO_LIMITS)
    return replace(found, low=max(found.low, lowest), high=min(found.high, highest))


@dataclass(frozen=True, kw_only=True)
class ScorePair:
    """Two scores of the same trials (and units), of one seed on one split."""

    split: str | int
    seed: str | int
    trial_ids: Labels  # [B]
    first: TrialScore
    second: TrialScore

    @property
    def difference(self) -> float:
        return self.first.value - self.second.value


@dataclass(frozen=True, kw_only=True)
class PairedDifference:
    """First minus second of two scores of the same trials, which are drawn together."""

    first: TrialScore
    second: TrialScore

    @property
    def value(self) -> float:
        return self.first.value - self.second.value

    @property
    def n_trials(self) -> int:
        return self.first.n_trials

    def resample(self, weights: Numbers) -> NDArray[np.float64]:
        return self.first.resample(weights) - self.second.resample(weights)


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """Mean of first minus second over seeds and splits, with its trial-bootstrap interval."""

    difference: Interval
    differences: NDArray[np.float64]  # per pair, in the order given
    n_seeds: int
    n_splits: int
    seed_spread: float | None  # standard deviation over seeds within splits; None for one seed
    split_spread: float | None  # standard deviation over splits of the means; None for one split

    @property
    def verdict(self) -> Literal["tie", "first is higher", "second is higher"]:
        """A tie where the interval includes 0."""
        if not (self.difference.low > 0 or self.difference.high < 0):
            return "tie"
        return "first is higher" if self.difference.low > 0 else "second is higher"

    @property
    def is_replicated(self) -> bool:
        """Whether at least three seeds and three splits stand behind it."""
        return self.n_seeds >= 3 and self.n_splits >= 3


def compare_paired(
    pairs: Sequence[ScorePair],
    rng: np.random.Generator,
    *,
    n_samples: int = 1000,
    level: float = 0.95,
) -> PairedComparison:
    """Compare two models on the same trials, over any number of seeds and splits.

    Every split weighs the same, and every seed within its split. A resampling draws trials of the
    recording once and uses them for both scores and in every split and seed where they occur, so
    that trials shared between splits are not mistaken for independent ones.
    """
    _check_pairs(pairs)
    ids = np.unique(np.concatenate([pair.trial_ids for pair in pairs]))
    weights = _trial_weights(len(ids), rng, n_samples)
    resampled = []
    for pair in pairs:
        own = weights[:, np.searchsorted(ids, pair.trial_ids)]
        resampled.append(pair.first.resample(own) - pair.second.resample(own))
    differences = np.array([pair.difference for pair in pairs])
    splits = [pair.split for pair in pairs]
    share = np.array([1 / splits.count(split) for split in splits]) / len(set(splits))
    return PairedComparison(
        difference=_interval(
            float(share @ differences), share @ np.array(resampled), level, len(ids)
        ),
        differences=differences,
        n_seeds=len({pair.seed for pair in pairs}),
        n_splits=len(set(splits)),
        seed_spread=_spread_within(differences, splits),
        split_spread=_spread_between(differences, splits),
    )


def _trial_weights(n_trials: int, rng: np.random.Generator, n_samples: int) -> NDArray[np.float64]:
    """How often each trial is drawn in each resampling, [S, B]."""
    if n_trials < 1 or n_samples < 1:
        raise SettingsError(
            f"a bootstrap of {n_trials} trials with {n_samples} resamplings; at least one of each "
            "is needed, 1000 resamplings are usual."
        )
    weights = rng.multinomial(n_trials, np.full(n_trials, 1 / n_trials), size=n_samples)
    return weights.astype(np.float64)


def _interval(
    value: float, resampled: NDArray[np.float64], level: float, n_trials: int
) -> Interval:
    known = resampled[np.isfinite(resampled)]
    if not 0 < level < 1 or not len(known):
        raise DataError(
            f"the interval at level {level} has {len(known)} resamplings in which the score is "
            "defined; a level between 0 and 1 and trials that carry the score are needed."
        )
    # Trials that are drawn twice are not new data, which shifts some scores in every resampling
    # (an average over repeated trials is noisier): the spread is kept, the shift is taken out.
    centred = known + (value - known.mean())
    low, high = np.quantile(centred, [(1 - level) / 2, (1 + level) / 2])
    return Interval(
        value=value,
        low=float(low),
        high=float(high),
        standard_error=float(known.std(ddof=1)) if len(known) > 1 else 0.0,
        level=level,
        n_trials=n_trials,
        n_undefined=len(resampled) - len(known),
    )


def _check_pairs(pairs: Sequence[ScorePair]) -> None:
    if not pairs:
        raise DataError("no pair of scores to compare; give at least one pair on the same trials.")
    for pair in pairs:
        lengths = (len(pair.trial_ids), pair.first.n_trials, pair.second.n_trials)
        if len(set(lengths)) > 1 or len(np.unique(pair.trial_ids)) < lengths[0]:
            raise DataError(
                f"split {pair.split}, seed {pair.seed}: {lengths[0]} trial ids "
                f"({len(np.unique(pair.trial_ids))} different) for scores of {lengths[1]} and "
                f"{lengths[2]} trials. A paired comparison needs both models on the same trials; "
                "evaluate them with one split."
            )
    if len({(pair.split, pair.seed) for pair in pairs}) < len(pairs):
        raise DataError(
            "two pairs have the same split and seed; name each combination once, so that none "
            "counts twice."
        )


def _spread_within(differences: NDArray[np.float64], splits: list[str | int]) -> float | None:
    groups = [differences[[s == split for s in splits]] for split in dict.fromkeys(splits)]
    variances = [group.var(ddof=1) for group in groups if len(group) > 1]
    return float(np.sqrt(np.mean(variances))) if variances else None


def _spread_between(differences: NDArray[np.float64], splits: list[str | int]) -> float | None:
    means = [differences[[s == split for s in splits]].mean() for split in dict.fromkeys(splits)]
    return float(np.std(means, ddof=1)) if len(means) > 1 else None
