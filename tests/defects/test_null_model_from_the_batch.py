"""A peer's bits per spike compare with the mean of the mini-batch, and change with its size."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lfads_torch.analysis.metrics.bits_per_spike import (
    bits_per_spike,
    bits_per_spike_over_training_mean,
)

RANDOM = np.random.default_rng(5)
SCALE = np.array([0.2, 0.5, 1.0, 4.0, 9.0])[:, None, None]  # trials that differ much in their rates
COUNTS = RANDOM.poisson(SCALE, (5, 7, 3)).astype(float)
RATES = SCALE * RANDOM.uniform(0.5, 1.5, (5, 7, 3))
TRAIN = RANDOM.poisson(1.1, (11, 7, 3)).astype(float)


def slow_bits(null: np.ndarray) -> float:
    gain = stats.poisson.logpmf(COUNTS, RATES) - stats.poisson.logpmf(COUNTS, null)
    return float(gain.sum() / COUNTS.sum() / np.log(2))


def test_the_null_is_the_mean_over_all_trials_evaluated():
    found = bits_per_spike(COUNTS, RATES).value
    assert found == pytest.approx(slow_bits(COUNTS.mean((0, 1))), rel=1e-10)
    of_batches = [bits_per_spike(COUNTS[[b]], RATES[[b]]).value for b in range(5)]
    assert abs(np.mean(of_batches) - found) > 0.05  # so that the line above can fail


def test_the_training_trials_null_knows_no_evaluated_trial_at_all():
    found = bits_per_spike_over_training_mean(COUNTS, RATES, train_counts=TRAIN)
    assert found.value == pytest.approx(slow_bits(TRAIN.mean((0, 1))), rel=1e-10)
    for b in range(5):
        alone = bits_per_spike_over_training_mean(COUNTS[[b]], RATES[[b]], train_counts=TRAIN)
        assert alone.nll_null[0] == pytest.approx(found.nll_null[b], rel=1e-12)


def test_a_resampling_of_trials_keeps_the_null_of_them_all():
    score = bits_per_spike(COUNTS, RATES)
    only_last = score.resample(np.array([[0.0, 0.0, 0.0, 0.0, 1.0]]))[0]
    mean = COUNTS.mean((0, 1))
    gain = stats.poisson.logpmf(COUNTS[4], RATES[4]) - stats.poisson.logpmf(COUNTS[4], mean)
    assert only_last == pytest.approx(gain.sum() / COUNTS[4].sum() / np.log(2), rel=1e-10)
