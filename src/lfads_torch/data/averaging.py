"""Signals with a sampling rate of their own -> averages in the bins of trials.

Axes: `B` trial, `L` bin, `S` sample, `D` dimension. Times in seconds on one clock.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.binning import Window, checked_samples, edge_tolerance_s

__all__ = ["average_in_bins", "bins_with_samples"]


def average_in_bins(
    signal: NDArray[Any], sample_times: NDArray[Any], event_times: NDArray[Any], window: Window
) -> NDArray[np.float64]:
    """Mean of the samples [S, D] in each bin, [B, L, D]; NaN where a bin has none.

    A sample that is NaN is none. A bin holds its left edge and not its right one, with the
    tolerance of spike times. Each sample counts the same, however far its neighbours are.
    """
    values, times = checked_samples(signal, sample_times)
    position = _first_samples(times, event_times, window)
    first, stop = position[:, :-1].ravel(), position[:, 1:].ravel()
    is_known = ~np.isnan(values)
    total = _sums(np.where(is_known, values, 0.0), first, stop)
    n_samples = _sums(is_known.astype(np.float64), first, stop)
    mean = np.divide(total, n_samples, out=np.full_like(total, np.nan), where=n_samples > 0)
    return mean.reshape(len(position), window.n_bins, values.shape[1])


def bins_with_samples(
    signal: NDArray[Any], sample_times: NDArray[Any], event_times: NDArray[Any], window: Window
) -> NDArray[np.bool_]:
    """Which bins hold a sample [S, D] of any dimension, [B, L]: those whose mean is not NaN."""
    values, times = checked_samples(signal, sample_times)
    position = _first_samples(times, event_times, window)
    n_known = np.append(0, np.cumsum(~np.isnan(values).all(axis=1)))
    return np.diff(n_known[position], axis=1) > 0


def _first_samples(
    times: NDArray[np.float64], event_times: NDArray[Any], window: Window
) -> NDArray[np.intp]:
    """Position of the first sample at or after each edge of the bins, [B, L + 1]."""
    events = np.asarray(event_times, dtype=np.float64)
    edges = window.start_s + np.arange(window.n_bins + 1) * window.bin_width_s
    at = events[:, None] + edges
    slack = edge_tolerance_s(window.bin_width_s, np.append(at, times[-1:]))
    return np.searchsorted(times, at - slack)


def _sums(
    values: NDArray[np.float64], first: NDArray[np.intp], stop: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Sums [K, D] of rows from `first` up to `stop`, each by itself.

    Differences of one running sum would leave rounding where all rows are 0, and exact zeros
    mean something in a zero-inflated family.
    """
    padded = np.concatenate([values, np.zeros((1, values.shape[1]))])  # `stop` may be past the end
    pairs = np.stack([first, stop], axis=1).ravel()
    sums = np.add.reduceat(padded, pairs, axis=0)[::2]
    return np.where((first < stop)[:, None], sums, 0.0)
