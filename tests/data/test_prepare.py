"""Sessions of spikes and behaviour become trials, the same from every container."""

from __future__ import annotations

from dataclasses import replace

import h5py
import numpy as np
import pytest
import scipy.io

from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.data.prepare import PrepareOptions, prepare_recording
from lfads_torch.data.prepare_notes import prepared_lines
from lfads_torch.errors import DataError, FormatError

WINDOW = PrepareOptions(bin_width_s=0.05, window_s=(-0.1, 0.2))


def session() -> dict:
    """Three units, the second silent; spikes and events in whole milliseconds over 10 s."""
    rng = np.random.default_rng(0)
    spikes = [np.sort(rng.integers(0, 10_000, n)) / 1000 for n in (500, 0, 333)]
    samples = np.arange(1000) * 0.01
    return {
        "spike_times": spikes,
        "unit_ids": np.array([11, 5, 8]),
        "event_times": np.array([1.0, 4.001, np.nan, 2.5, 9.9]),
        "condition": ["left", "right", "left", "left", "right"],
        "hand": np.stack([samples, -2 * samples], axis=1),
        "hand_times": samples,
        "recording_start_s": 0.0,
        "recording_stop_s": 10.0,
    }


def write_npz(path, material):
    spikes = material.pop("spike_times")
    flat = np.concatenate(spikes)
    units = np.repeat(material["unit_ids"], [len(times) for times in spikes])
    shuffled = np.random.default_rng(1).permutation(len(flat))
    np.savez(path, spike_times=flat[shuffled], spike_units=units[shuffled], **material)


def write_hdf5(path, material):
    with h5py.File(path, "w") as file:
        for unit, times in zip(material["unit_ids"], material.pop("spike_times"), strict=True):
            file[f"spike_times/{unit}"] = times
        for name, values in material.items():
            file[name] = values
        file["hand"].attrs["units"] = "mm"


def write_matlab(path, material):
    for name in ("spike_times", "condition"):
        cells = np.empty(len(material[name]), dtype=object)
        cells[:] = material[name]
        material[name] = cells
    scipy.io.savemat(path, material)


def write_matlab_hdf5(path, material):
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, cells in (
            ("spike_times", material.pop("spike_times")),
            ("condition", material.pop("condition")),
        ):
            references = []
            for position, cell in enumerate(cells):
                is_text = isinstance(cell, str)
                values = np.array([[ord(c)] for c in cell], dtype=np.uint16) if is_text else None
                kind, empty = ("char" if is_text else "double"), not is_text and not len(cell)
                if values is None:
                    values = np.array([0, 0], dtype=np.uint64) if empty else np.asarray(cell)[None]
                target = file.create_dataset(f"#refs#/{name}{position}", data=values)
                target.attrs["MATLAB_class"] = np.bytes_(kind)
                if empty:
                    target.attrs["MATLAB_empty"] = np.uint8(1)
                references.append(target.ref)
            file.create_dataset(
                name, data=np.array([references], dtype=object), dtype=h5py.ref_dtype
            )
            file[name].attrs["MATLAB_class"] = np.bytes_("cell")
        for name, values in material.items():
            file[name] = np.atleast_2d(np.asarray(values, dtype=float)).T
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: PCWIN64".ljust(128))


WRITERS = {
    "npz": write_npz, "hdf5": write_hdf5, "matlab": write_matlab, "matlab_hdf5": write_matlab_hdf5,
}  # fmt: skip


