"""Bins in which nothing was recorded are missing and never silent, and it is said how many."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from lfads_torch.cli.app import run
from lfads_torch.data.binning import Window
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.prepare import PrepareOptions, prepare_recording
from lfads_torch.data.prepare_notes import prepared_lines
from lfads_torch.data.recorded import RecordedTime, joined_stretches, within_stretches
from lfads_torch.errors import DataError, FormatError

WINDOW = PrepareOptions(bin_width_s=0.1, window_s=(-0.2, 0.2))


def prepared(path, window=WINDOW, **options):
    return prepare_recording(path, PrepareOptions(**{**vars(window), **options}))


def flat_session(path, times, units, events, **more):
    np.savez(
        path, spike_times=np.array(times, dtype=float), spike_units=np.array(units),
        event_times=np.array(events, dtype=float), **more,
    )  # fmt: skip
    return path


def test_stated_limits_hold_whole_bins_and_those_of_spikes_the_bins_of_these():
    window = Window(start_s=-0.2, stop_s=0.2, bin_width_s=0.1)
    times = np.array([0.1, 5.0, 9.95])
    stated = RecordedTime(limits_s=(0.0, 10.0), said_by=("the file", "the file"))
    assert stated.contains(times, window).tolist() == [
        [False, True, True, True], [True] * 4, [True, True, False, False],
    ]  # fmt: skip
    spikes = RecordedTime(limits_s=(0.05, 10.0), said_by=("first spike", "last spike"))
    assert spikes.contains(times, window).tolist() == [
        [False, True, True, True], [True] * 4, [True, True, True, False],
    ]  # fmt: skip


def test_stretches_that_touch_are_one_and_a_bin_must_lie_in_one():
    stretches = np.array([[0.3, 0.6], [0.0, 0.2], [0.2, 0.25]])
    np.testing.assert_allclose(joined_stretches(stretches), [[0.0, 0.25], [0.3, 0.6]])
    window = Window(start_s=0.0, stop_s=0.7, bin_width_s=0.1)
    inside = within_stretches(np.array([0.0]), window, stretches)
    assert inside[0].tolist() == [True, True, False, True, True, True, False]
    none = within_stretches(np.array([0.0]), window, np.zeros((0, 2)))
    assert not none.any()


def test_without_a_word_the_recording_goes_from_the_first_to_the_last_spike(tmp_path):
    path = flat_session(
        tmp_path / "a.npz", [1.05, 2.0, 3.01], [0, 1, 0], [1.0, 2.0, 3.1, 9.0, np.nan]
    )
    found = prepared(path)
    assert found.trial_ids.tolist() == [0, 1, 2]
    missing = np.isnan(found.counts).all(axis=2)
    assert missing.tolist() == [[True, True, False, False], [False] * 4, [False] * 2 + [True] * 2]
    assert found.counts[0, 2].tolist() == [1, 0]
    assert found.provenance["prepared"]["left_out"] == {
        "without a time of the event": [4], "outside the recording": [3],
    }  # fmt: skip
    told = "\n".join(prepared_lines(found))
    assert "recorded: 1.05 to 3.01 s (first spike, last spike); say when it ran with" in told
    assert "left out: 2 of 5 trials\n  1 without a time of the event: 4\n" in told
    assert "missing: 4 bins (33.3%) in which nothing was recorded, of 2 trials: 0, 2" in told


def test_what_the_user_says_wins_over_the_spikes_and_narrows_gaps_of_the_file(tmp_path):
    path = flat_session(
        tmp_path / "a.npz", [1.0, 3.0], [0, 0], [1.0, 2.0, 3.0],
        segment_times=np.array([[0.0, 1.5], [2.0, 4.0]]),
    )  # fmt: skip
    found = prepared(path, recorded_s=(0.0, 3.1))
    missing = np.isnan(found.counts[:, :, 0])
    assert missing.tolist() == [[False] * 4, [True, True, False, False], [False] * 3 + [True]]
    assert found.provenance["prepared"]["recorded"] == "0 to 3.1 s (--recorded)"
    assert not np.isnan(prepared(flat_session(path, [1.0, 2.05, 3.0], [0] * 3, [2.0])).counts).any()
    with pytest.raises(DataError, match=r"recorded_s \(--recorded\) is 3 1: the recording"):
        prepared(path, recorded_s=(3.0, 1.0))


def test_counts_end_where_they_end_whatever_the_user_says(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, counts=np.ones((20, 2)), bin_width_s=0.1, event_times=np.array([0.2, 1.9]))
    found = prepared(path, recorded_s=(0.0, 100.0))
    assert np.isnan(found.counts[1]).all(axis=1).tolist() == [False, False, False, True]


def test_gaps_that_are_nan_leave_out_trials_inside_them(tmp_path):
    counts = np.ones((30, 2))
    counts[10:20] = np.nan
    path = tmp_path / "a.npz"
    np.savez(path, counts=counts, bin_width_s=0.1, event_times=np.array([0.5, 1.1, 1.5]))
    found = prepared(path)
    assert found.trial_ids.tolist() == [0, 1]
    assert np.isnan(found.counts[1, :, 0]).tolist() == [False, True, True, True]


def test_trials_without_a_condition_are_left_out_and_named(tmp_path):
    path = flat_session(
        tmp_path / "a.npz", [0.0, 4.0], [0, 0], [1.0, 2.0, 3.0],
        kind=np.array([2.0, np.nan, 3.0]), word=np.array(["a", "b", " "]),
    )  # fmt: skip
    found = prepared(path, read=ReadOptions(condition="kind"), recorded_s=(0.0, 5.0),
                     window_s=(-1.0, 2.0))  # fmt: skip
    assert found.condition.tolist() == [2, 3]
    assert found.provenance["prepared"]["left_out"] == {"without a condition": [1]}
    found = prepared(path, read=ReadOptions(condition="word"), window_s=(-1.0, 1.0))
    assert found.condition.tolist() == ["a", "b"]


@pytest.mark.parametrize("stop", [None, "ends"])
@pytest.mark.parametrize("labels", [["a", " ", "b"], ["", "", ""], [1.0, np.nan, 2.0]])
def test_a_condition_found_by_its_name_costs_no_trial(tmp_path, labels, stop):
    path = flat_session(
        tmp_path / "a.npz", [0.0, 1.1, 4.0], [0] * 3, [1.0, 2.0, 3.0], condition=np.array(labels),
        ends=np.array([1.5, 2.5, 3.5]),
    )  # fmt: skip
    found = prepared(path, stop_event=stop)
    assert found.trial_ids.tolist() == [0, 1, 2]
    assert found.condition is None
    without = [0, 1, 2] if labels[0] == "" else [1]
    assert found.provenance["prepared"]["trials_without_condition"] == without
    told = "\n".join(prepared_lines(found))
    assert f"conditions: left out of all trials, for {len(without)} have none: " in told
    if len(without) == 1:
        asked = prepared(path, read=ReadOptions(condition="condition"), stop_event=stop)
        assert asked.trial_ids.tolist() == [0, 2]


def test_a_condition_found_by_its_name_stays_where_trials_in_use_have_it(tmp_path):
    path = flat_session(tmp_path / "a.npz", [0.0, 1.1, 4.0], [0] * 3, [1.0, np.nan, 3.0],
                        conditions=np.array(["a", "", "b"]))  # fmt: skip
    assert prepared(path).condition.tolist() == ["a", "b"]


@pytest.mark.parametrize("labels", [["a", "b"], ["a", "b", "a", "b"]])
def test_conditions_of_another_number_of_trials_are_told_and_not_taken(tmp_path, labels):
    path = flat_session(
        tmp_path / "a.npz", [0.0, 1.1, 4.0], [0] * 3, [1.0, 2.0, 3.0], condition=np.array(labels)
    )
    found = prepared(path)
    assert found.condition is None
    assert len(found.trial_ids) == 3
    told = f"conditions: 'condition' has {len(labels)} entries and there are 3 trials"
    assert told in "\n".join(prepared_lines(found))
    with pytest.raises(DataError, match=f"has {len(labels)} entries, but there are 3 trials"):
        prepared(path, read=ReadOptions(condition="condition"))


def test_units_of_an_nwb_file_are_missing_where_each_was_not_observed(nwb_session):
    with h5py.File(nwb_session, "r+") as file:
        units = file["units"]
        units["obs_intervals"] = [[1.0, 4.0], [0.0, 1.2], [1.2, 1.3], [2.0, 4.0]]
        units["obs_intervals_index"] = [1, 4, 4]  # nothing is said of the third unit
    found = prepared(nwb_session, event="start_time", window_s=(0.0, 0.4))
    missing = np.isnan(found.counts)
    assert missing[0, :, 0].all()
    assert missing[1, :, 1].tolist() == [False, False, False, True]
    assert not missing[2].any()
    assert not missing[:, :, 2].any()
    told = "\n".join(prepared_lines(found))
    assert "missing: 5 bins of 2 units that were not observed all the time: 4, 7" in told
    assert "missing: 2 spikes lie in bins that were not, or not wholly, recorded" in told


@pytest.mark.parametrize("interval", [[2.0, 1.0], [np.nan, 3.0]])
def test_intervals_that_are_none_are_refused(nwb_session, interval):
    with h5py.File(nwb_session, "r+") as file:
        file["units/obs_intervals"] = [[0.0, 1.0], interval, [0.0, 1.0]]
        file["units/obs_intervals_index"] = [1, 2, 3]
    with pytest.raises(FormatError, match=r"obs_intervals of unit 7 has .*finite beginning before"):
        prepared(nwb_session, event="start_time")


def test_the_command_says_what_it_left_out(nwb_session, tmp_path, capsys):
    command = [
        "prepare", str(nwb_session), "--out", str(tmp_path / "out.h5"), "--bin-width", "0.1",
        "--event", "go_cue_time", "--window", "0", "0.2", "--recorded", "0", "1.25",
    ]  # fmt: skip
    assert run(command) == 0
    told = capsys.readouterr().err
    assert "left out: 1 of 3 trials\n  1 without a time of the event: 12" in told
    assert "missing: 1 bin (25.0%) in which nothing was recorded, of 1 trial: 11" in told
    assert run([*command, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["n_trials"] == 2
    assert made["provenance"]["prepared"]["left_out"] == {"without a time of the event": [12]}
