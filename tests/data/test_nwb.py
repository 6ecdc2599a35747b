"""NWB files written to the schema by hand: trials, conditions, behaviour, and what messages say."""

from __future__ import annotations

import h5py
import numpy as np
import pytest

from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.prepare import PrepareOptions, chopped_recording, prepare_recording
from lfads_torch.errors import DataError, FormatError


@pytest.fixture
def path(nwb_session):
    return nwb_session


def prepared(path, **options):
    read = ReadOptions(condition=options.pop("condition", None),
                       behaviour=options.pop("behaviour", ()))  # fmt: skip
    return prepare_recording(path, PrepareOptions(bin_width_s=0.1, read=read, **options))


def test_trials_around_an_event_with_conditions_and_behaviour(path):
    found = prepared(path, event="start_time", window_s=(0.0, 0.4), condition="target")
    assert found.unit_ids.tolist() == [4, 7, 11]
    assert found.trial_ids.tolist() == [10, 11, 12]
    assert found.condition.tolist() == ["left", "right", "left"]
    wanted = np.zeros((3, 4, 3))
    wanted[0, [0, 1], 0] = 1
    wanted[1, 0, 0], wanted[1, 0, 2], wanted[2, 3, 2] = 2, 1, 1
    np.testing.assert_array_equal(found.counts, wanted)
    assert set(found.behaviour) == {"hand", "pupil"}
    assert found.behaviour_units == {"hand": "m", "pupil": "mm"}
    np.testing.assert_allclose(found.behaviour["hand"][1, :, 0], [1.05, 1.15, 1.25, 1.35], 1e-5)
    np.testing.assert_allclose(found.behaviour["hand"][..., 1], 0.01, 1e-5)
    np.testing.assert_allclose(found.behaviour["pupil"][0, 1:3, 0], [0.015, 0.025], 1e-5)
    assert found.session == "sub-A_ses-1"


def test_events_that_a_trial_lacks_flags_and_named_behaviour(path):
    found = prepared(
        path, event="go_cue_time", window_s=(-0.1, 0.1), condition="is_correct", behaviour=("hand",)
    )
    assert found.trial_ids.tolist() == [10, 11]
    assert found.condition.tolist() == [1, 0]
    assert set(found.behaviour) == {"hand"}


def test_trials_that_end_with_the_files_own(path):
    found = prepared(path, event="start_time", stop_event="stop_time", window_s=(0.0, 0.0))
    assert found.bins_of_trials.tolist() == [5, 4, 6]


def test_a_session_in_chops_with_the_gaps_that_all_units_share(path):
    options = ReadOptions(bin_width_s=0.1, chop_s=0.5)
    with h5py.File(path, "r+") as file:
        file["units/obs_intervals"] = np.array([[0.0, 1.5], [3.0, 4.0]] * 3)
        file["units/obs_intervals_index"] = np.array([2, 4, 6])
    found = chopped_recording(path, options)
    assert found.chops.start_bins.tolist() == [0, 5, 10, 30, 35]
    with h5py.File(path, "r+") as file:
        file["units/obs_intervals"][2, 0] = 0.1  # of the second unit
    found = chopped_recording(path, options)
    assert found.chops.start_bins.tolist() == [0, 5, 10, 30, 35]
    assert np.argwhere(np.isnan(found.counts)).tolist() == [[0, 0, 1]]


def test_messages_list_what_there_is(path):
    with pytest.raises(FormatError, match=r"several events.*go_cue_time.*start_time.*--event"):
        prepared(path, window_s=(0.0, 0.1))
    with pytest.raises(FormatError, match=r"'targt' for the condition.*mean 'target'.*pupil \[40"):
        prepared(path, event="start_time", window_s=(0.0, 0.1), condition="targt")
    with pytest.raises(FormatError, match=r"'hnd' for the behaviour.*mean 'hand'"):
        prepared(path, event="start_time", window_s=(0.0, 0.1), behaviour=("hnd",))
    with pytest.raises(FormatError, match=r"spike times of a session.*lfads prepare.*start_time"):
        read_recording(path)


def test_a_file_without_sorted_units_and_a_damaged_table(path):
    with h5py.File(path, "r+") as file:
        file["units/spike_times_index"][2] = 99
    with pytest.raises(
        FormatError, match=r"spike_times_index says that row 2 ends at 99; .* the 8 values"
    ):
        prepared(path, event="start_time", window_s=(0.0, 0.1))
    with h5py.File(path, "r+") as file:
        del file["units"]
    with pytest.raises(FormatError, match=r"2\.6\.0.*no sorted units.*acquisition/raw"):
        prepared(path, event="start_time", window_s=(0.0, 0.1))


def test_two_series_of_one_name_go_by_their_paths(path):
    with h5py.File(path, "r+") as file:
        file.copy("processing/behavior/Position/hand", file["acquisition"], name="hand")
    found = prepared(path, event="start_time", window_s=(0.0, 0.2))
    assert set(found.behaviour) == {"processing/behavior/Position/hand", "acquisition/hand",
                                    "pupil"}  # fmt: skip


def test_a_window_without_spikes_is_refused(path):
    with pytest.raises(DataError, match=r"sub-A_ses-1\.nwb"):
        prepared(path, event="stop_time", window_s=(100.0, 100.4))


def test_columns_of_trials_are_no_behaviour(path):
    with h5py.File(path, "r+") as file:
        file["intervals/trials/cue"] = [1.0, 2.0, 3.0]
        file["intervals/trials/cue_times"] = [0.1, 1.1, 3.1]
    window = {"event": "cue_times", "window_s": (0.0, 0.2)}
    found = prepared(path, **window)
    assert set(found.behaviour) == {"hand", "pupil"}
    assert found.trial_ids.tolist() == [10, 11, 12]
    with pytest.raises(FormatError, match="'cue' is a column of the table of trials"):
        prepared(path, behaviour=("cue",), **window)


def test_a_table_of_trials_without_ids(path):
    with h5py.File(path, "r+") as file:
        del file["intervals/trials/id"]
    with pytest.raises(FormatError, match=r"intervals/trials has no column id.*go_cue_time"):
        prepared(path, event="start_time", window_s=(0.0, 0.4))


def test_units_that_share_an_id(path):
    with h5py.File(path, "r+") as file:
        file["units/id"][...] = [4, 4, 11]
    with pytest.raises(FormatError, match=r"units/id has \[4\] more than once"):
        prepared(path, event="start_time", window_s=(0.0, 0.4))


def test_messages_name_each_array_once(path):
    with pytest.raises(FormatError, match="Found: ") as caught:
        prepared(path, event="start_time", window_s=(0.0, 0.1), condition="targt")
    names = [each.split()[0] for each in str(caught.value).partition("Found: ")[2].split("; ")]
    assert "start_time" in names
    assert len(names) == len({name.removeprefix("event_times/") for name in names})
    with h5py.File(path, "r+") as file:
        del file["units"]
    with pytest.raises(FormatError, match=r"Series that can be are: .*pupil") as caught:
        prepared(path, event="start_time", window_s=(0.0, 0.1))
    assert str(caught.value).count("acquisition/pupil") == 1
    assert "raw (acquisition/raw)" in str(caught.value)
