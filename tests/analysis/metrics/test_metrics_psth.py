from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from sklearn.metrics import r2_score

from lfads_torch.analysis.metrics.psth import (
    averaged_psth_r2,
    psth,
    single_trial_psth_r2,
    split_half_ceiling,
)
from lfads_torch.errors import DataError

BIN_S = 0.01


def random_case(n_trials=9, n_bins=33, n_units=3, n_conditions=3, seed=0):
    """Counts, rates near the truth, conditions as text, and the true rates."""
    rng = np.random.default_rng(seed)
    condition = np.array(["left", "right", "up"])[np.arange(n_trials) % n_conditions]
    by_condition = gaussian_filter1d(rng.gamma(1.0, 1.0, (n_conditions, n_bins, n_units)), 5, 1)
    truth = 4 * by_condition[np.arange(n_trials) % n_conditions]
    rates = truth * np.exp(0.1 * rng.normal(size=truth.shape))
    return rng.poisson(truth).astype(float), rates, condition, truth


def stacked(values):
    return values.reshape(-1, values.shape[-1])


def test_the_average_is_smoothed_per_condition():
    counts, _, condition, _ = random_case()
    counts[0, 4, 1] = np.nan
    got = psth(counts, condition, bin_width_s=BIN_S, kernel_s=0.03)
    expected = [
        gaussian_filter1d(np.nanmean(counts[condition == c], axis=0), 3.0, axis=0)
        for c in ("left", "right", "up")
    ]
    np.testing.assert_allclose(got.averages, expected)
    np.testing.assert_array_equal(got.n_trials, [3, 3, 3])


def test_the_single_trial_definition():
    counts, rates, condition, _ = random_case()
    target = psth(counts, condition, bin_width_s=BIN_S)
    per_trial = np.stack([target.averages[list(target.labels).index(c)] for c in condition])
    score = single_trial_psth_r2(rates, condition, target=target)
    assert score.value == pytest.approx(r2_score(stacked(per_trial), stacked(rates)))


def test_the_condition_averaged_definition():
    counts, _, condition, _ = random_case(n_trials=15)
    _, rates, _, _ = random_case(n_trials=4)
    target = psth(counts, condition, bin_width_s=BIN_S)
    mean = np.stack([rates[condition[:4] == c].mean(axis=0) for c in target.labels])
    score = averaged_psth_r2(rates, condition[:4], target=target)
    assert score.value == pytest.approx(r2_score(stacked(target.averages), stacked(mean)))


def test_conditions_without_an_evaluated_trial_do_not_count():
    counts, rates, condition, _ = random_case()
    target = psth(counts, condition, bin_width_s=BIN_S)
    chosen = condition == "up"
    score = averaged_psth_r2(rates[chosen], condition[chosen], target=target)
    expected = r2_score(target.averages[2], rates[chosen].mean(axis=0))
    assert score.value == pytest.approx(expected)


def test_averaging_over_trials_forgives_what_varies_between_them():
    counts, rates, condition, _ = random_case(n_trials=33)
    target = psth(counts, condition, bin_width_s=BIN_S)
    single = single_trial_psth_r2(rates, condition, target=target).value
    assert averaged_psth_r2(rates, condition, target=target).value > single


@pytest.mark.parametrize("score_of", [single_trial_psth_r2, averaged_psth_r2])
def test_units_without_variance_are_excluded_and_counted(score_of):
    counts, rates, condition, _ = random_case()
    counts[:, :, 1] = 0
    target = psth(counts, condition, bin_width_s=BIN_S)
    score = score_of(rates, condition, target=target)
    kept = psth(counts[:, :, [0, 2]], condition, bin_width_s=BIN_S)
    assert score.n_excluded == 1
    expected = score_of(rates[:, :, [0, 2]], condition, target=kept).value
    assert score.value == pytest.approx(expected)


@pytest.mark.parametrize("score_of", [single_trial_psth_r2, averaged_psth_r2])
def test_resampling_trials_is_repeating_them(score_of):
    counts, rates, condition, _ = random_case()
    target = psth(counts, condition, bin_width_s=BIN_S)
    weights = np.array([[1] * 9, [3, 0, 0, 2, 1, 0, 0, 1, 2], [0, 0, 1, 0, 0, 5, 0, 0, 3]])
    got = score_of(rates, condition, target=target).resample(weights)
    for row, value in zip(weights, got, strict=True):
        chosen = np.repeat(np.arange(9), row)
        again = score_of(rates[chosen], condition[chosen], target=target)
        assert value == pytest.approx(again.value)


def test_the_ceiling_is_what_the_noise_free_average_reaches():
    counts, _, condition, truth = random_case(n_trials=24, n_bins=99, n_units=33)
    ceiling = split_half_ceiling(
        counts, condition, bin_width_s=BIN_S, rng=np.random.default_rng(1), kernel_s=0.0
    )
    target = psth(counts, condition, bin_width_s=BIN_S, kernel_s=0.0)
    full = averaged_psth_r2(truth, condition, target=target).value
    half = np.mean(
        [
            averaged_psth_r2(
                truth[half],
                condition[half],
                target=psth(counts[half], condition[half], bin_width_s=BIN_S, kernel_s=0.0),
            ).value
            for half in (np.arange(12), np.arange(12, 24))
        ]
    )
    assert ceiling.full == pytest.approx(full, abs=0.02)
    assert ceiling.half == pytest.approx(half, abs=0.02)
    assert ceiling.half < ceiling.full - 0.02


def test_the_ceiling_excludes_silent_units_and_single_trials():
    counts, _, condition, _ = random_case()
    counts[:, :, 0] = 0
    lone = condition.copy()
    lone[0] = "zigzag"
    rng = np.random.default_rng
    ceiling = split_half_ceiling(counts, lone, bin_width_s=BIN_S, rng=rng(0), n_repeats=3)
    without = split_half_ceiling(counts[1:], lone[1:], bin_width_s=BIN_S, rng=rng(0), n_repeats=3)
    assert (ceiling.n_scored, ceiling.n_excluded) == (2, 1)
    assert ceiling == without


def test_one_condition_is_enough_and_one_trial_is_not():
    counts, rates, _, _ = random_case(n_trials=2)
    same = np.zeros(2, dtype=int)
    target = psth(counts, same, bin_width_s=BIN_S)
    assert np.isfinite(averaged_psth_r2(rates, same, target=target).value)
    with pytest.raises(DataError, match="0 conditions have two trials"):
        split_half_ceiling(counts[:1], same[:1], bin_width_s=BIN_S, rng=np.random.default_rng(0))


def test_messages():
    counts, rates, condition, _ = random_case()
    target = psth(counts[condition != "up"], condition[condition != "up"], bin_width_s=BIN_S)
    for score_of in (single_trial_psth_r2, averaged_psth_r2):
        with pytest.raises(DataError, match="condition up has no trial"):
            score_of(rates, condition, target=target)
    silent = psth(np.zeros_like(counts), condition, bin_width_s=BIN_S)
    with pytest.raises(DataError, match="none of the 3 units"):
        averaged_psth_r2(rates, condition, target=silent)
