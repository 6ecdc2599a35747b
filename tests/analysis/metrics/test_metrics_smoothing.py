from __future__ import annotations

import numpy as np
import pytest

from lfads_torch.analysis.metrics.smoothing import smooth_over_time
from lfads_torch.errors import DataError, SettingsError


def slow_smooth(values, sigma):
    """Weighted mean of the present bins of the trial mirrored at its ends."""
    n = len(values)
    radius = int(4 * sigma + 0.5)
    out = np.full(n, np.nan)
    for t in range(n):
        total = weight = 0.0
        for shift in range(-radius, radius + 1):
            position = (t + shift) % (2 * n)
            position = position if position < n else 2 * n - 1 - position
            w = np.exp(-0.5 * (shift / sigma) ** 2)
            if not np.isnan(values[position]):
                total, weight = total + w * values[position], weight + w
        out[t] = total / weight if weight > 0 else np.nan
    return out


@pytest.mark.parametrize("n_bins", [1, 3, 33])
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_it_is_a_weighted_mean_of_the_present_bins(n_bins, missing):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(2, n_bins, 3))
    values[rng.random(values.shape) < missing] = np.nan
    got = smooth_over_time(values, 0.02, bin_width_s=0.01)
    for trial in range(2):
        for unit in range(3):
            expected = slow_smooth(values[trial, :, unit], 2.0)
            np.testing.assert_allclose(got[trial, :, unit], expected, atol=1e-12)


def test_a_constant_stays_constant_and_far_gaps_stay_missing():
    values = np.full((1, 99, 1), 3.0)
    values[0, 20:80] = np.nan
    got = smooth_over_time(values, 0.02, bin_width_s=0.01)[0, :, 0]
    np.testing.assert_allclose(got[np.isfinite(got)], 3.0)
    assert np.isnan(got[50])
    assert np.isfinite(got[21])


def test_no_kernel_changes_nothing():
    values = np.random.default_rng(0).normal(size=(1, 3, 1))
    np.testing.assert_array_equal(smooth_over_time(values, 0.0, bin_width_s=0.01), values)


def test_messages():
    with pytest.raises(SettingsError, match="kernel_s is -1"):
        smooth_over_time(np.ones((1, 1, 1)), -1.0, bin_width_s=0.01)
    with pytest.raises(DataError, match="three axes"):
        smooth_over_time(np.ones(3), 0.1, bin_width_s=0.01)