@pytest.mark.parametrize("container", WRITERS)
def test_spike_times_become_trials_from_every_container(tmp_path, container):
    material = session()
    path = tmp_path / "session.bin"
    with path.open("wb"):  # numpy and scipy would add a suffix to a name, not to this file
        pass
    if container == "npz":
        with path.open("wb") as file:
            write_npz(file, session())
    elif container == "matlab":
        with path.open("wb") as file:
            write_matlab(file, session())
    else:
        WRITERS[container](path, session())
    recording = prepare_recording(path, WINDOW)
    assert recording.counts.shape == (4, 6, 3)
    assert recording.trial_ids.tolist() == [0, 1, 3, 4]
    assert recording.condition.tolist() == ["left", "right", "left", "right"]
    assert (recording.start_s, recording.bin_width_s) == (-0.1, 0.05)
    order = [list(recording.unit_ids).index(unit) for unit in material["unit_ids"]]
    for unit, times in zip(order, material["spike_times"], strict=True):
        in_ms = np.round(times * 1000).astype(int)
        expected = [
            [
                ((in_ms >= edge) & (in_ms < edge + 50)).sum()
                for edge in range(at - 100, at + 200, 50)
            ]
            for at in (1000, 4001, 2500)
        ]
        np.testing.assert_array_equal(recording.counts[:3, :, unit], expected)
    # The last trial ends 100 ms after the recording.
    assert np.isnan(recording.counts[3, 4:]).all()
    assert not np.isnan(recording.counts[3, :4]).any()
    hand = recording.behaviour["hand"]
    np.testing.assert_allclose(hand[1, :, 0], 4.001 - 0.1 + 0.05 * (np.arange(6) + 0.5), rtol=1e-6)
    np.testing.assert_allclose(hand[0, :, 1], -2 * hand[0, :, 0], rtol=1e-6)
    assert np.isnan(hand[3, 4:]).all()
    notes = recording.provenance["prepared"]
    assert notes["left_out"] == {"without a time of the event": [2]}
    assert notes["n_missing_bins"] == 2
    write_recording(recording, tmp_path / "out.h5")
    assert read_recording(tmp_path / "out.h5").provenance == recording.provenance


