"""Recordings whose counts stay in the file: the same values, read a few trials at a time."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest
from tiny_runs import rich_recording

from lfads_torch.config.sizes import sizes_of
from lfads_torch.data.check.check import check_recording
from lfads_torch.data.check.context import CheckRequirements
from lfads_torch.data.check.estimate import FitPlan
from lfads_torch.data.fingerprint import fingerprint
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.hdf5_arrays import open_hdf5
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.data.settings import SplitSettings
from lfads_torch.data.splitting import split_recording
from lfads_torch.data.trials_in_file import in_file
from lfads_torch.errors import DataError, FormatError
from lfads_torch.workflows.assemble import unit_moments

BY_TRIAL = ReadOptions(read_by="trial")


@pytest.fixture
def ours(tmp_path):
    path = tmp_path / "recording.h5"
    write_recording(rich_recording(), path)
    return path


@pytest.fixture
def theirs(tmp_path):
    """lfads-torch's layout; held-out units, forward bins, a test set without recon_data."""
    rng, path = np.random.default_rng(0), tmp_path / "theirs.h5"
    with h5py.File(path, "w") as file:
        for name, n in (("train", 7), ("valid", 3), ("test", 2)):
            whole = rng.poisson(0.5, (n, 9, 5)).astype("<i2")
            file[f"{name}_encod_data"] = whole[:, :7, :4]
            if name != "test":
                file[f"{name}_recon_data"] = whole
                file[f"{name}_truth"] = rng.uniform(0, 1, (n, 9, 4)).astype(np.float32)
        file["conversion_factor"] = 0.3
        file["bin_width_s"] = 0.01
    return path


def same(found, wanted):
    assert in_file(found) is not None
    assert found.dtype == wanted.dtype
    assert found.shape == wanted.shape
    np.testing.assert_array_equal(np.asarray(found), wanted)


@pytest.mark.parametrize("layout", ["ours", "theirs"])
def test_by_trial_gives_what_memory_gives(layout, request):
    path = request.getfixturevalue(layout)
    whole, filed = read_recording(path), read_recording(path, options=BY_TRIAL)
    assert whole.in_file is None
    same(filed.counts, whole.counts)
    same(filed.true_rates, whole.true_rates)
    assert fingerprint(filed) == fingerprint(whole)
    assert fingerprint(filed.in_memory()) == fingerprint(whole)
    back = np.array([4, 3, 1, 8])
    same(filed.take_trials(back).counts, whole.counts[back])
    same(filed.take_units(back[2:] % 3).counts, whole.counts[:, :, back[2:] % 3])


def test_indexing_reads_as_an_array_does(ours):
    whole = read_recording(ours).counts
    counts = read_recording(ours, options=BY_TRIAL).counts
    seen = np.array([True, False, True, True, False, True])
    same(counts[3:20:2][:, 2:, seen], whole[3:20:2][:, 2:, seen])
    same(counts[..., seen], whole[..., seen])
    same(counts[[29, 0]][:, [5, 1]], whole[[29, 0]][:, [5, 1]])
    np.testing.assert_array_equal(counts[-1], whole[-1])
    np.testing.assert_array_equal(counts[2, 3:], whole[2, 3:])
    np.testing.assert_array_equal(np.stack(list(counts)), whole)
    assert counts[:0].shape == (0, 12, 6)
    assert np.asarray(counts[:0]).shape == (0, 12, 6)


def test_every_statistic_is_the_same(ours):
    found, needed = [], []
    for options in (ReadOptions(), BY_TRIAL):
        recording = read_recording(ours, options=options)
        split = split_recording(recording, SplitSettings(held_out_fraction=0.4))
        recording = recording.with_split(split)
        moments = unit_moments(recording.counts[split.trials("train")])
        plan = FitPlan(flops_per_s=1e9)
        checked = check_recording(recording, CheckRequirements(plan=plan))
        needed.append(checked.estimate.memory_bytes)
        report = checked.to_json()
        found.append((split.trial_set.tolist(), split.is_encoded.tolist(), sizes_of(recording),
                      [getattr(moments, name).tolist() for name in vars(moments)],
                      report["findings"], report["summary"]))  # fmt: skip
    assert found[0] == found[1]
    assert needed[0] > needed[1]  # the counts are not in memory


def test_auto_chooses_by_what_memory_allows(ours):
    needed_gb = rich_recording().counts.size * (8 + 8 + 4) / 1e9
    small = read_recording(ours, options=ReadOptions(memory_gb=0.99 * needed_gb))
    assert "run.memory_gb allows" in small.in_file.reason
    assert read_recording(ours, options=ReadOptions(memory_gb=1.01 * needed_gb)).in_file is None
    asked = ReadOptions(memory_gb=0.5 * needed_gb, read_by="memory")
    assert read_recording(ours, options=asked).in_file is None


