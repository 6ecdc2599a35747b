"""Correlation of units' counts, bin against bin: near 1 for a unit that is in the file twice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["count_correlation"]


MULTIPLICATIONS_AT_MOST = 2e10  # some seconds on one core
VALUES_AT_ONCE = 2**22  # 32 MiB of float64


def count_correlation(counts: NDArray[Any], lag_bins: int = 0) -> NDArray[np.float64]:
    """Pearson correlation over all bins and trials, [N, N], from counts [B, L, N].

    Entry (i, j) compares unit i at bin t with unit j at bin t + lag, within trials. A missing
    entry (NaN or infinite) counts as the unit's mean. Rows of units that never vary are 0, also
    on the diagonal. With no more bins than the lag, all is 0.
    Of a very large recording evenly spaced trials are taken, so that this takes seconds.
    """
    _, n_bins, n_units = counts.shape
    if n_bins <= lag_bins:
        return np.zeros((n_units, n_units))
    n_enough = max(2, int(MULTIPLICATIONS_AT_MOST / (n_bins * n_units**2)))
    counts = counts[:: max(1, -(-len(counts) // n_enough))]
    blocks = _blocks(counts)
    mean = _mean(blocks, n_units)
    product, powers = np.zeros((n_units, n_units)), np.zeros((2, n_units))
    for block in blocks:
        centred = block.astype(np.float64) - mean
        centred[~np.isfinite(centred)] = 0.0
        early = centred[:, : n_bins - lag_bins].reshape(-1, n_units)
        late = centred[:, lag_bins:].reshape(-1, n_units)
        with np.errstate(over="ignore", invalid="ignore"):  # absurd values have no correlation
            product += early.T @ late
            powers += (early**2).sum(axis=0), (late**2).sum(axis=0)
    scale = np.outer(*np.sqrt(powers))
    is_known = (scale > 0) & np.isfinite(scale) & np.isfinite(product)
    correlation = np.zeros_like(product)
    np.divide(product, scale, out=correlation, where=is_known)
    return correlation


def _blocks(counts: NDArray[Any]) -> list[NDArray[Any]]:
    n_trials_at_once = max(1, VALUES_AT_ONCE // counts[0].size)
    starts = range(0, len(counts), n_trials_at_once)
    return [counts[start : start + n_trials_at_once] for start in starts]


def _mean(blocks: list[NDArray[Any]], n_units: int) -> NDArray[np.float64]:
    total, present = np.zeros(n_units), np.zeros(n_units)
    for block in blocks:
        block = np.asarray(block)
        finite = np.isfinite(block)
        total += np.where(finite, block, 0.0).sum(axis=(0, 1), dtype=np.float64)
        present += finite.sum(axis=(0, 1))
    return total / np.maximum(present, 1)
