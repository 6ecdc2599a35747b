"""How well rates reproduce the average response to a condition (the PSTH).

Two definitions, and the ceiling that the noise of the averages sets. Rates and counts are expected
and observed counts per bin, [trial, bin, unit].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.metrics.arrays import (
    Labels,
    Numbers,
    as_three_axes,
    need_finite,
    need_shape,
)
from lfads_torch.analysis.metrics.conditions import (
    ConditionAverages,
    average_by_condition,
    mean_over_trials,
)
from lfads_torch.analysis.metrics.r_squared import (
    RELATIVE_ROUNDING,
    PooledR2,
    has_variance,
    mean_over_columns,
    pooled_r2,
)
from lfads_torch.analysis.metrics.smoothing import smooth_over_time
from lfads_torch.errors import DataError

__all__ = [
    "PsthCeiling",
    "PsthR2",
    "averaged_psth_r2",
    "psth",
    "single_trial_psth_r2",
    "split_half_ceiling",
]


def psth(
    counts: Numbers, condition: Labels, *, bin_width_s: float, kernel_s: float = 0.05
) -> ConditionAverages:
    """Average counts per condition and bin, smoothed with a Gaussian (standard deviation)."""
    raw = average_by_condition(counts, condition)
    smoothed = smooth_over_time(raw.averages, kernel_s, bin_width_s=bin_width_s)
    return ConditionAverages(labels=raw.labels, averages=smoothed, n_trials=raw.n_trials)


def single_trial_psth_r2(
    rates: Numbers, condition: Labels, *, target: ConditionAverages
) -> PooledR2:
    """The benchmark's definition: single-trial rates against their condition's average.

    R2 per unit over trials and bins, then the uniform mean over units. Rates that vary from trial
    to trial within a condition, rightly or not, lose by it. (Releases of the benchmark's tools
    since 2022 average the rates per condition first: `averaged_psth_r2` with the same target.)
    """
    need_shape("conditions", condition, (len(rates),))
    return pooled_r2(target.of_trials(condition), rates, label="PSTH, single-trial rates")


@dataclass(frozen=True, kw_only=True)
class PsthR2:
    """R2 between two averages per condition, per unit over conditions and bins."""

    limits: ClassVar[tuple[float, float]] = (-np.inf, 1.0)

    label: str
    rates: NDArray[np.float64]  # [B, T, N], of the evaluated trials
    position: NDArray[np.int64]  # [B], row of the target that belongs to each trial
    target: NDArray[np.float64]  # [C, T, N]
    is_scored: NDArray[np.bool_]  # [N], has variance

    @property
    def n_trials(self) -> int:
        return len(self.rates)

    @property
    def n_excluded(self) -> int:
        """Units without variance in the target."""
        return int((~self.is_scored).sum())

    @property
    def per_column(self) -> NDArray[np.float64]:
        """R2 of the units with variance, in their order."""
        return np.asarray(self._per_unit(np.ones((1, self.n_trials)))[0])

    @property
    def value(self) -> float:
        """Uniform mean over the units with variance."""
        return float(mean_over_columns(self.per_column))

    def resample(self, weights: Numbers) -> NDArray[np.float64]:
        """The score with each evaluated trial counted as often as `weights` [S, B] says, [S].

        A condition of which a resampling keeps no trial is left out of it.
        """
        return mean_over_columns(self._per_unit(np.asarray(weights, dtype=np.float64)))

    def _per_unit(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """R2 of the scored units, one resampling after the other to bound the memory, [S, N]."""
        flat = self.rates[:, :, self.is_scored].reshape(self.n_trials, -1)
        target = self.target[:, :, self.is_scored]
        scores = np.full((len(weights), target.shape[2]), np.nan)
        membership = np.zeros((len(target), self.n_trials))
        for sample, weight in enumerate(weights):
            membership[self.position, np.arange(self.n_trials)] = weight
            n_trials = membership.sum(axis=1)
            kept = n_trials > 0
            if kept.any():
                mean = (membership[kept] / n_trials[kept, None]) @ flat
                scores[sample] = _r2_per_unit(target[kept], mean.reshape(-1, *target.shape[1:]))
        return scores


def averaged_psth_r2(rates: Numbers, condition: Labels, *, target: ConditionAverages) -> PsthR2:
    """The condition-averaged definition: mean predicted rate per condition against the target.

    The target is usually the smoothed average of the training trials, the rates those of the
    validation trials. Conditions without an evaluated trial do not count.
    """
    p = as_three_axes("rates", rates)
    need_shape("conditions", condition, (len(p),))
    need_shape("target averages", target.averages, (None, *p.shape[1:]))
    position = target.positions(condition)
    need_finite("rates", p, np.isfinite(target.averages[position]))
    present = np.isfinite(target.averages[np.unique(position)])
    is_scored = has_variance(target.averages[np.unique(position)])
    if not is_scored.any():
        raise DataError(
            f"none of the {p.shape[2]} units' condition averages varies over bins and conditions, "
            f"so the PSTH R2 is undefined ({int(present.sum())} entries). Score active units."
        )
    return PsthR2(
        label="PSTH, condition averages",
        rates=np.where(np.isfinite(p), p, 0.0),
        position=position,
        target=target.averages,
        is_scored=is_scored,
    )


def _r2_per_unit(
    target: NDArray[np.float64], prediction: NDArray[np.float64]
) -> NDArray[np.float64]:
    present = np.isfinite(target)
    filled = np.where(present, target, 0.0)
    mean = filled.sum(axis=(0, 1)) / np.maximum(present.sum(axis=(0, 1)), 1)
    error, variance, square = (
        np.einsum("ctn,ctn->n", values, values)
        for values in (
            np.where(present, target - prediction, 0.0),
            np.where(present, target - mean, 0.0),
            filled,
        )
    )
    usable = variance > RELATIVE_ROUNDING * square
    return np.where(usable, 1 - error / np.where(usable, variance, 1.0), np.nan)


@dataclass(frozen=True, kw_only=True)
class PsthCeiling:
    """What noise-free rates could reach, from random halves of the trials.

    `half` is the R2 of the noise-free averages against averages over half of the trials: the
    covariance of two halves over the variance of one. `full` is the same against averages over
    all the trials given, whose noise is half as large. Uniform means over units with variance.
    """

    half: float
    full: float
    n_scored: int
    n_excluded: int
    n_repeats: int


def split_half_ceiling(
    counts: Numbers,
    condition: Labels,
    *,
    bin_width_s: float,
    rng: np.random.Generator,
    kernel_s: float = 0.05,
    n_repeats: int = 20,
) -> PsthCeiling:
    """Ceiling of the PSTH R2, averaged over `n_repeats` random divisions into halves.

    Conditions of one trial cannot be divided and are left out. A ceiling can fall below 0 for a
    unit whose halves disagree.
    """
    y = as_three_axes("counts", counts)
    need_shape("conditions", condition, (len(y),))
    groups = [np.flatnonzero(condition == label) for label in np.unique(condition)]
    groups = [trials for trials in groups if len(trials) > 1]
    if not groups or n_repeats < 1:
        raise DataError(
            f"{len(groups)} conditions have two trials or more and n_repeats is {n_repeats}; a "
            "split-half ceiling needs at least one of each. Give more trials."
        )
    divisions = [[rng.permutation(trials) for trials in groups] for _ in range(n_repeats)]
    pairs = [_halves(y, division, kernel_s, bin_width_s) for division in divisions]
    covariance = np.mean([_covariance(first, second) for first, second in pairs], axis=0)
    one = np.mean([[_covariance(half, half) for half in pair] for pair in pairs], axis=(0, 1))
    is_scored = one > RELATIVE_ROUNDING * np.mean(
        [np.nansum(a**2, axis=(0, 1)) for a, _ in pairs], axis=0
    )
    if not is_scored.any():
        raise DataError(
            f"none of the {y.shape[2]} units' averages varies over bins and conditions, so the "
            "PSTH has no ceiling. Give active units."
        )
    signal, half = covariance[is_scored], one[is_scored]
    # The mean of two halves has variance (half + signal) / 2.
    full = np.where(half + signal > 0, (half + signal) / 2, half)
    return PsthCeiling(
        half=float((signal / half).mean()),
        full=float((signal / full).mean()),
        n_scored=int(is_scored.sum()),
        n_excluded=int((~is_scored).sum()),
        n_repeats=n_repeats,
    )


def _halves(
    counts: NDArray[np.float64],
    division: list[NDArray[np.int64]],
    kernel_s: float,
    bin_width_s: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smoothed averages [condition, bin, unit] over each half; an odd trial goes to the second."""
    cut = [(trials[: len(trials) // 2], trials[len(trials) // 2 :]) for trials in division]
    first, second = (
        np.stack([mean_over_trials(counts[half[side]]) for half in cut]) for side in (0, 1)
    )
    return (
        smooth_over_time(first, kernel_s, bin_width_s=bin_width_s),
        smooth_over_time(second, kernel_s, bin_width_s=bin_width_s),
    )


def _covariance(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of products about the means per unit, where both are present, [unit]."""
    present = np.isfinite(first) & np.isfinite(second)
    n_present = np.maximum(present.sum(axis=(0, 1)), 1)
    a, b = (np.where(present, values, 0.0) for values in (first, second))
    return np.asarray(
        (a * b).sum(axis=(0, 1)) - a.sum(axis=(0, 1)) * b.sum(axis=(0, 1)) / n_present
    )
