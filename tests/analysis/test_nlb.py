from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d
from sklearn.metrics import r2_score

from lfads_torch.analysis.metrics.behaviour import behaviour_r2
from lfads_torch.analysis.metrics.bits_per_spike import bits_per_spike
from lfads_torch.analysis.nlb import BenchmarkTrials, benchmark_scores
from lfads_torch.errors import DataError

IS_ENCODED = np.array([True, False, True, True, False])
IS_ENCODED_BIN = np.arange(9) < 7
BIN_S = 0.01


def random_trials(n_trials, seed, **left_out):
    rng = np.random.default_rng(seed)
    condition = np.arange(n_trials) % 3
    rates = rng.gamma(2.0, 0.5, size=(3, 9, 5))[condition] * rng.gamma(9, 1 / 9, (n_trials, 9, 5))
    arrays = {
        "counts": rng.poisson(rates).astype(float),
        "rates": rates,
        "behaviour": rates @ rng.normal(size=(5, 2)),
        "condition": condition,
    }
    return BenchmarkTrials(**(arrays | left_out))


def scores_of(train, evaluated, *, is_encoded=IS_ENCODED, is_encoded_bin=IS_ENCODED_BIN):
    return benchmark_scores(
        train,
        evaluated,
        is_encoded=is_encoded,
        is_encoded_bin=is_encoded_bin,
        bin_width_s=BIN_S,
    )


def test_each_name_is_its_definition():
    train, evaluated = random_trials(9, 0), random_trials(6, 1)
    scores = scores_of(train, evaluated)
    assert list(scores) == ["co-bps", "vel R2", "psth R2", "fp-bps"]
    counts, rates = evaluated.counts, evaluated.rates
    held_out = bits_per_spike(counts[:, :7][:, :, [1, 4]], rates[:, :7][:, :, [1, 4]])
    assert scores["co-bps"].value == pytest.approx(held_out.value)
    forward = bits_per_spike(counts[:, 7:], rates[:, 7:])
    assert scores["fp-bps"].value == pytest.approx(forward.value)
    decoding = behaviour_r2(
        train.rates[:, :7], train.behaviour[:, :7],
        rates=rates[:, :7], behaviour=evaluated.behaviour[:, :7],
    )  # fmt: skip
    assert scores["vel R2"].value == pytest.approx(decoding.value)
    both = np.concatenate([train.counts, counts])[:, :7]
    labels = np.concatenate([train.condition, evaluated.condition])
    target = np.stack(
        [gaussian_filter1d(both[labels == c].mean(axis=0), 5.0, axis=0) for c in range(3)]
    )[evaluated.condition]
    expected = r2_score(target.reshape(-1, 5), rates[:, :7].reshape(-1, 5))
    assert scores["psth R2"].value == pytest.approx(expected)


def test_what_the_trials_do_not_allow_is_left_out():
    train = random_trials(9, 0, behaviour=None)
    evaluated = random_trials(6, 1, condition=None)
    everything = np.ones(5, dtype=bool)
    assert list(scores_of(train, evaluated)) == ["co-bps", "fp-bps"]
    assert list(scores_of(train, evaluated, is_encoded=everything)) == ["fp-bps"]
    all_bins = np.ones(9, dtype=bool)
    assert list(scores_of(train, evaluated, is_encoded_bin=all_bins)) == ["co-bps"]


def test_missing_counts_are_left_out():
    train, evaluated = random_trials(9, 0), random_trials(6, 1)
    evaluated.counts[0, :, 1] = np.nan
    rates = evaluated.rates.copy()
    rates[0, :, 1] = 50.0
    wild = BenchmarkTrials(counts=evaluated.counts, rates=rates)
    assert scores_of(train, wild)["co-bps"].value == pytest.approx(
        scores_of(train, evaluated)["co-bps"].value
    )


def test_messages():
    with pytest.raises(DataError, match="rates have shape"):
        random_trials(3, 0, rates=np.ones((3, 9, 4)))
    with pytest.raises(DataError, match="behaviour have shape"):
        random_trials(3, 0, behaviour=np.ones((3, 8, 2)))
    with pytest.raises(DataError, match="conditions have shape"):
        random_trials(3, 0, condition=np.arange(2))
    with pytest.raises(DataError, match="is_encoded_bin have shape"):
        scores_of(random_trials(3, 0), random_trials(3, 1), is_encoded_bin=np.ones(8, dtype=bool))
