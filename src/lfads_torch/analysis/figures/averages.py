"""Condition averages, smoothing and principal components, as the figures show them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.metrics.conditions import mean_over_trials
from lfads_torch.analysis.metrics.smoothing import smooth_over_time

__all__ = ["SMOOTHING_S", "condition_means", "modulation", "principal_components", "smoothed"]

SMOOTHING_S = 0.05  # standard deviation of the Gaussian of the condition averages (SCORES)


def condition_means(
    values: NDArray[Any], labels: NDArray[np.str_], names: Sequence[str]
) -> NDArray[np.float64]:
    """Mean over the trials of each condition [condition, T, ...]; NaN where none has an entry."""
    return np.stack([mean_over_trials(values[labels == name].astype(np.float64)) for name in names])


def smoothed(values: NDArray[Any], bin_width_s: float) -> NDArray[np.float64]:
    """Averages [condition, T, N] smoothed over bins as the scores smooth them."""
    return smooth_over_time(values, SMOOTHING_S, bin_width_s=bin_width_s)


def modulation(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much each unit's averages [condition, T, N] vary, over their mean: 0 for silent units."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a unit missing everywhere
        level = np.nanmean(np.abs(means), axis=(0, 1))
        spread = np.nanvar(means, axis=(0, 1))
    known = np.isfinite(level) & (level > 0)
    return np.where(known, np.divide(spread, level, where=known, out=np.zeros_like(level)), 0.0)


def principal_components(
    values: NDArray[Any], n_components: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores [..., component] of `values` [..., D], and each component's share of the variance.

    The sign of a component is arbitrary; here its largest loading is positive, so that a figure
    does not depend on the library of linear algebra. Rows with NaN (beyond the end of a trial)
    stay NaN.
    """
    flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
    known = flat[~np.isnan(flat).any(axis=1)]
    centred = flat - known.mean(axis=0)
    known = known - known.mean(axis=0)
    variance, loadings = np.linalg.eigh(known.T @ known / max(len(known), 1))
    order = np.argsort(variance)[::-1][:n_components]
    loadings = loadings[:, order]
    largest = np.abs(loadings).argmax(axis=0)
    loadings = loadings * np.where(loadings[largest, np.arange(len(order))] < 0, -1.0, 1.0)
    share = np.clip(variance[order], 0, None) / max(float(np.clip(variance, 0, None).sum()), 1e-300)
    return (centred @ loadings).reshape(*values.shape[:-1], len(order)), share
