from __future__ import annotations

import numpy as np
import pytest

from lfads_torch.analysis.metrics.bits_per_spike import bits_per_spike
from lfads_torch.analysis.metrics.masked import (
    complementary_masks,
    masked_bits_per_spike,
    masked_rates,
)
from lfads_torch.errors import DataError, SettingsError

IS_ENCODED = np.array([True, False, True])
IS_ENCODED_BIN = np.array([True, True, True, True, False])


def masks(n_masks=3, seed=0, n_trials=4):
    return complementary_masks(
        n_trials,
        n_masks,
        is_encoded=IS_ENCODED,
        is_encoded_bin=IS_ENCODED_BIN,
        rng=np.random.default_rng(seed),
    )


def random_counts(n_trials=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.poisson(0.8, size=(n_trials, 5, 3)).astype(float)


@pytest.mark.parametrize("n_masks", [2, 3, 5, 8])
def test_each_encoded_entry_is_hidden_exactly_once(n_masks):
    hidden_by = masks(n_masks)
    encoded = np.broadcast_to(IS_ENCODED_BIN[:, None] & IS_ENCODED, hidden_by.shape)
    times_hidden = sum((hidden_by == k).astype(int) for k in range(n_masks))
    np.testing.assert_array_equal(times_hidden, encoded.astype(int))
    sizes = np.array([(hidden_by == k).sum(axis=(1, 2)) for k in range(n_masks)])
    assert sizes.max() - sizes.min() <= 1


def test_the_masks_follow_from_the_seed():
    np.testing.assert_array_equal(masks(seed=3), masks(seed=3))
    assert (masks(seed=3) != masks(seed=4)).any()
    assert (masks()[0] != masks()[1]).any()


def test_each_entry_comes_from_the_pass_that_did_not_see_it():
    counts, hidden_by = random_counts(), masks()
    seen = []

    def model(visible, is_hidden):
        assert np.isnan(visible[is_hidden]).all()
        np.testing.assert_array_equal(visible[~is_hidden], counts[~is_hidden])
        seen.append(is_hidden)
        return np.full(counts.shape, float(len(seen)))

    rates = masked_rates(counts, hidden_by, model)
    assert len(seen) == 3
    np.testing.assert_array_equal(rates[hidden_by >= 0], hidden_by[hidden_by >= 0] + 1)
    assert np.isnan(rates[hidden_by < 0]).all()


def test_passing_the_input_through_earns_nothing():
    counts = random_counts(33)
    identity = bits_per_spike(counts, counts + 1e-3)
    masked = masked_bits_per_spike(
        counts,
        lambda visible, _: np.nan_to_num(visible) + 1e-3,
        is_encoded=IS_ENCODED,
        is_encoded_bin=IS_ENCODED_BIN,
        rng=np.random.default_rng(0),
    )
    assert identity.value > 0.5
    assert masked.value < -1


def test_the_score_is_bits_per_spike_of_the_encoded_entries():
    counts = random_counts(7)
    counts[0, 1, 0] = np.nan
    rates = np.random.default_rng(1).gamma(2, 0.5, size=counts.shape)
    score = masked_bits_per_spike(
        counts,
        lambda *_: rates,
        is_encoded=IS_ENCODED,
        is_encoded_bin=IS_ENCODED_BIN,
        rng=np.random.default_rng(0),
    )
    cut = np.ix_(np.arange(7), np.flatnonzero(IS_ENCODED_BIN), np.flatnonzero(IS_ENCODED))
    assert score.value == pytest.approx(bits_per_spike(counts[cut], rates[cut]).value)
    assert score.label == "masked (5 masks)"


@pytest.mark.parametrize("n_masks", [0, 1, 9])
def test_too_few_or_too_many_masks_are_refused(n_masks):
    with pytest.raises(SettingsError, match="at least 2 masks"):
        masks(n_masks)


def test_a_model_that_drops_bins_is_refused():
    with pytest.raises(DataError, match=r"rates of shape \(4, 4, 3\)"):
        masked_rates(random_counts(), masks(), lambda visible, _: visible[:, 1:])
