"""Spikes and signals of one session are missing each where it was not recorded itself."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest

from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.prepare import PrepareOptions, prepare_recording
from lfads_torch.data.prepare_notes import prepared_lines
from lfads_torch.errors import DataError

READ = ReadOptions(signals=("emg=gaussian",))
WINDOW = PrepareOptions(bin_width_s=0.1, window_s=(-0.2, 0.2), read=READ)
CHOPS = PrepareOptions(bin_width_s=0.1, chop_s=1.0, read=READ)
EMG = {"emg": np.sin(np.arange(1001.0)), "emg_times": np.arange(1001) * 0.01}


def write(path, spikes=(), **material):
    """A session of units 1, 2, ..., EMG from 0 to 10 s, and trials at 1, 3, 5, 7 and 9 s."""
    with h5py.File(path, "w") as file:
        for unit, times in enumerate(spikes):
            file[f"spike_times/{unit + 1}"] = times
        for name, values in {**EMG, "event_times": np.arange(1.0, 10, 2), **material}.items():
            file[name] = values
    return path


def lacking(found):
    """Trials and bins in which units miss: the first that spikes, and EMG, both [B, L]."""
    missing = np.isnan(found.counts)
    return missing[:, :, 0], missing[:, :, -1]


@pytest.mark.parametrize("outside", ["missing", "drop"])
def test_intervals_of_single_units_say_nothing_of_signals(tmp_path, outside):
    late = np.array([[4.0, 10.0]])
    path = write(tmp_path / "a.h5", [np.arange(4.05, 10, 0.1)], **{"segment_times/1": late})
    found = prepare_recording(path, replace(WINDOW, outside=outside))
    assert found.trial_ids.tolist() == [0, 1, 2, 3, 4]
    of_spikes, of_emg = lacking(found)
    assert not of_emg.any()
    assert of_spikes.all(axis=1).tolist() == [True, True, False, False, False]
    told = "\n".join(prepared_lines(found))
    assert "recorded: 4 to 10 s (the file)\nrecorded, of signals: 0 to 10 s (first s" in told
    assert "missing: 8 bins of all units that spike, where signals alone were recorded" in told
    chops = prepare_recording(path, CHOPS)
    assert chops.chops.start_bins.tolist() == list(range(0, 100, 10))
    of_spikes, of_emg = lacking(chops)
    assert not of_emg.any()
    assert of_spikes.ravel().tolist() == [True] * 40 + [False] * 60


def test_the_last_spike_ends_no_signal(tmp_path):
    path = write(tmp_path / "a.h5", [np.arange(0.05, 6, 0.1)])
    of_spikes, of_emg = lacking(prepare_recording(path, WINDOW))
    assert not of_emg.any()
    assert of_spikes.all(axis=1).tolist() == [False, False, False, True, True]
    asked = prepare_recording(path, replace(WINDOW, recorded_s=(0.0, 6.0)))
    assert asked.trial_ids.tolist() == [0, 1, 2]
    alone = prepare_recording(path, replace(WINDOW, read=ReadOptions()))
    assert alone.trial_ids.tolist() == [0, 1, 2]


def test_a_trial_without_a_spike_or_a_sample_is_left_out(tmp_path):
    paused = {name: np.delete(values, np.s_[650:750]) for name, values in EMG.items()}
    path = write(tmp_path / "a.h5", [np.arange(0.05, 6, 0.1)], **paused)
    assert prepare_recording(path, WINDOW).trial_ids.tolist() == [0, 1, 2, 4]


@pytest.mark.parametrize("options", [WINDOW, CHOPS])
@pytest.mark.parametrize("spikes", [[np.arange(0.05, 10, 0.1)], []])
def test_gaps_of_the_session_are_gaps_of_signals(tmp_path, spikes, options):
    stretches = np.array([[0.0, 4.9], [5.2, 10.0]])
    path = write(tmp_path / "a.h5", spikes, segment_times=stretches)
    found = prepare_recording(path, options)
    of_spikes, of_emg = lacking(found)
    np.testing.assert_array_equal(of_emg, of_spikes)
    if options is WINDOW:
        assert of_emg[2].tolist() == [False, True, True, True]
        assert of_emg.sum() == found.provenance["prepared"]["n_missing_bins"] == 3
    else:
        assert not of_emg.any()
        covered = found.chops.start_bins[:, None] + np.arange(10)
        assert sorted(set(range(100)) - set(covered.ravel().tolist())) == [49, 50, 51]


def test_intervals_that_all_units_of_an_nwb_file_share_say_nothing_of_signals(nwb_session):
    with h5py.File(nwb_session, "r+") as file:
        file["units/obs_intervals"] = [[0.5, 4.0]] * 3
        file["units/obs_intervals_index"] = [1, 2, 3]
        made = file.create_group("acquisition/emg")
        made.attrs["neurodata_type"] = "TimeSeries"
        made["data"], made["timestamps"] = EMG["emg"], EMG["emg_times"]
    found = prepare_recording(nwb_session, replace(WINDOW, event="start_time", window_s=(0, 0.4)))
    of_spikes, of_emg = lacking(found)
    assert of_spikes.any()
    assert not of_emg.any()


def test_bins_of_counts_that_are_nan_say_nothing_of_signals(tmp_path):
    counts = np.ones((100, 2))
    counts[60:80] = np.nan
    path = write(tmp_path / "a.h5", counts=counts, bin_width_s=0.1)
    of_spikes, of_emg = lacking(prepare_recording(path, WINDOW))
    assert not of_emg.any()
    assert of_spikes.all(axis=1).tolist() == [False, False, False, True, False]
    both = write(tmp_path / "b.h5", counts=counts, bin_width_s=0.1, lfp=counts[:, :1])
    read = ReadOptions(signals=("lfp=gaussian",))
    assert prepare_recording(both, replace(WINDOW, read=read)).trial_ids.tolist() == [0, 1, 2, 4]


def test_the_message_says_where_spikes_and_samples_are(tmp_path):
    path = write(tmp_path / "a.h5", [np.array([1.0, 2.0])], event_times=np.array([5000.0]))
    needed = "no trial holds a single spike or sample: .* spike times from 1 to 2 s, samples of emg"
    with pytest.raises(DataError, match=needed):
        prepare_recording(path, WINDOW)


def test_stretches_that_touch_up_to_rounding_are_one(tmp_path):
    stretches = np.array([[0.0, 0.3], [0.1 + 0.2, 0.9], [0.9 + 1e-9, 10.0]])
    path = write(tmp_path / "a.h5", [np.arange(0.05, 10, 0.1)], segment_times=stretches)
    options = replace(WINDOW, bin_width_s=0.04, window_s=(-1.0, 0.2), read=ReadOptions())
    assert not np.isnan(prepare_recording(path, options).counts).any()
    chops = prepare_recording(path, replace(CHOPS, bin_width_s=0.04, read=ReadOptions()))
    assert chops.n_trial_bins is None
    assert chops.chops.start_bins.tolist() == list(range(0, 250, 25))


@pytest.mark.parametrize("bin_width_s", [0.01, 0.02])
def test_chops_of_counts_begin_at_an_edge_of_a_bin(tmp_path, bin_width_s):
    counts = np.random.default_rng(0).poisson(2.0, (1000, 1))
    path = write(
        tmp_path / "a.h5", counts=counts, bin_width_s=0.01, hand=np.arange(1000.0)[:, None]
    )
    options = replace(CHOPS, bin_width_s=bin_width_s, read=ReadOptions(), recorded_s=(0.013, 9.0))
    found = prepare_recording(path, options)
    assert found.chops.session_start_s == pytest.approx(0.02)
    factor = round(bin_width_s / 0.01)
    assert found.counts[0, 0, 0] == counts[2 : 2 + factor].sum()
    assert found.behaviour["hand"][0, 0, 0] == pytest.approx(2 + (factor - 1) / 2)
    assert "moved: chops begin at the next edge of a bin, 0.007 s later" in prepared_lines(found)
    exact = prepare_recording(path, replace(options, recorded_s=(0.03, 9.0)))
    assert exact.chops.session_start_s == pytest.approx(0.03)
    assert not [line for line in prepared_lines(exact) if line.startswith("moved")]


@pytest.mark.parametrize("options", [WINDOW, CHOPS])
@pytest.mark.parametrize("asked", [(20.0, 30.0), (-5.0, 0.0)])
def test_a_recording_beside_the_counts_is_refused(tmp_path, options, asked):
    path = write(tmp_path / "a.h5", counts=np.ones((100, 2)), bin_width_s=0.1)
    needed = (
        rf"--recorded\) is {asked[0]:g} {asked[1]:g}: the counts go from 0 to 10 s, and no bin of"
    )
    with pytest.raises(DataError, match=needed):
        prepare_recording(path, replace(options, recorded_s=asked))
