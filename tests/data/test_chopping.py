"""Chops cover what was recorded; merged again, they give back what was chopped."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from lfads_torch.data.chopping import ChopLengths, Chops, place_chops, recorded_stretches
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.data.merging import Merging, chop_weights, merge_blocks, merge_chops
from lfads_torch.data.prepare import PrepareOptions, prepare_recording
from lfads_torch.errors import DataError, FormatError

CASES = {  # stretches, chops, bins of the session
    "even": ([(0, 40)], ChopLengths(length=10, overlap=2), 40),
    "odd": ([(0, 33)], ChopLengths(length=7, overlap=3), 33),
    "ragged_end": ([(0, 101)], ChopLengths(length=20, overlap=5), 101),
    "no_overlap": ([(0, 31)], ChopLengths(length=10), 31),
    "more_than_half": ([(0, 33)], ChopLengths(length=9, overlap=7), 33),
    "one_chop": ([(0, 5)], ChopLengths(length=5, overlap=1), 5),
    "gaps": ([(3, 30), (31, 34), (40, 47), (50, 51)], ChopLengths(length=7, overlap=2), 55),
    "single_bins": ([(0, 3)], ChopLengths(length=1), 3),
}


@pytest.mark.parametrize("ramp", ["linear", "smooth"])
@pytest.mark.parametrize("case", CASES)
def test_what_is_chopped_and_merged_is_what_it_was(case, ramp):
    stretches, lengths, n_session_bins = CASES[case]
    session = np.random.default_rng(0).normal(size=(n_session_bins, 3)) * 1e3
    starts, sizes = place_chops(stretches, lengths)
    signal = np.full((len(starts), lengths.length, 3), np.nan)
    for chop, (start, size) in enumerate(zip(starts, sizes, strict=True)):
        signal[chop, :size] = session[start : start + size]
    chops = Chops(start_bins=starts, n_session_bins=n_session_bins, overlap_bins=lengths.overlap)
    merging = Merging(chops=chops, n_chop_bins=sizes, ramp=ramp)
    merged = merge_chops(signal, merging)
    expected = np.full_like(session, np.nan)
    for first, stop in stretches:
        expected[first:stop] = session[first:stop]
    np.testing.assert_allclose(merged, expected, rtol=4 * np.finfo(float).eps)
    in_parts = [block for _, block in merge_blocks(lambda b: signal[b], merging, bins_at_once=4)]
    np.testing.assert_array_equal(np.concatenate(in_parts), merged)


@pytest.mark.parametrize("ramp", ["linear", "smooth"])
@pytest.mark.parametrize("overlap", [0, 1, 2, 5])
def test_weights_of_neighbours_sum_to_one(overlap, ramp):
    weights = chop_weights(11, overlap, ramp)
    assert (weights > 0).all()
    np.testing.assert_array_equal(weights[overlap : 11 - overlap], 1.0)
    np.testing.assert_allclose(weights[:overlap] + weights[11 - overlap :], 1.0, rtol=1e-15)


def test_where_chops_differ_the_mean_moves_from_one_to_the_other():
    chops = Chops(start_bins=np.array([0, 4]), n_session_bins=11, overlap_bins=3)
    signal = np.stack([np.zeros((7, 1)), np.ones((7, 1))])
    merged = merge_chops(signal, Merging(chops=chops, n_chop_bins=np.array([7, 7])))
    np.testing.assert_allclose(merged[:, 0], [0, 0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1])


def test_bins_that_a_signal_lacks_are_not_merged():
    chops = Chops(start_bins=np.array([0, 4]), n_session_bins=11, overlap_bins=3)
    signal = np.arange(11.0)[:, None]
    parts = np.stack([signal[2:7], signal[6:11]])
    merging = Merging(chops=chops, n_chop_bins=np.array([5, 5]), first_bin=2)
    merged = merge_chops(parts, merging)
    assert np.isnan(merged[:2]).all()
    np.testing.assert_allclose(merged[2:], signal[2:], rtol=1e-15)


def test_the_last_chop_ends_with_its_stretch():
    starts, sizes = place_chops([(2, 13), (20, 24), (30, 32)], ChopLengths(
        length=5, overlap=1, shortest=3
    ))  # fmt: skip
    assert starts.tolist() == [2, 6, 8, 20]
    assert sizes.tolist() == [5, 5, 5, 4]
    assert recorded_stretches(np.array([0, 1, 1, 0, 1], dtype=bool)) == [(1, 3), (4, 5)]
    assert recorded_stretches(np.zeros(3, dtype=bool)) == []


@pytest.mark.parametrize(("length", "overlap"), [(5, 5), (0, 0), (5, -1)])
def test_overlaps_that_never_advance_are_refused(length, overlap):
    with pytest.raises(DataError, match="shorter than a chop"):
        ChopLengths(length=length, overlap=overlap)


def session_file(path, **changes):
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (207, 2)).astype(np.float32)
    counts[100:111] = np.nan
    with h5py.File(path, "w") as file:
        file["spikes"], file.attrs["bin_width_s"] = counts, 0.01
        file["hand"] = rng.normal(size=(207, 2))
        for name, values in changes.items():
            file[name] = values
    return path, counts


def test_a_session_with_gaps_is_chopped_and_kept_in_a_file(tmp_path):
    path, counts = session_file(tmp_path / "a.h5")
    options = PrepareOptions(chop_s=0.2, chop_overlap_s=0.05)
    recording = prepare_recording(path, options)
    assert recording.chops.start_bins.tolist() == [0, 15, 30, 45, 60, 75, 80, *range(111, 187, 15),
                                                   187]  # fmt: skip
    assert recording.n_trial_bins is None
    write_recording(recording, tmp_path / "chops.h5")
    read = read_recording(tmp_path / "chops.h5")
    merging = Merging(chops=read.chops, n_chop_bins=read.bins_of_trials)
    np.testing.assert_allclose(merge_chops(read.counts, merging), counts, rtol=1e-14)
    hand = merge_chops(read.behaviour["hand"], merging)
    with h5py.File(path) as file:
        own = np.where(np.isnan(counts), np.nan, file["hand"][()])
    np.testing.assert_allclose(hand, own, rtol=1e-6)
    some = read.take_trials(np.array([3, 1]))
    assert some.chops.start_bins.tolist() == [45, 15]


def test_short_stretches_become_short_trials_or_none(tmp_path):
    path, _ = session_file(tmp_path / "a.h5")
    short = prepare_recording(path, PrepareOptions(chop_s=0.98))
    assert short.bins_of_trials.tolist() == [98, 98, 96]
    assert np.isnan(short.counts[2, 96:]).all()
    assert not np.isnan(short.counts[2, :96]).any()
    assert np.isnan(short.behaviour["hand"][2, 96:]).all()
    write_recording(short, tmp_path / "short.h5")
    assert read_recording(tmp_path / "short.h5").n_trial_bins.tolist() == [98, 98, 96]
    without = prepare_recording(path, PrepareOptions(chop_s=0.98, shortest_s=0.97))
    assert without.chops.start_bins.tolist() == [0, 2]
    assert without.provenance["prepared"]["n_bins_in_short_stretches"] == 96
    assert without.n_trial_bins is None


def test_segments_say_where_spike_times_have_gaps(tmp_path):
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["spike_times/1"] = np.sort(rng.uniform(0, 10, 500))
        file["segment_times"] = np.array([[1.0, 3.05], [5.02, 9.0]])
    recording = prepare_recording(
        tmp_path / "a.h5", PrepareOptions(bin_width_s=0.1, chop_s=1.0, chop_overlap_s=0.2)
    )
    assert recording.chops.session_start_s == 1.0
    assert recording.chops.start_bins.tolist() == [0, 8, 10, 41, 49, 57, 65, 70]
    with h5py.File(tmp_path / "a.h5", "a") as file:
        file["segment_times"][0, 1] = 6.0
    with pytest.raises(DataError, match="pairs of begin and end"):
        prepare_recording(tmp_path / "a.h5", PrepareOptions(bin_width_s=0.1, chop_s=1.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (PrepareOptions(chop_s=0.2, chop_overlap_s=0.2), "shorter than a chop"),
        (PrepareOptions(chop_s=0.2, chop_overlap_s=0.015), "1.5 bins .* whole number"),
        (
            PrepareOptions(window_s=(0, 1), chop_overlap_s=0.1),
            "their length .*--chop SECONDS",
        ),
        (PrepareOptions(chop_s=0.2, event="go"), r"leave out window_s \(--window\)"),
    ],
    ids=["too_long", "part_of_a_bin", "without_chop", "with_event"],
)
def test_mistakes_in_chopping_are_named(tmp_path, options, message):
    path, _ = session_file(tmp_path / "a.h5")
    with pytest.raises(DataError, match=message):
        prepare_recording(path, options)


def test_trials_from_event_to_event_have_lengths_of_their_own(tmp_path):
    path, counts = session_file(
        tmp_path / "a.h5",
        **{
            "event_times/go": np.array([0.1, 0.5, 1.2, np.nan, 1.9]),
            "event_times/stop": np.array([0.3, 0.61, 1.5, 1.8, np.nan]),
        },
    )
    options = PrepareOptions(event="go", stop_event="stop", window_s=(-0.05, 0.1))
    recording = prepare_recording(path, options)
    assert recording.trial_ids.tolist() == [0, 1, 2]
    assert recording.n_trial_bins.tolist() == [35, 26, 45]
    np.testing.assert_array_equal(recording.counts[1, :26], counts[45:71])
    assert np.isnan(recording.counts[1, 26:]).all()
    assert recording.start_s == -0.05
    with pytest.raises(FormatError, match="no array 'end' for the event times"):
        prepare_recording(path, PrepareOptions(event="go", stop_event="end"))
