"""Gaussian smoothing over time that passes over missing entries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.metrics.arrays import Numbers, as_three_axes
from lfads_torch.errors import SettingsError

__all__ = ["smooth_over_time"]


def smooth_over_time(
    values: Numbers, kernel_s: float, *, bin_width_s: float
) -> NDArray[np.float64]:
    """Smooth [trial, bin, unit] over bins with a Gaussian of standard deviation `kernel_s`.

    Each value is a weighted mean of the present ones; the trial is mirrored at its ends, so that
    nothing is drawn towards zero there. An entry stays NaN where nothing within four standard
    deviations is present. A kernel of 0 gives the values back.
    """
    from scipy.ndimage import gaussian_filter1d

    array = as_three_axes("values to smooth", values)
    if not (kernel_s >= 0 and bin_width_s > 0):
        raise SettingsError(
            f"kernel_s is {kernel_s} and bin_width_s is {bin_width_s}; a standard deviation of at "
            "least 0 s and a positive bin width in seconds are needed."
        )
    if kernel_s == 0:
        return array.copy()
    sigma_bins = kernel_s / bin_width_s
    present = np.isfinite(array)
    total = gaussian_filter1d(np.where(present, array, 0.0), sigma_bins, axis=1, mode="reflect")
    if present.all():
        return np.asarray(total, dtype=np.float64)
    weight = gaussian_filter1d(present.astype(np.float64), sigma_bins, axis=1, mode="reflect")
    is_known = weight > 0
    return np.where(is_known, total / np.where(is_known, weight, 1.0), np.nan)