def test_more_than_is_allowed_at_once_is_refused_with_the_way_out(ours):
    counts = replace(read_recording(ours, options=BY_TRIAL).counts, most_bytes=1000)
    assert np.asarray(counts[:1]).shape == (1, 12, 6)
    with pytest.raises(DataError, match=r"30 trials in memory.*run\.memory_gb.*data\.read_by"):
        np.asarray(counts)
    with pytest.raises(DataError, match="read by trial"):
        counts[np.ones((30, 12, 6), dtype=bool)]


def test_other_files_are_refused_where_trial_is_asked_for(tmp_path):
    path = tmp_path / "counts.npz"
    np.savez(path, counts=np.ones((4, 5, 3), dtype=np.uint8), bin_width_s=0.01)
    with pytest.raises(FormatError, match=r"data\.read_by=trial.*'arrays'.*lfads prepare"):
        read_recording(path, options=BY_TRIAL)
    with pytest.raises(FormatError, match=r"chop\.length_s.*lfads prepare --chop"):
        read_recording(path, options=replace(BY_TRIAL, chop_s=1.0))


def test_wrong_values_are_found_without_reading_all(theirs):
    with h5py.File(theirs, "r+") as file:
        file["valid_encod_data"][2, 3, 1] += 1
    for options in (ReadOptions(), BY_TRIAL):
        with pytest.raises(DataError, match=r"valid_encod_data.*1 entries.*trial 2, bin 3, unit 1"):
            read_recording(theirs, options=options)


def test_counts_beyond_the_end_of_a_trial_are_found(tmp_path):
    recording = replace(rich_recording(), n_trial_bins=None)
    path = tmp_path / "ends.h5"
    write_recording(recording, path)
    with h5py.File(path, "r+") as file:
        file["n_trial_bins"] = np.array([12] * 29 + [9])
    with pytest.raises(DataError, match="trial 187 has 9 bins"):
        read_recording(path, options=BY_TRIAL)
    with h5py.File(path, "r+") as file:
        file["counts"][29, 9:] = np.nan
    assert read_recording(path, options=BY_TRIAL).bins_of_trials[-1] == 9


def test_counts_are_packed_in_whole_trials_and_larger_chunks_are_named(tmp_path):
    path, other = tmp_path / "recording.h5", tmp_path / "other.h5"
    counts = np.zeros((300, 133, 117), dtype=np.uint8)
    wide = replace(
        rich_recording(), counts=counts, trial_ids=np.arange(300), unit_ids=np.arange(117),
        condition=None, behaviour={}, true_rates=None, true_latents=None, true_inputs=None,
    )  # fmt: skip
    write_recording(wide, path)
    with h5py.File(path) as file, h5py.File(other, "w") as repacked:
        assert file["counts"].chunks == (4, 133, 117)
        for name in ("trial_ids", "unit_ids"):
            repacked[name] = file[name][()]
        repacked.attrs.update(file.attrs)
        repacked.create_dataset("counts", data=counts, chunks=(300, 10, 10))
    assert "chunk" not in read_recording(path, options=BY_TRIAL).in_file.reason
    assert "packs 300 trials" in read_recording(other, options=BY_TRIAL).in_file.reason


def test_a_file_that_is_written_anew_is_refused(ours, tmp_path):
    counts = read_recording(ours, options=BY_TRIAL).counts
    np.asarray(counts[:2])
    written = ours.stat()
    with h5py.File(ours, "r+") as file:
        file["counts"][1, 2, 3] = 9
    with pytest.raises(DataError, match=r"recording\.h5: the file has changed.*lfads resume"):
        np.asarray(counts[:2])
    counts = read_recording(ours, options=BY_TRIAL).counts
    other = tmp_path / "other.h5"  # of the same size and date
    shutil.copyfile(ours, other)
    os.utime(other, ns=(written.st_atime_ns, ours.stat().st_mtime_ns))
    other.replace(ours)
    with pytest.raises(DataError, match="the file has changed"):
        counts[1]


def test_a_file_that_is_gone_is_not_called_damaged(ours):
    counts = read_recording(ours, options=BY_TRIAL).counts
    ours.unlink()
    with pytest.raises(DataError, match=r"recording\.h5: the file cannot be reached any more"):
        counts[0]
    with pytest.raises(FormatError, match="there is no such file"), open_hdf5(ours):
        pass


def test_the_working_folder_may_change(ours, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    counts = read_recording(ours.name, options=BY_TRIAL).counts
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    np.testing.assert_array_equal(counts[0], rich_recording().counts[0])
