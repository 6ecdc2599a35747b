"""The coefficient of determination, kept as sums per trial so that resampling trials is cheap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.metrics.arrays import (
    Numbers,
    as_three_axes,
    need_finite,
    need_shape,
)
from lfads_torch.errors import DataError

__all__ = ["RELATIVE_ROUNDING", "PooledR2", "has_variance", "mean_over_columns", "pooled_r2"]

# Variance below this share of the mean square is rounding of a constant, not signal.
RELATIVE_ROUNDING = 1e-24


@dataclass(frozen=True, kw_only=True)
class PooledR2:
    """R2 of each column (unit or dimension), pooled over trials and bins, and their mean.

    Columns without variance in the target have no R2: they are left out of the mean and counted.
    Targets are stored relative to their overall mean, which keeps the sums of squares accurate.
    """

    limits: ClassVar[tuple[float, float]] = (-np.inf, 1.0)

    label: str
    n_entries: NDArray[np.float64]  # [B, D], present entries of each trial
    target_sum: NDArray[np.float64]  # [B, D], of the centred target
    target_square: NDArray[np.float64]  # [B, D]
    error_square: NDArray[np.float64]  # [B, D]
    is_scored: NDArray[np.bool_]  # [D], has variance

    @property
    def n_trials(self) -> int:
        return len(self.n_entries)

    @property
    def n_excluded(self) -> int:
        """Columns without variance."""
        return int((~self.is_scored).sum())

    @property
    def per_column(self) -> NDArray[np.float64]:
        """R2 of the columns with variance, in their order, [number scored]."""
        return np.asarray(self.resample_columns(np.ones((1, self.n_trials)))[0])

    @property
    def value(self) -> float:
        """Uniform mean over the columns with variance."""
        return float(self.per_column.mean())

    def resample(self, weights: Numbers) -> NDArray[np.float64]:
        """The score with each trial counted as often as `weights` [S, B] says, [S]."""
        return mean_over_columns(self.resample_columns(weights))

    def resample_columns(self, weights: Numbers) -> NDArray[np.float64]:
        """As `resample`, for each column with variance; NaN where a resampling leaves none."""
        scored = self.is_scored
        n, total, square, error = (
            np.asarray(weights, dtype=np.float64) @ sums[:, scored]
            for sums in (self.n_entries, self.target_sum, self.target_square, self.error_square)
        )
        variance = square - total**2 / np.maximum(n, 1)
        usable = variance > 1e-12 * np.maximum(square, np.finfo(np.float64).tiny)
        return np.where(usable, 1 - error / np.where(usable, variance, 1.0), np.nan)


def pooled_r2(target: Numbers, prediction: Numbers, *, label: str) -> PooledR2:
    """R2 = 1 - sum (y - p)^2 / sum (y - mean y)^2 per column, sums over trials and bins.

    `target` is [trial, bin, column] with NaN where missing; the prediction must be finite wherever
    the target is present. Equals `sklearn.metrics.r2_score` on the flattened arrays, but for
    columns without variance, which have no R2 here.
    """
    y = as_three_axes(f"{label}: targets", target)
    p = as_three_axes(f"{label}: predictions", prediction)
    need_shape(f"{label}: predictions", p, y.shape)
    present = np.isfinite(y)
    need_finite(f"{label}: predictions", p, present)
    is_scored = has_variance(y)
    if not is_scored.any():
        raise DataError(
            f"{label}: none of the {y.shape[2]} columns of the target varies over the "
            f"{y.shape[0]} trials and {y.shape[1]} bins, so R2 is undefined. Score more trials, or "
            "a target that changes."
        )
    n_present = np.maximum(present.sum(axis=(0, 1)), 1)
    centred = np.where(present, y - np.where(present, y, 0.0).sum(axis=(0, 1)) / n_present, 0.0)
    error = np.where(present, y - p, 0.0)
    return PooledR2(
        label=label,
        n_entries=present.sum(axis=1).astype(np.float64),
        target_sum=centred.sum(axis=1),
        target_square=(centred**2).sum(axis=1),
        error_square=(error**2).sum(axis=1),
        is_scored=is_scored,
    )


def mean_over_columns(per_column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean over the last axis of what is not NaN; NaN where nothing is left."""
    known = np.isfinite(per_column)
    n_known = known.sum(axis=-1)
    total = np.where(known, per_column, 0.0).sum(axis=-1)
    return np.where(n_known > 0, total / np.maximum(n_known, 1), np.nan)


def has_variance(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which columns of [trial, bin, column] vary over their present entries."""
    present = np.isfinite(values)
    n_present = np.maximum(present.sum(axis=(0, 1)), 1)
    filled = np.where(present, values, 0.0)
    mean = filled.sum(axis=(0, 1)) / n_present
    variance = np.where(present, (values - mean) ** 2, 0.0).sum(axis=(0, 1))
    return np.asarray(variance > RELATIVE_ROUNDING * (filled**2).sum(axis=(0, 1)))
