"""The order of axes in a file: as said, as netCDF names it, warned of where it looks wrong."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import h5py
import numpy as np
import pytest

from lfads_torch.data.check.axes import check_axes
from lfads_torch.data.check.context import CheckContext, CheckRequirements
from lfads_torch.data.check.statistics import count_statistics
from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.data.prepare import PrepareOptions, prepare_recording
from lfads_torch.errors import DataError, FormatError

AXES = ("trial", "bin", "unit")
COUNTS = np.random.default_rng(3).poisson(1.0, (5, 7, 3))
HAND = np.random.default_rng(4).normal(size=(5, 7, 2))


def read(path: Path, axes: str | None = None, **named: object):
    return read_recording(path, options=ReadOptions(bin_width_s=0.01, axes=axes, **named))


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_the_order_that_is_said(tmp_path, order):
    speed = HAND[:, :, 0]
    np.savez(
        tmp_path / "x.npz",
        spikes=COUNTS.transpose(order),
        hand=HAND.transpose(order),
        speed=speed.T if order.index(1) < order.index(0) else speed,
    )
    said = ",".join(AXES[axis] for axis in order)
    recording = read(tmp_path / "x.npz", said, behaviour=("hand", "speed"))
    np.testing.assert_array_equal(recording.counts, COUNTS)
    np.testing.assert_array_equal(recording.behaviour["hand"], HAND)
    np.testing.assert_array_equal(recording.behaviour["speed"][:, :, 0], speed)


def named_file(path: Path, names: tuple[str, str, str]) -> Path:
    """The counts with these dimensions, in the order unit, bin, trial, as xarray writes them."""
    with h5py.File(path, "w") as file:
        spikes = file.create_dataset("spikes", data=COUNTS.transpose(2, 1, 0))
        for axis, name in enumerate(names):
            file[name] = np.arange(spikes.shape[axis])
            file[name].make_scale(name)
            spikes.dims[axis].attach_scale(file[name])
    return path


@pytest.mark.parametrize("names", [("neuron", "time", "trial"), ("n", "time", "trials")])
def test_netcdf_names_its_dimensions(tmp_path, names):
    recording = read(named_file(tmp_path / "x.nc", names))
    np.testing.assert_array_equal(recording.counts, COUNTS)


def test_names_that_contradict_are_no_guess(tmp_path):
    path = named_file(tmp_path / "x.nc", ("channel", "samples", "trial"))
    with pytest.raises(FormatError, match=r"channel, samples, trial.*--axes unit,bin,trial"):
        read(path)
    np.testing.assert_array_equal(read(path, "unit,bin,trial").counts, COUNTS)


def test_arrays_that_are_not_taken_may_be_named_as_they_like(tmp_path):
    path = named_file(tmp_path / "x.nc", ("neuron", "time", "trial"))
    with h5py.File(path, "a") as file:
        waveforms = file.create_dataset("waveforms", data=np.zeros((3, 5, 4)))
        file["sample"] = np.arange(4)
        for axis, name in enumerate(("neuron", "trial", "sample")):
            file[name].make_scale(name)
            waveforms.dims[axis].attach_scale(file[name])
    np.testing.assert_array_equal(read(path).counts, COUNTS)


def test_names_of_another_kind_say_nothing(tmp_path):
    path = named_file(tmp_path / "x.nc", ("a", "b", "c"))
    np.testing.assert_array_equal(read(path).counts, COUNTS.transpose(2, 1, 0))


def test_dimensions_of_an_array_in_memory_that_contradict():
    xarray = pytest.importorskip("xarray")
    array = xarray.DataArray(COUNTS.transpose(2, 1, 0), dims=("neuron", "time", "trial"))
    np.testing.assert_array_equal(recording_from_arrays(array, bin_width_s=0.01).counts, COUNTS)
    with pytest.raises(DataError, match="neuron, time, epoch"):
        recording_from_arrays(array.rename(trial="epoch"), bin_width_s=0.01)


@pytest.mark.parametrize("axes", ["unit,bin", "unit,unit,bin", "foo", ""])
def test_an_order_that_is_none(tmp_path, axes):
    np.savez(tmp_path / "x.npz", spikes=COUNTS)
    with pytest.raises(FormatError, match=r"each once: trial, bin, unit"):
        read(tmp_path / "x.npz", axes)


def test_files_that_know_their_order(tmp_path):
    write_recording(recording_from_arrays(COUNTS, bin_width_s=0.01), tmp_path / "ours.h5")
    with pytest.raises(FormatError, match="Leave the option out"):
        read(tmp_path / "ours.h5", "unit,bin,trial")
    np.savez(tmp_path / "t.npz", spike_times=[0.1, 0.2], spike_units=[0, 1])
    options = PrepareOptions(bin_width_s=0.1, chop_s=0.1, read=ReadOptions(axes="unit,bin"))
    with pytest.raises(FormatError, match="spike times"):
        prepare_recording(tmp_path / "t.npz", options)


def test_a_session_with_units_first(tmp_path):
    counts, hand = COUNTS.reshape(35, 3), HAND.reshape(35, 2)
    np.savez(tmp_path / "x.npz", spikes=counts.T, hand=hand.T, bin_width_s=0.01)
    options = PrepareOptions(chop_s=0.07, read=ReadOptions(axes="unit,bin"))
    recording = prepare_recording(tmp_path / "x.npz", options)
    np.testing.assert_array_equal(recording.counts, COUNTS)
    np.testing.assert_allclose(recording.behaviour["hand"], HAND)


def like_a_recording() -> np.ndarray:
    """Rates of units differ by a factor of ten, trials and bins by little; [33, 31, 17]."""
    rng = np.random.default_rng(5)
    units = rng.permutation(np.geomspace(0.1, 1.0, 17))
    time = 1 + 0.2 * np.sin(np.linspace(0, 6, 31))[:, None]
    trials = rng.uniform(0.9, 1.1, (33, 1, 1))
    return rng.poisson(units * time * trials)


def findings_of(counts: np.ndarray) -> list[str]:
    recording = recording_from_arrays(counts, bin_width_s=0.01)
    context = CheckContext(
        recording=recording,
        statistics=count_statistics(recording.counts),
        requirements=CheckRequirements(),
        split=None,
    )
    return [finding.remedy for finding in check_axes(context)]


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_an_order_that_looks_wrong_is_warned_of(order):
    remedies = findings_of(like_a_recording().transpose(order))
    said = "--axes " + ",".join(AXES[axis] for axis in order)
    if order[2] == 2:
        assert not remedies  # trials and bins can't be told apart
    else:
        assert said in remedies[0]


def test_trials_with_artefacts_are_no_units():
    counts = like_a_recording()
    counts[::9] += 30
    assert not findings_of(counts)


def test_drift_over_trials_is_no_unit():
    counts = like_a_recording()[:, :, :1].repeat(17, axis=2)  # units as alike as can be
    assert not findings_of(counts * np.linspace(1, 9, 33).astype(int)[:, None, None])


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 33, 33), (33, 1, 33)])
def test_too_few_to_say(shape):
    assert not findings_of(np.ones(shape))
