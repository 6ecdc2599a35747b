from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm, poisson

from lfads_torch.analysis.metrics.bits_per_spike import (
    bits_per_spike,
    bits_per_spike_over_training_mean,
    forward_entries,
    held_out_entries,
    poisson_nll,
    seen_entries,
)
from lfads_torch.errors import DataError


def random_case(shape, *, missing=0.0, seed=0):
    rng = np.random.default_rng(seed)
    rates = rng.gamma(2.0, 0.4, size=shape)
    counts = rng.poisson(rates).astype(float)
    counts.flat[0] = 2
    counts[rng.random(shape) < missing] = np.nan
    return counts, rates


def slow_bits_per_spike(counts, rates):
    """The definition, entry by entry."""
    spikes, nats = 0.0, 0.0
    for unit in range(counts.shape[2]):
        present = counts[:, :, unit][~np.isnan(counts[:, :, unit])]
        mean = present.sum() / max(len(present), 1)
        for trial in range(counts.shape[0]):
            for time in range(counts.shape[1]):
                y = counts[trial, time, unit]
                if np.isnan(y):
                    continue
                spikes += y
                nats += poisson.logpmf(y, rates[trial, time, unit]) - poisson.logpmf(y, mean)
    return nats / spikes / np.log(2)


@pytest.mark.parametrize("shape", [(1, 1, 3), (3, 5, 2), (1, 33, 1), (4, 7, 3)], ids=str)
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_it_is_the_definition_entry_by_entry(shape, missing):
    counts, rates = random_case(shape, missing=missing, seed=len(shape))
    counts[0, 0, 0] = 2
    score = bits_per_spike(counts, rates)
    assert score.value == pytest.approx(slow_bits_per_spike(counts, rates), rel=1e-9, abs=1e-8)
    assert score.null == "evaluated mean"
    assert score.n_entries == np.isfinite(counts).sum()


def test_the_likelihood_is_the_whole_poisson_one():
    counts, rates = random_case((3, 5, 7))
    np.testing.assert_allclose(poisson_nll(counts, rates), -poisson.logpmf(counts, rates), 1e-10)


def test_the_mean_itself_scores_zero_and_the_truth_more():
    counts, rates = random_case((33, 9, 3))
    mean = np.broadcast_to(counts.mean(axis=(0, 1)), counts.shape)
    assert bits_per_spike(counts, mean).value == pytest.approx(0.0, abs=1e-12)
    assert bits_per_spike(counts, rates).value > 0.1


def test_a_silent_unit_costs_what_is_predicted_for_it():
    counts, rates = random_case((3, 5, 2))
    counts[:, :, 1] = 0
    alone = bits_per_spike(counts[:, :, :1], rates[:, :, :1])
    both = bits_per_spike(counts, rates)
    cost = rates[:, :, 1].sum() / counts.sum() / np.log(2)
    assert both.value == pytest.approx(alone.value - cost, abs=1e-7)


def test_a_rate_of_zero_is_taken_as_the_benchmark_takes_it():
    counts, rates = np.array([[[1.0], [0.0]]]), np.array([[[0.0], [0.5]]])
    expected = slow_bits_per_spike(counts, np.array([[[1e-9], [0.5]]]))
    assert bits_per_spike(counts, rates).value == pytest.approx(expected)


def test_missing_entries_may_have_any_prediction():
    counts, rates = random_case((3, 5, 2), missing=0.4)
    counts[0, 0, 0] = 1
    broken = np.where(np.isnan(counts), np.nan, rates)
    assert bits_per_spike(counts, broken).value == bits_per_spike(counts, rates).value


def test_selections_are_the_same_score_on_other_entries():
    counts, rates = random_case((5, 7, 4))
    is_encoded, is_encoded_bin = np.array([True, False, True, False]), np.arange(7) < 5
    for entries, bins, units, label in (
        (held_out_entries, slice(0, 5), [1, 3], "co-smoothing"),
        (forward_entries, slice(5, 7), [0, 1, 2, 3], "forward"),
        (seen_entries, slice(0, 5), [0, 2], "seen by the encoder"),
    ):
        selection = entries(is_encoded, is_encoded_bin)
        score = bits_per_spike(counts, rates, selection=selection)
        cut = (counts[:, bins][:, :, units], rates[:, bins][:, :, units])
        assert score.label == label
        assert score.value == pytest.approx(slow_bits_per_spike(*cut))


