"""Correlation of units' counts, bin against bin: near 1 for a unit that is in the file twice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_correlation"]


def count_correlation(
    counts: NDArray[Any], lag_bins: int = 0, *, n_trials_at_once: int = 64
) -> NDArray[np.float64]:
    """Pearson correlation over all bins and trials, [N, N], from counts [B, L, N].

    Entry (i, j) compares unit i at bin t with unit j at bin t + lag, within trials. A missing
    entry (NaN or infinite) counts as the unit's mean. Rows of units that never vary are 0, also
    on the diagonal. With no more bins than the lag, all is 0.
    """
    n_trials, n_bins, n_units = counts.shape
    if n_bins <= lag_bins:
        return np.zeros((n_units, n_units))
    mean = _mean(counts, n_trials_at_once)
    product = np.zeros((n_units, n_units))
    early_power, late_power = np.zeros(n_units), np.zeros(n_units)
    for start in range(0, n_trials, n_trials_at_once):
        centred = counts[start : start + n_trials_at_once].astype(np.float64) - mean
        centred[~np.isfinite(centred)] = 0.0
        early = centred[:, : n_bins - lag_bins].reshape(-1, n_units)
        late = centred[:, lag_bins:].reshape(-1, n_units)
        product += early.T @ late
        early_power += (early**2).sum(axis=0)
        late_power += (late**2).sum(axis=0)
    scale = np.sqrt(np.outer(early_power, late_power))
    return np.divide(product, scale, out=np.zeros_like(product), where=scale > 0)


def _mean(counts: NDArray[Any], n_trials_at_once: int) -> NDArray[np.float64]:
    total, present = np.zeros(counts.shape[2]), np.zeros(counts.shape[2])
    for start in range(0, len(counts), n_trials_at_once):
        block = counts[start : start + n_trials_at_once].astype(np.float64)
        finite = np.isfinite(block)
        total += np.where(finite, block, 0.0).sum(axis=(0, 1))
        present += finite.sum(axis=(0, 1))
    return total / np.maximum(present, 1)
