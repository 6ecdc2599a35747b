from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from sklearn.linear_model import PoissonRegressor

from lfads_torch.analysis.metrics.baselines import (
    condition_mean_rates,
    poisson_regression_rates,
    smoothed_behaviour_r2,
    unit_mean_rates,
)
from lfads_torch.analysis.metrics.behaviour import behaviour_r2
from lfads_torch.analysis.metrics.bits_per_spike import bits_per_spike
from lfads_torch.errors import DataError, SettingsError

BIN_S = 0.01


def random_case(n_trials=33, n_bins=21, n_units=6, seed=0):
    """Counts driven by one latent that differs between two conditions and between trials."""
    rng = np.random.default_rng(seed)
    condition = np.arange(n_trials) % 2
    phase = np.linspace(0, 3, n_bins)[None] + condition[:, None] + rng.normal(size=(n_trials, 1))
    rates = np.exp(1.5 * np.sin(phase)[:, :, None] * np.where(np.arange(n_units) % 2, 1, -1))
    return rng.poisson(rates).astype(float), condition, phase


def test_the_unit_mean():
    counts, _, _ = random_case()
    counts[0, 0, 0] = np.nan
    got = unit_mean_rates(counts, n_trials=3)
    assert got.shape == (3, 21, 6)
    np.testing.assert_allclose(got[2, 7], np.nanmean(counts, axis=(0, 1)))


def test_the_condition_mean_is_smoothed_and_mixed():
    counts, condition, _ = random_case(9)
    asked = np.array([1, 0, 1])
    got = condition_mean_rates(counts, condition, condition=asked, bin_width_s=BIN_S)
    for row, label in zip(got, asked, strict=True):
        own = gaussian_filter1d(counts[condition == label].mean(axis=0), 4.0, axis=0)
        overall = gaussian_filter1d(counts.mean(axis=0), 4.0, axis=0)
        np.testing.assert_allclose(row, 0.9 * own + 0.1 * overall)


def test_a_bin_missing_in_a_whole_condition_gets_the_mean_of_all_trials():
    counts, condition, _ = random_case(4, n_bins=3)
    counts[condition == 0, :, 2] = np.nan
    got = condition_mean_rates(
        counts, condition, condition=np.array([0]), bin_width_s=BIN_S, kernel_s=0.0
    )
    np.testing.assert_allclose(got[0, :, 2], counts[condition == 1, :, 2].mean(axis=0))


def test_the_labels_are_worth_something():
    counts, condition, _ = random_case(99)
    rates = condition_mean_rates(
        counts[:66], condition[:66], condition=condition[66:], bin_width_s=BIN_S
    )
    shuffled = condition_mean_rates(
        counts[:66], condition[:66], condition=1 - condition[66:], bin_width_s=BIN_S
    )
    good = bits_per_spike(counts[66:], rates).value
    assert good > max(0.0, bits_per_spike(counts[66:], shuffled).value)


def test_poisson_regression_predicts_held_out_units_from_the_others():
    counts, _, _ = random_case()
    is_encoded = np.array([True, False, True, True, False, True])
    rates = poisson_regression_rates(
        counts[:24], counts[24:], is_encoded=is_encoded, bin_width_s=BIN_S
    )
    assert rates.shape == (9, 21, 2)
    assert bits_per_spike(counts[24:][:, :, ~is_encoded], rates).value > 0
    x = gaussian_filter1d(counts[:, :, is_encoded], 4.0, axis=1)
    x = x / x[:24].std(axis=(0, 1))
    model = PoissonRegressor(alpha=1e-2, max_iter=300).fit(
        x[:24].reshape(-1, 4), counts[:24, :, 4].ravel()
    )
    expected = model.predict(x[24:].reshape(-1, 4)).reshape(9, 21)
    np.testing.assert_allclose(rates[:, :, 1], expected, rtol=1e-6)


def test_silent_and_missing_held_out_units_do_not_stop_it():
    counts, _, _ = random_case(9)
    counts[:, :, 1], counts[:3, :, 2] = 0, np.nan
    counts[:, :, 0] = 0
    rates = poisson_regression_rates(
        counts, counts, is_encoded=np.array([1, 0, 0, 1, 1, 1], bool), bin_width_s=BIN_S
    )
    np.testing.assert_array_equal(rates[:, :, 0], 1e-9)
    assert (rates[:, :, 1] > 0.01).all()


def test_ridge_on_smoothed_counts():
    counts, _, phase = random_case()
    behaviour = np.stack([np.sin(phase), phase], axis=2)
    got = smoothed_behaviour_r2(
        counts[:24],
        behaviour[:24],
        counts=counts[24:],
        behaviour=behaviour[24:],
        bin_width_s=BIN_S,
    )
    smooth = gaussian_filter1d(counts, 5.0, axis=1)
    expected = behaviour_r2(
        smooth[:24], behaviour[:24], rates=smooth[24:], behaviour=behaviour[24:]
    )
    assert got.value == pytest.approx(expected.value)
    assert got.r2.per_column[0] > 0.2


def test_messages():
    counts, condition, _ = random_case(4)
    everything = np.ones(6, dtype=bool)
    with pytest.raises(DataError, match="6 of 6 units are encoded"):
        poisson_regression_rates(counts, counts, is_encoded=everything, bin_width_s=BIN_S)
    with pytest.raises(SettingsError, match="all_trial_share is 2"):
        condition_mean_rates(
            counts, condition, condition=condition, bin_width_s=BIN_S, all_trial_share=2
        )
    with pytest.raises(DataError, match="condition 7 has no trial"):
        condition_mean_rates(counts, condition, condition=np.array([7]), bin_width_s=BIN_S)