def test_there_is_no_selection_where_nothing_is_held_out():
    everything = np.ones(3, dtype=bool)
    assert held_out_entries(everything, everything) is None
    assert forward_entries(everything, everything) is None
    assert seen_entries(everything, everything) is not None


def test_the_training_mean_is_another_null_under_another_name():
    counts, rates = random_case((3, 5, 2))
    train, _ = random_case((9, 5, 2), missing=0.2, seed=4)
    selection = seen_entries(np.array([True, False]), np.arange(5) < 3)
    score = bits_per_spike_over_training_mean(
        counts, rates, train_counts=train, selection=selection
    )
    mean = np.nanmean(train[:, :3, 0])
    nats = poisson.logpmf(counts[:, :3, 0], rates[:, :3, 0]) - poisson.logpmf(
        counts[:, :3, 0], mean
    )
    assert score.null == "training mean"
    assert score.value == pytest.approx(nats.sum() / counts[:, :3, 0].sum() / np.log(2))


def test_another_family_brings_its_likelihood_and_its_null():
    counts, mean = random_case((3, 5, 2), missing=0.2)
    counts[0, 0, 0] = 1
    parameters = np.stack([mean, np.full_like(mean, 0.7)], axis=-1)
    null = np.broadcast_to([0.8, 1.1], parameters.shape)

    def gaussian_nll(y, p):
        return -norm.logpdf(y, p[..., 0], p[..., 1])

    score = bits_per_spike(
        counts, parameters, null_rates=null, negative_log_likelihood=gaussian_nll
    )
    nats = norm.logpdf(counts, mean, 0.7) - norm.logpdf(counts, 0.8, 1.1)
    assert score.value == pytest.approx(np.nansum(nats) / np.nansum(counts) / np.log(2))
    with pytest.raises(DataError, match="null_rates"):
        bits_per_spike(counts, parameters, negative_log_likelihood=gaussian_nll)


def test_resampling_trials_is_repeating_them():
    counts, rates = random_case((4, 5, 3), missing=0.1)
    weights = np.array([[1, 1, 1, 1], [2, 0, 1, 1], [0, 4, 0, 0]])
    null = np.broadcast_to(np.nanmean(counts, axis=(0, 1)), counts.shape)
    got = bits_per_spike(counts, rates).resample(weights)
    for row, value in zip(weights, got, strict=True):
        chosen = np.repeat(np.arange(4), row)
        again = bits_per_spike(counts[chosen], rates[chosen], null_rates=null[chosen])
        assert value == pytest.approx(again.value)


def test_the_order_of_trials_and_units_does_not_matter():
    counts, rates = random_case((5, 3, 4), missing=0.1)
    order, units = np.array([4, 0, 3, 1, 2]), np.array([2, 0, 3, 1])
    shuffled = bits_per_spike(counts[order][:, :, units], rates[order][:, :, units])
    assert shuffled.value == pytest.approx(bits_per_spike(counts, rates).value)


@pytest.mark.parametrize(
    ("counts", "rates", "message"),
    [
        (np.ones((2, 3)), np.ones((2, 3)), "three axes"),
        (np.ones((2, 3, 0)), np.ones((2, 3, 0)), "none of them empty"),
        (np.ones((2, 3, 1)), np.ones((2, 2, 1)), "same trials, bins and"),
        (np.zeros((2, 3, 1)), np.ones((2, 3, 1)), "no spike"),
        (np.full((2, 3, 1), np.nan), np.ones((2, 3, 1)), "no spike"),
        (np.ones((2, 3, 1)), -np.ones((2, 3, 1)), "6 predictions are not usable, the first is -1"),
        (np.ones((2, 3, 1)), np.full((2, 3, 1), np.nan), "the first is nan at trial 0, bin 0"),
    ],
)
def test_messages(counts, rates, message):
    with pytest.raises(DataError, match=message):
        bits_per_spike(counts, rates)


def test_a_null_that_does_not_fit_is_refused():
    with pytest.raises(DataError, match="broadcasts"):
        bits_per_spike(np.ones((2, 3, 2)), np.ones((2, 3, 2)), null_rates=np.ones(3))
