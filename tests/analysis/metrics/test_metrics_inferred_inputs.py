from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from lfads_torch.analysis.metrics.inferred_inputs import (
    AutoregressivePrior,
    control_fraction,
    input_content,
    largest_input_time,
    lead_lag_histogram,
    pulse_timing,
    whitened_magnitude,
)
from lfads_torch.errors import DataError, SettingsError

PRIOR = AutoregressivePrior(
    time_constant_bins=np.array([10.0, 0.0, 2.0]), variance=np.array([0.1, 0.5, 1.5])
)


def prior_covariance(prior, dimension, n_bins):
    a, v1 = prior.coefficient[dimension], prior.stationary_variance[dimension]
    lag = np.abs(np.subtract.outer(np.arange(n_bins), np.arange(n_bins)))
    return v1 * np.where(lag == 0, 1.0, a ** np.where(lag == 0, 1, lag))


def random_posterior(shape=(3, 5, 3), seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape), rng.uniform(0.2, 1.0, size=shape), rng


def test_without_samples_it_is_the_divergence_of_two_normals():
    mean, std, _ = random_posterior()
    content = input_content(mean, std, PRIOR)
    assert content.along == "factorised"
    for trial in range(3):
        for d in range(3):
            prior = prior_covariance(PRIOR, d, 5)
            inverse = np.linalg.inv(prior)
            posterior, m = np.diag(std[trial, :, d] ** 2), mean[trial, :, d]
            log_ratio = np.linalg.slogdet(prior)[1] - np.linalg.slogdet(posterior)[1]
            expected = 0.5 * (np.trace(inverse @ posterior) + m @ inverse @ m - 5 + log_ratio)
            assert content.kl_per_trial[trial, d] == pytest.approx(expected)
    np.testing.assert_allclose(content.kl, content.kl_per_trial.mean(axis=0))


def test_along_samples_it_averages_to_the_divergence_even_if_means_follow_the_past():
    prior = AutoregressivePrior(time_constant_bins=np.array([5.0]), variance=np.array([0.4]))
    rng, n_samples, n_bins, follow, std = np.random.default_rng(0), 20000, 4, 0.9, 0.5
    sample = np.zeros((n_samples, n_bins, 1))
    mean = np.zeros_like(sample)
    for t in range(n_bins):
        mean[:, t] = follow * sample[:, t - 1] if t else 0.3
        sample[:, t] = mean[:, t] + std * rng.normal(size=(n_samples, 1))
    content = input_content(mean, np.full_like(mean, std), prior, sample=sample)
    lower = np.eye(n_bins) - follow * np.eye(n_bins, k=-1)
    posterior = std**2 * np.linalg.inv(lower) @ np.linalg.inv(lower).T
    start = np.linalg.inv(lower) @ np.array([0.3, 0, 0, 0])
    draws = sample[:, :, 0]
    log_ratio = multivariate_normal(start, posterior).logpdf(draws) - multivariate_normal(
        np.zeros(n_bins), prior_covariance(prior, 0, n_bins)
    ).logpdf(draws)
    standard_error = log_ratio.std() / np.sqrt(n_samples)
    assert content.along == "sample"
    assert content.kl[0] == pytest.approx(log_ratio.mean(), abs=5 * standard_error)


def test_the_prior_itself_has_no_divergence_in_one_bin_and_unit_variance_ratio():
    v1 = PRIOR.stationary_variance
    mean = np.random.default_rng(0).normal(size=(9999, 1, 3)) * np.sqrt(v1)
    content = input_content(np.zeros((1, 1, 3)), np.sqrt(v1)[None, None], PRIOR)
    np.testing.assert_allclose(content.kl, 0.0, atol=1e-12)
    np.testing.assert_allclose(
        input_content(mean, np.ones_like(mean), PRIOR).variance_ratio, 1.0, rtol=0.06
    )


