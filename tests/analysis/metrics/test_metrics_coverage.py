from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from lfads_torch.analysis.metrics.coverage import band_coverage
from lfads_torch.errors import DataError, SettingsError


def random_case(scale=1.0, shape=(9, 33, 7)):
    rng = np.random.default_rng(0)
    rates = rng.gamma(2.0, 5.0, size=shape)
    std = rng.gamma(2.0, 1.0, size=shape)
    return rates, std, rates + scale * std * rng.normal(size=shape)


def test_a_calibrated_spread_covers_what_it_says():
    rates, std, truth = random_case()
    half, most = band_coverage(rates, std, true_rates=truth)
    assert (half.nominal, most.nominal) == (0.5, 0.9)
    assert half.value == pytest.approx(0.5, abs=0.04)
    assert most.value == pytest.approx(0.9, abs=0.03)


def test_a_spread_of_half_the_error_covers_too_little():
    rates, std, truth = random_case(scale=2.0)
    (most,) = band_coverage(rates, std, true_rates=truth, levels=[0.9])
    expected = 1 - 2 * norm.sf(norm.ppf(0.95) / 2)
    assert most.value == pytest.approx(expected, abs=0.03)


def test_it_is_the_share_entry_by_entry():
    rates, std, truth = random_case(shape=(3, 5, 2))
    truth[1, 2, 0] = np.nan
    (band,) = band_coverage(rates, std, true_rates=truth, levels=[0.5])
    z, inside = norm.ppf(0.75), []
    for trial, time, unit in np.ndindex(truth.shape):
        t, r, s = (a[trial, time, unit] for a in (truth, rates, std))
        if not np.isnan(t):
            inside.append(r - z * s <= t <= r + z * s)
    assert band.value == pytest.approx(np.mean(inside))
    chosen = band.resample([[0, 2, 1]])[0]
    expected = (2 * band.n_inside[1] + band.n_inside[2]) / (2 * 9 + 10)
    assert chosen == pytest.approx(expected)


def test_no_spread_covers_only_what_is_exact():
    rates = np.array([[[1.0, 2.0, 3.0]]])
    truth = np.array([[[1.0, 2.5, 3.0]]])
    (band,) = band_coverage(rates, np.zeros_like(rates), true_rates=truth, levels=[0.9])
    assert band.value == pytest.approx(2 / 3)


def test_messages():
    rates, std, truth = random_case(shape=(3, 5, 2))
    with pytest.raises(DataError, match="at least one known true rate"):
        band_coverage(rates, -std, true_rates=truth)
    with pytest.raises(DataError, match="0 true rates are known"):
        band_coverage(rates, std, true_rates=np.full_like(truth, np.nan))
    with pytest.raises(DataError, match="rate_posterior_std have shape"):
        band_coverage(rates, std[:1], true_rates=truth)
    with pytest.raises(SettingsError, match="between 0 and 1"):
        band_coverage(rates, std, true_rates=truth, levels=[90])
