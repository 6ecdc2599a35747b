"""Spike times and signals in bins: edges, overlap, gaps; against slow loops."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from lfads_torch.data.binning import Window, bin_spike_times, rebin, resample
from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.recording import Split
from lfads_torch.errors import DataError


def slow_counts(spike_times, event_times, start, n_bins, width):
    """The same in exact arithmetic: every spike against every bin. Arguments are fractions."""
    counts = np.zeros((len(event_times), n_bins, len(spike_times)), dtype=int)
    for trial, event in enumerate(event_times):
        for unit, times in enumerate(spike_times):
            for time in times:
                position = (time - event - start) // width
                if 0 <= position < n_bins:
                    counts[trial, position, unit] += 1
    return counts


@pytest.mark.parametrize("origin_s", [0, 86_400])
def test_spikes_on_the_grid_of_the_clock_fall_into_exact_bins(origin_s):
    rng = np.random.default_rng(0)
    # Times in whole milliseconds, so that many lie exactly on edges, where floats go astray.
    spikes = [
        [Fraction(origin_s) + Fraction(int(t), 1000) for t in rng.integers(0, 5000, n)]
        for n in (0, 1, 333)
    ]
    events = [Fraction(origin_s) + Fraction(int(t), 1000) for t in rng.integers(500, 4500, 7)]
    start, width, n_bins = Fraction(-3, 10), Fraction(7, 1000), 100
    expected = slow_counts(spikes, events, start, n_bins, width)
    window = Window(start_s=-0.3, stop_s=0.4, bin_width_s=0.007)
    found = bin_spike_times(
        [np.array([float(t) for t in times]) for times in spikes],
        np.array([float(t) for t in events]),
        window,
    )
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.uint8


def test_a_bin_holds_its_left_edge_and_not_its_right_one():
    window = Window(start_s=0.0, stop_s=0.3, bin_width_s=0.1)
    spikes = [np.array([0.0, 0.3 - 0.1, 0.1, 0.3, -1e-3, 0.0999])]
    assert 0.3 - 0.1 < 0.2
    assert bin_spike_times(spikes, np.array([0.0]), window)[0, :, 0].tolist() == [2, 1, 1]


def test_windows_may_overlap_and_units_be_silent_or_out_of_order():
    window = Window(start_s=0.0, stop_s=1.0, bin_width_s=1.0)
    counts = bin_spike_times([np.array([1.2, 0.7]), np.array([])], np.array([0.5, 0.0]), window)
    assert counts[:, 0].tolist() == [[2, 0], [1, 0]]


def test_counts_take_the_smallest_type_that_holds_them():
    window = Window(start_s=0.0, stop_s=1.0, bin_width_s=1.0)
    counts = bin_spike_times([np.full(300, 0.5)], np.array([0.0]), window)
    assert (counts.dtype, counts.item()) == (np.uint16, 300)


@pytest.mark.parametrize(
    ("window", "message"),
    [
        ((0.0, 0.101, 0.005), r"20\.2 bins of 0\.005 s; a whole number .* nearest end is 0\.1 s"),
        ((0.2, 0.1, 0.005), "end must come after"),
        ((0.0, 0.001, 0.005), r"0\.2 bins"),
        ((0.0, 0.1, -0.005), "positive width"),
        ((0.0, float("nan"), 0.005), "end must come after"),
    ],
)
def test_windows_of_no_whole_bins_are_refused(window, message):
    start_s, stop_s, bin_width_s = window
    with pytest.raises(DataError, match=message):
        Window(start_s=start_s, stop_s=stop_s, bin_width_s=bin_width_s)


def test_long_windows_of_narrow_bins_are_whole():
    assert Window(start_s=-0.3, stop_s=86_400.0, bin_width_s=0.1).n_bins == 864_003


def test_times_must_be_finite():
    window = Window(start_s=0.0, stop_s=1.0, bin_width_s=1.0)
    with pytest.raises(DataError, match="unit 1: 1 of 2 are not finite, the first at position 1"):
        bin_spike_times([np.array([0.1]), np.array([0.1, np.nan])], np.array([0.0]), window)


def test_resampling_a_line_gives_the_line():
    times = np.sort(np.random.default_rng(1).uniform(0, 10, 33))
    at = np.random.default_rng(2).uniform(times[0], times[-1], (3, 5))
    found = resample(np.stack([2 * times, -times], axis=1), times, at, largest_gap_s=10)
    np.testing.assert_allclose(found, np.stack([2 * at, -at], axis=2), rtol=1e-12)


def test_resampling_keeps_gaps_and_does_not_extrapolate():
    times = np.array([0.0, 1.0, 2.0, 3.0, 20.0])
    signal = np.array([0.0, 1.0, np.nan, 3.0, 20.0])
    at = np.array([[-0.1, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 10.0, 20.0, 20.1]])
    found = resample(signal, times, at)[0, :, 0]
    nan = np.nan
    np.testing.assert_array_equal(found, [nan, 0.5, 1.0, nan, nan, nan, 3.0, nan, 20.0, nan])
    wide = resample(signal, times, at, largest_gap_s=17.0)[0, :, 0]
    assert wide[7] == 10.0


def test_a_bin_centre_on_a_sample_is_that_sample_up_to_rounding():
    times = np.arange(5) * 0.001
    signal = np.array([0.0, 1.0, 2.0, np.nan, 4.0])
    window = Window(start_s=0.0, stop_s=0.004, bin_width_s=0.002)
    assert resample(signal, times + 70.3, window.centres(np.array([70.3])))[0, 0, 0] == 1.0


@pytest.mark.parametrize("times", [[0.0, 0.0, 1.0], [0.0, 2.0, 1.0]])
def test_sample_times_must_rise(times):
    with pytest.raises(DataError, match="do not rise throughout"):
        resample(np.zeros(3), np.array(times), np.zeros((1, 1)))


def test_rebinning_adds_counts_and_averages_the_rest():
    counts = np.random.default_rng(3).integers(0, 200, (3, 6, 5)).astype(np.uint8)
    position = np.arange(18.0).reshape(3, 6, 1)
    recording = recording_from_arrays(counts, bin_width_s=0.01, behaviour={"x": position})
    split = Split(
        trial_set=np.array(["train"] * 3), is_encoded=np.ones(5, dtype=bool), n_encoded_bins=3
    )
    wide = rebin(replace(recording, true_rates=counts * 100.0, split=split), 3)
    np.testing.assert_array_equal(wide.counts[:, 1], counts[:, 3:].sum(axis=1, dtype=int))
    assert wide.counts.dtype == np.uint16
    assert wide.bin_width_s == pytest.approx(0.03)
    assert wide.behaviour["x"][0, :, 0].tolist() == [1.0, 4.0]
    np.testing.assert_allclose(wide.true_rates[:, 0], counts[:, :3].mean(axis=1) * 100)
    assert wide.split.n_encoded_bins == 1


def test_a_wide_bin_with_a_missing_part_is_missing():
    counts = np.array([[[1.0], [np.nan], [2.0], [3.0]]], dtype=np.float32)
    wide = rebin(recording_from_arrays(counts, bin_width_s=0.01), 2)
    np.testing.assert_array_equal(wide.counts[0, :, 0], [np.nan, 5.0])
    averaged = rebin(recording_from_arrays(counts, bin_width_s=0.01), 2, combine="mean")
    np.testing.assert_array_equal(averaged.counts[0, :, 0], [np.nan, 2.5])


def of_families(families, ends=None):
    """Two trials of six bins; values rise along bins and are NaN beyond the ends."""
    counts = np.tile(np.arange(6.0, dtype=np.float32)[:, None], (2, 1, len(families)))
    if ends is not None:
        counts[np.arange(6) >= np.array(ends)[:, None]] = np.nan
    recording = recording_from_arrays(counts, bin_width_s=0.01)
    ends = None if ends is None else np.array(ends)
    return replace(recording, observation=np.array(families), n_trial_bins=ends)


def test_signals_end_with_the_last_whole_wide_bin_of_a_trial():
    wide = rebin(of_families(["", "gaussian"], ends=[6, 5]), 2)
    assert wide.n_trial_bins.tolist() == [3, 2]
    np.testing.assert_array_equal(wide.counts[1], [[1.0, 0.5], [5.0, 2.5], [np.nan, np.nan]])
    np.testing.assert_array_equal(wide.counts[0, :, 1], [0.5, 2.5, 4.5])


def test_units_of_another_familys_values_are_joined_as_asked():
    recording = of_families(["poisson", "my.family:Counts", "gamma"])
    with pytest.raises(DataError, match=r"1 units, the first is 1, .*my\.family:Counts.*--combine"):
        rebin(recording, 2)
    assert rebin(recording, 2, combine="sum").counts[0, 0].tolist() == [1.0, 1.0, 0.5]
    assert rebin(recording, 2, combine="mean").counts[0, 0].tolist() == [0.5, 0.5, 0.5]
    assert rebin(recording, 1).counts.shape == (2, 6, 3)


def test_bins_that_do_not_divide_are_refused_with_what_would():
    recording = recording_from_arrays(np.ones((1, 6, 1)), bin_width_s=0.01)
    with pytest.raises(DataError, match=r"6 bins .* joined by 4.* Possible factors: 1, 2, 3, 6"):
        rebin(recording, 4)
