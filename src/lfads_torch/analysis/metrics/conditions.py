"""Averages over the trials of a condition."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.metrics.arrays import Labels, Numbers, as_three_axes, need_shape
from lfads_torch.errors import DataError

__all__ = ["ConditionAverages", "average_by_condition", "mean_over_trials"]


@dataclass(frozen=True, kw_only=True)
class ConditionAverages:
    """Averages [condition, bin, unit]; NaN where a condition has no present entry."""

    labels: Labels  # [C], sorted
    averages: NDArray[np.float64]  # [C, T, N]
    n_trials: NDArray[np.int64]  # [C]

    def of_trials(self, condition: Labels) -> NDArray[np.float64]:
        """The average that belongs to each trial, [trial, bin, unit]."""
        return self.averages[self.positions(condition)]

    def positions(self, condition: Labels) -> NDArray[np.int64]:
        """Which row belongs to each trial; every condition asked for must have been averaged."""
        unknown = np.setdiff1d(condition, self.labels)
        if len(unknown):
            raise DataError(
                f"condition {unknown[0]} has no trial among those that were averaged (they have "
                f"{len(self.labels)} conditions). Split the trials stratified by condition, or "
                "leave this condition's trials out of the score."
            )
        return np.searchsorted(self.labels, condition)


def mean_over_trials(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of the present entries over the first axis, NaN where there is none, [bin, unit]."""
    present = np.isfinite(values)
    n_present = present.sum(axis=0)
    total = np.where(present, values, 0.0).sum(axis=0)
    return np.where(n_present > 0, total / np.maximum(n_present, 1), np.nan)


def average_by_condition(values: Numbers, condition: Labels) -> ConditionAverages:
    """Average [trial, bin, unit] over each condition's trials; missing entries do not count."""
    array = as_three_axes("values to average", values)
    need_shape("conditions", condition, (len(array),))
    labels, positions = np.unique(condition, return_inverse=True)
    averages = np.stack([mean_over_trials(array[positions == c]) for c in range(len(labels))])
    return ConditionAverages(labels=labels, averages=averages, n_trials=np.bincount(positions))