def test_units_without_a_list_are_in_natural_order(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for unit in ("10", "2"):
            file[f"spike_times/{unit}"] = np.array([0.01])
        file["event_times"] = np.array([0.0])
    options = PrepareOptions(bin_width_s=0.1, window_s=(0, 0.1))
    assert prepare_recording(tmp_path / "a.h5", options).unit_ids.tolist() == [2, 10]


def numpy_session(path, **changes):
    material = {**session(), **changes}
    write_npz(path, {name: value for name, value in material.items() if value is not None})
    return path


def test_several_events_need_a_choice(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["spike_times/1"] = np.array([0.05, 0.25])
        file["event_times/go"] = np.array([0.0])
        file["event_times/move"] = np.array([0.2])
    options = PrepareOptions(bin_width_s=0.1, window_s=(0, 0.1), event="move")
    assert prepare_recording(tmp_path / "a.h5", options).counts.tolist() == [[[1]]]
    with pytest.raises(FormatError, match=r"several events .*choose the one .*--event NAME"):
        prepare_recording(tmp_path / "a.h5", replace(options, event=None))


def test_trials_beyond_the_recording_can_be_dropped_or_refused(tmp_path):
    path = numpy_session(tmp_path / "a.npz")
    dropped = prepare_recording(path, replace(WINDOW, outside="drop"))
    assert dropped.trial_ids.tolist() == [0, 1, 3]
    assert dropped.counts.dtype == np.uint8
    with pytest.raises(DataError, match=r"1 of 4 trials reach beyond the recording, .* trial 4"):
        prepare_recording(path, replace(WINDOW, outside="refuse"))


def test_overlapping_trials_are_counted_and_can_be_dropped_or_refused(tmp_path):
    path = numpy_session(tmp_path / "a.npz", event_times=np.array([1.2, 1.0, 1.3, 2, 2.3]))
    assert prepare_recording(path, WINDOW).provenance["prepared"]["n_overlapping_trials"] == 1
    dropped = prepare_recording(path, replace(WINDOW, overlap="drop"))
    assert dropped.trial_ids.tolist() == [1, 2, 3, 4]
    with pytest.raises(DataError, match=r"1 of 5 trials share time .* trial 0"):
        prepare_recording(path, replace(WINDOW, overlap="refuse"))


def test_a_session_can_be_chopped_without_events(tmp_path):
    path = numpy_session(tmp_path / "a.npz", event_times=None, condition=None)
    recording = prepare_recording(path, PrepareOptions(bin_width_s=0.1, chop_s=3.0))
    # The last chop ends with the recording: the whole of it is covered.
    assert recording.counts.shape == (4, 30, 3)
    assert recording.chops.start_bins.tolist() == [0, 30, 60, 70]
    first = session()["spike_times"][0]
    assert recording.counts[:3, :, 0].sum() == (first < 9.0).sum()
    assert recording.counts[3, :, 0].sum() == (first >= 7.0).sum()


@pytest.mark.parametrize("chopped", [True, False])
def test_binned_sessions_are_cut_and_joined(tmp_path, chopped):
    counts = np.random.default_rng(2).poisson(1, (101, 2)).astype(np.uint8)
    position = np.arange(101.0)[:, None]
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["spikes"], file["hand"], file.attrs["bin_width_s"] = counts, position, 0.01
        file["event_times"] = np.array([0.303, 0.98])
    if chopped:
        options = PrepareOptions(bin_width_s=0.02, chop_s=0.5)
        first, shape = 0, (2, 25, 2)
    else:
        options = PrepareOptions(bin_width_s=0.02, window_s=(-0.1, 0.06))
        first, shape = 20, (2, 8, 2)
    recording = prepare_recording(path, options)
    assert recording.counts.shape == shape
    np.testing.assert_array_equal(recording.counts[0, 1], counts[first + 2 : first + 4].sum(axis=0))
    assert recording.behaviour["hand"][0, 0, 0] == first + 0.5
    if not chopped:
        moved = recording.provenance["prepared"]["largest_move_of_event_s"]
        assert moved == pytest.approx(0.003)
        assert np.isnan(recording.counts[1, -2:]).all()
        np.testing.assert_array_equal(recording.counts[1, -3], counts[98:100].sum(axis=0))


def test_counts_in_trials_pass_through_in_wider_bins(tmp_path):
    counts = np.random.default_rng(3).poisson(1, (3, 6, 2)).astype(np.uint8)
    write_recording(recording_from_arrays(counts, bin_width_s=0.01), tmp_path / "a.h5")
    wide = prepare_recording(tmp_path / "a.h5", PrepareOptions(bin_width_s=0.03))
    np.testing.assert_array_equal(wide.counts[:, 0], counts[:, :3].sum(axis=1))
    assert wide.provenance["rebinned"] == {"factor": 3, "counts": "sum"}
    same = prepare_recording(tmp_path / "a.h5", PrepareOptions())
    np.testing.assert_array_equal(same.counts, counts)
    with pytest.raises(DataError, match=r"0\.01 s can't be joined to bins of 0\.015 s"):
        prepare_recording(tmp_path / "a.h5", PrepareOptions(bin_width_s=0.015))
    with pytest.raises(DataError, match="cut into trials already"):
        prepare_recording(tmp_path / "a.h5", WINDOW)


MISTAKES = {
    "milliseconds": (
        {"event_times": np.array([1000.0, 4000.0]), "condition": None, "recording_stop_s": None},
        WINDOW,
        "no trial holds a single spike: event times go from 1000 to 4000 s, spike .* one clock",
    ),
    "no_events": (
        {"event_times": None, "condition": None}, WINDOW, "no event_times .*--event NAME",
    ),
    "wrong_event": ({}, replace(WINDOW, event="event_time"), "Did you mean 'event_times'"),
    "no_window": ({}, PrepareOptions(bin_width_s=0.05), "window around the event is missing"),
    "no_bin_width": ({}, PrepareOptions(window_s=(0, 1)), "no bin width of their own"),
    "zero_bin_width": ({}, replace(WINDOW, bin_width_s=0.0), "bin width is 0.0 s; a positive"),
    "broken_window": ({}, replace(WINDOW, window_s=(0, 0.12)), "2.4 bins of 0.05 s"),
    "only_nan": (
        {"event_times": np.full(5, np.nan)}, WINDOW, "no trial is left: all 5 are without a time",
    ),
    "all_outside": ({}, replace(WINDOW, recorded_s=(20, 30)), "all 4 are outside the recording"),
    "trial_ids": ({"trial_ids": np.arange(4)}, WINDOW, "5 events, but 4 trial ids"),
    "same_trial_ids": ({"trial_ids": np.ones(5)}, WINDOW, "trial_ids are not unique"),
    "condition": (
        {"kind": np.arange(3)},
        replace(WINDOW, read=ReadOptions(condition="kind")),
        "'kind' for the condition has 3 entries, but there are 5 trials",
    ),
    "unknown_unit": (
        {"unit_ids": np.array([11, 5, 9])}, None, "1 units that unit_ids lacks, the first is 8",
    ),
    "behaviour_times": ({"hand_times": np.arange(7.0)}, WINDOW, "one time per sample"),
    "behaviour_name": (
        {}, replace(WINDOW, read=ReadOptions(behaviour=("hands",))), "no array 'hands' .*'hand'",
    ),
    "short": (
        {"recording_stop_s": 0.5},
        PrepareOptions(bin_width_s=0.1, chop_s=1.0),
        "shorter than one trial",
    ),
    "text": ({"event_times": np.array(["a", "b"])}, WINDOW, "type <U1; real numbers are needed"),
    "two_axes": ({"event_times": np.ones((2, 2))}, WINDOW, "shape .2, 2.; one axis is needed"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_named_with_their_remedy(tmp_path, mistake):
    changes, options, message = MISTAKES[mistake]
    path = tmp_path / "a.npz"
    if mistake == "unknown_unit":
        material = session()
        spikes = np.concatenate(material.pop("spike_times"))
        units = np.repeat([11, 8], [500, 333])
        np.savez(path, spike_times=spikes, spike_units=units, **{**material, **changes})
    else:
        numpy_session(path, **changes)
    with pytest.raises((DataError, FormatError), match=message) as caught:
        prepare_recording(path, options or WINDOW)
    assert str(caught.value).startswith(str(path))
    assert str(caught.value).count(str(path)) == 1


def test_spikes_need_their_units(tmp_path):
    np.savez(tmp_path / "a.npz", spike_times=np.arange(3.0), event_times=np.array([0.0]))
    with pytest.raises(FormatError, match="spike_units, the unit of each spike, is missing"):
        prepare_recording(tmp_path / "a.npz", WINDOW)


def test_unit_ids_and_groups_must_agree(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["spike_times/7"] = np.arange(3.0)
        file["unit_ids"] = np.array([8])
        file["event_times"] = np.array([0.0])
    with pytest.raises(DataError, match=r"differ in \['7', '8'\]"):
        prepare_recording(tmp_path / "a.h5", WINDOW)


def test_lengths_in_milliseconds_are_said_at_once(tmp_path):
    path = tmp_path / "session.npz"
    np.savez(path, spike_times=np.arange(0, 500, 0.5), spike_units=np.arange(1000) % 3)
    meant_in_ms = PrepareOptions(bin_width_s=5.0, chop_s=100.0)
    said = prepared_lines(prepare_recording(path, meant_in_ms))
    assert any(line.startswith("warning: trials are 100 s long and bins 5 s wide") for line in said)
    fine = prepare_recording(path, replace(meant_in_ms, bin_width_s=0.01, chop_s=1.0))
    assert not any("warning" in line for line in prepared_lines(fine))
    with pytest.raises(DataError, match=r"1000 ms are --chop 1 "):
        prepare_recording(path, replace(meant_in_ms, bin_width_s=0.01, chop_s=1000.0))


def test_a_session_shorter_than_a_chop_may_have_its_units_first(tmp_path):
    path = tmp_path / "session.npz"
    np.savez(path, spikes=np.ones((3, 500), dtype=int), bin_width_s=0.01)
    with pytest.raises(DataError, match=r"bin x unit = 3 x 500.*--axes unit,bin"):
        prepare_recording(path, PrepareOptions(chop_s=1.0))
    short = prepare_recording(path, PrepareOptions(chop_s=0.01))
    assert any(
        line.startswith("warning: 500 units and only 3 bins") for line in prepared_lines(short)
    )
    read = ReadOptions(axes="unit,bin")
    recording = prepare_recording(path, PrepareOptions(chop_s=1.0, read=read))
    assert recording.counts.shape == (5, 100, 3)