def test_whitened_draws_of_the_prior_are_standard_normal():
    rng, n = np.random.default_rng(0), 4000
    draws = np.stack(
        [
            rng.multivariate_normal(np.zeros(4), prior_covariance(PRIOR, d, 4), size=n)
            for d in range(3)
        ],
        axis=2,
    )
    square = whitened_magnitude(draws, PRIOR, whiten="innovations") ** 2
    np.testing.assert_allclose(square.mean(axis=0), 3.0, rtol=0.06)
    assert abs(np.corrcoef(square[:, 1], square[:, 2])[0, 1]) < 0.06
    stationary = whitened_magnitude(draws, PRIOR) ** 2
    np.testing.assert_allclose(stationary.mean(axis=0), 3.0, rtol=0.06)
    expected = (draws[7, 2] ** 2 / PRIOR.stationary_variance).sum()
    assert stationary[7, 2] == pytest.approx(expected)


def test_the_input_of_a_step_is_timed_at_its_onset_and_whatever_its_sign():
    inputs = np.zeros((2, 33, 3))
    inputs[0, 20:23, 0] = 2.0
    inputs[1, 20:23, 0] = -2.0
    time_s = (np.arange(33) + 0.5) * 0.01
    magnitude = whitened_magnitude(inputs, PRIOR, whiten="innovations")
    largest = largest_input_time(magnitude, time_s=time_s)
    np.testing.assert_allclose(largest, 0.205)


def timing_case(tolerance_s=0.03):
    """Errors of 0, 30, 40 and -20 ms, and one trial without pulse."""
    time_s = np.arange(100) * 0.01
    pulses = np.array([0.50, 0.50, 0.60, 0.40, np.nan])
    magnitude = np.zeros((5, 100))
    magnitude[np.arange(5), [50, 53, 64, 38, 10]] = 1.0
    timing = pulse_timing(magnitude, time_s=time_s, pulse_time_s=pulses, tolerance_s=tolerance_s)
    return timing, time_s, pulses[:4], np.array([0.50, 0.53, 0.64, 0.38])


def test_the_share_within_the_tolerance():
    timing, *_ = timing_case()
    np.testing.assert_allclose(timing.error_s, [0.0, 0.03, 0.04, -0.02], atol=1e-12)
    np.testing.assert_array_equal(timing.is_within, [True, True, False, True])
    assert timing.value == 0.75
    assert timing.n_without_pulse == 1
    np.testing.assert_allclose(timing.resample([[1, 1, 1, 1], [0, 1, 3, 0]]), [0.75, 0.25])


def test_chance_is_a_random_bin_and_the_pulses_of_other_trials():
    timing, time_s, pulses, largest = timing_case()
    uniform = [abs(t - p) <= 0.03 + 1e-9 for t in time_s for p in pulses]
    assert timing.chance_uniform == pytest.approx(np.mean(uniform))
    rng = np.random.default_rng(0)
    permuted = [
        (np.abs(largest - rng.permutation(pulses)) <= 0.03 + 1e-9).mean() for _ in range(4000)
    ]
    assert timing.chance_permuted == pytest.approx(np.mean(permuted), abs=0.02)


def test_a_control_without_pulses_is_timed_against_the_pulses():
    assert control_fraction(np.array([0.1, 0.52]), np.array([0.5, 0.9])) == 0.25


def test_the_histogram_says_who_leads():
    timing, *_ = timing_case()
    edges, counts = lead_lag_histogram(timing, bin_width_s=0.01, limit_s=0.03)
    np.testing.assert_allclose(edges, [-0.035, -0.025, -0.015, -0.005, 0.005, 0.015, 0.025, 0.035])
    np.testing.assert_array_equal(counts, [0, 1, 0, 1, 0, 0, 2])


def test_messages():
    mean, std, _ = random_posterior()
    with pytest.raises(DataError, match="stds finite and above 0"):
        input_content(mean, 0 * std, PRIOR)
    with pytest.raises(DataError, match="prior variances have shape"):
        input_content(mean[:, :, :2], std[:, :, :2], PRIOR)
    with pytest.raises(DataError, match="variances above 0"):
        AutoregressivePrior(time_constant_bins=np.ones(1), variance=np.zeros(1))
    with pytest.raises(SettingsError, match='"stationary" or "innovations"'):
        whitened_magnitude(mean, PRIOR, whiten="both")
    with pytest.raises(DataError, match="0 of 2 trials have a pulse time"):
        pulse_timing(np.ones((2, 3)), time_s=np.arange(3), pulse_time_s=np.full(2, np.nan))
    with pytest.raises(DataError, match="magnitudes have shape"):
        pulse_timing(np.ones((2, 3)), time_s=np.arange(4), pulse_time_s=np.ones(2))
