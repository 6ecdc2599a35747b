"""Files of every layout give the recording that was put into them, whatever their name."""

from __future__ import annotations

import os
from dataclasses import fields, replace
from importlib import metadata
from importlib.metadata import EntryPoint
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording, reader_places
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.data.recording import Recording, Split
from lfads_torch.errors import OutputError

MAZE = Path(__file__).parents[3] / "shared" / "data" / "mc_maze_large_subset.h5"


def full_recording(n_trials: int = 3, n_bins: int = 7, n_units: int = 5) -> Recording:
    rng = np.random.default_rng(0)
    counts = rng.poisson(1.0, (n_trials, n_bins, n_units)).astype(np.float32)
    counts[0, -1, 0] = np.nan
    grid = (n_trials, n_bins)
    return Recording(
        counts=counts,
        bin_width_s=0.1 + 0.2,  # not the shortest decimal: must come back to the last bit
        trial_ids=np.array([f"trial {k} é" for k in range(n_trials)]),
        unit_ids=np.arange(n_units, dtype=np.int16)[::-1].copy(),
        start_s=-0.25,
        session="monkey ü",
        condition=np.arange(n_trials, dtype=np.int8) % 2,
        external_inputs=rng.normal(size=(*grid, 2)).astype(np.float32),
        behaviour={"hand/velocity": rng.normal(size=(*grid, 2)), "gaze": np.zeros((*grid, 1))},
        behaviour_units={"hand/velocity": "mm/s"},
        unit_groups=np.array([f"e{k // 2}" for k in range(n_units)]),
        true_rates=rng.uniform(size=(*grid, n_units)),
        true_latents=rng.normal(size=(*grid, 3)),
        true_inputs=rng.normal(size=(*grid, 1)),
        split=Split(
            trial_set=np.array(["train", "valid", "unused"] * n_trials)[:n_trials],
            is_encoded=np.arange(n_units) > 0,
            n_encoded_bins=n_bins,
            provenance={"method": "by hand", "seed": 3},
        ),
        extra={
            "mask": np.array([True, False]),
            "nothing": np.zeros((0, 3), dtype=np.int32),
            "number": np.array(2.5),
            "words": np.array([["a", "bc"]]),
            "phase": np.array([1 + 2j]),
        },
        provenance={"source": "test", "sizes": [1, 2], "nested": {"x": None}},
    )


def same(first: object, second: object) -> bool:
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        kinds = first.dtype == second.dtype or {first.dtype.kind, second.dtype.kind} == {"U"}
        floating = first.dtype.kind in "fc"
        return bool(kinds and np.array_equal(first, second, equal_nan=floating))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[k], second[k]) for k in first)
    if isinstance(first, Split) and isinstance(second, Split):
        return all(same(getattr(first, f.name), getattr(second, f.name)) for f in fields(Split))
    return type(first) is type(second) and first == second


def assert_same(first: Recording, second: Recording) -> None:
    differing = [
        f.name
        for f in fields(Recording)
        if not same(getattr(first, f.name), getattr(second, f.name))
    ]
    assert differing == []


def write_arrays(path: Path, arrays: dict[str, np.ndarray], **attributes: object) -> Path:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values
        file.attrs.update(attributes)
    return path


def matlab_hdf5(path: Path, numbers: dict[str, np.ndarray], texts: dict[str, list[str]]) -> Path:
    """A file as MATLAB writes with -v7.3: a user block, reversed axes, 16-bit characters."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in numbers.items():
            file[name] = np.asarray(values, dtype=np.float64).T
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
        for name, words in texts.items():
            cells = []
            for position, word in enumerate(words):
                cell = file.create_dataset(
                    f"#refs#/{name}{position}",
                    data=np.array([[ord(letter)] for letter in word], dtype=np.uint16),
                )
                cell.attrs["MATLAB_class"] = np.bytes_("char")
                cells.append(cell.ref)
            file.create_dataset(name, data=np.array([cells], dtype=object), dtype=h5py.ref_dtype)
            file[name].attrs["MATLAB_class"] = np.bytes_("cell")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(128))
    return path


def test_our_own_file_gives_back_everything(tmp_path):
    recording = full_recording()
    write_recording(recording, tmp_path / "named.anything")
    assert_same(recording, read_recording(tmp_path / "named.anything"))
    assert os.listdir(tmp_path) == ["named.anything"]


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float64", "bool", "float16"])
def test_our_own_file_keeps_the_type_of_one_count(tmp_path, dtype):
    recording = recording_from_arrays(np.ones((1, 1, 1), dtype=np.uint8), bin_width_s=0.01)
    recording = replace(recording, counts=recording.counts.astype(dtype))
    write_recording(recording, tmp_path / "one.h5")
    assert_same(recording, read_recording(tmp_path / "one.h5"))


def test_provenance_may_be_longer_than_an_hdf5_attribute_usually_is(tmp_path):
    recording = replace(full_recording(), provenance={"ids": list(range(50_000))})
    write_recording(recording, tmp_path / "long.h5")
    assert read_recording(tmp_path / "long.h5").provenance == recording.provenance


def test_session_and_start_can_be_given_for_our_own_file(tmp_path):
    write_recording(full_recording(), tmp_path / "a.h5")
    options = ReadOptions(session="other", start_s=1.5, behaviour=("gaze",))
    read = read_recording(tmp_path / "a.h5", options=options)
    assert (read.session, read.start_s) == ("other", 1.5)


def test_a_failed_write_keeps_the_earlier_file_and_leaves_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    write_recording(full_recording(), path)
    before = path.read_bytes()

    def full_disk(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full_disk)
    with pytest.raises(OutputError, match=r"a\.h5: cannot be written, there is no space left"):
        write_recording(full_recording(n_trials=5), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.h5"]


def test_ctrl_c_while_writing_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_recording(full_recording(), tmp_path / "a.h5")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("suffix", [".h5", ".npz", ".mat"])
def test_content_decides_and_not_the_name(tmp_path, suffix):
    spikes = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    path = tmp_path / f"file{suffix}"
    with path.open("wb") as file:
        np.savez(file, spikes=spikes, bin_width_s=0.01)
    read = read_recording(path)
    np.testing.assert_array_equal(read.counts, spikes)
    assert read.bin_width_s == 0.01
    assert read.provenance["reader"] == "arrays"


def test_named_arrays_become_what_the_options_say(tmp_path):
    rng = np.random.default_rng(1)
    arrays = {
        "first": rng.poisson(1, (3, 33, 4)).astype(np.int16),
        "second": rng.poisson(1, (3, 33, 2)).astype(np.int16),
        "target": np.array([b"left", b"right", b"left"]),
        "speed": rng.normal(size=(3, 33)),
        "pulse": rng.normal(size=(3, 33, 1)),
        "names": np.array([10.0, 3.0, 7.0]),
        "electrodes": np.array([5, 9]),
    }
    options = ReadOptions(
        counts="second",
        condition="target",
        bin_width_s=0.02,
        behaviour=("speed",),
        external_inputs="pulse",
        trial_ids="names",
        unit_ids="electrodes",
        start_s=-0.1,
        session="s",
    )
    read = read_recording(write_arrays(tmp_path / "a.h5", arrays), options=options)
    np.testing.assert_array_equal(read.counts, arrays["second"])
    assert read.condition.tolist() == ["left", "right", "left"]
    assert (read.bin_width_s, read.start_s, read.session) == (0.02, -0.1, "s")
    assert list(read.behaviour) == ["speed"]
    assert read.behaviour["speed"].shape == (3, 33, 1)
    assert read.external_inputs.dtype == np.float32
    assert read.trial_ids.tolist() == [10, 3, 7]
    assert read.unit_ids.tolist() == [5, 9]


def test_without_a_name_the_only_plausible_array_is_taken_and_said(tmp_path):
    counts = np.array([[[0.0, 2.0], [1.0, np.nan]]])
    arrays = {
        "activity": counts,
        "velocity": np.full((1, 2, 2), 0.5, dtype=np.float32),
        "flat": np.arange(3),
        "group/condition": np.array([1]),
        "condition": np.array([4]),
    }
    path = write_arrays(tmp_path / "a.h5", arrays, bin_width_s=0.005)
    with h5py.File(path, "a") as file:
        file["velocity"].attrs["units"] = "mm/s"
    read = read_recording(path)
    np.testing.assert_array_equal(read.counts, counts)
    assert read.provenance["counts"] == "activity"
    assert "only array" in read.provenance["why_counts"]
    assert list(read.behaviour) == ["velocity"]
    assert read.behaviour_units == {"velocity": "mm/s"}
    assert read.condition.tolist() == [4]
    assert read.session == "a"


def test_bytes_of_another_machine_come_in_this_ones_order(tmp_path):
    path = write_arrays(tmp_path / "a.h5", {"counts": np.ones((1, 2, 3), dtype=">f8")})
    read = read_recording(path, options=ReadOptions(bin_width_s=0.01))
    assert read.counts.dtype.isnative


def test_objects_beside_the_counts_of_an_npz_are_left_alone(tmp_path):
    np.savez(
        tmp_path / "a.npz",
        spikes=np.ones((1, 2, 3), dtype=int),
        meta=np.array({"x": 1}, dtype=object),
    )
    assert read_recording(tmp_path / "a.npz", options=ReadOptions(bin_width_s=0.01)).n_units == 3


def test_an_npy_file_is_its_one_array(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((1, 2, 3), dtype=np.uint8))
    assert read_recording(tmp_path / "a.npy", options=ReadOptions(bin_width_s=0.01)).n_bins == 2


def test_both_generations_of_matlab_files_agree(tmp_path):
    counts = np.random.default_rng(2).poisson(1, (1, 33, 3)).astype(np.float64)
    velocity = np.random.default_rng(3).normal(size=(1, 33, 2))
    old = tmp_path / "old.mat"
    scipy.io.savemat(
        old,
        {
            "data": {"spikes": counts},
            "velocity": velocity,
            "bin_width_s": 0.01,
            "condition": np.array(["left"], dtype=object),
        },
    )
    new = matlab_hdf5(
        tmp_path / "new.mat",
        {"data/spikes": counts, "velocity": velocity, "bin_width_s": np.array([[0.01]])},
        {"condition": ["left"]},
    )
    with h5py.File(new, "a") as file:
        file["data"].attrs["MATLAB_class"] = np.bytes_("struct")
    options = ReadOptions(counts="data.spikes", session="s")
    first, second = (read_recording(path, options=options) for path in (old, new))
    assert_same(replace(first, provenance={}), replace(second, provenance={}))
    assert first.counts.dtype == np.uint8
    np.testing.assert_array_equal(first.counts, counts)
    assert first.condition.tolist() == ["left"]
    np.testing.assert_array_equal(first.behaviour["velocity"], velocity)


def layout(n_encoded: int = 3, n_units: int = 5, bins: tuple[int, int] = (6, 8)) -> dict:
    """Two training trials, one of validation, three of test without targets."""
    rng = np.random.default_rng(4)
    arrays = {}
    for name, n_trials in (("train", 2), ("valid", 1), ("test", 3)):
        whole = rng.poisson(1, (n_trials, bins[1], n_units)).astype(np.float32)
        arrays[f"{name}_encod_data"] = whole[:, : bins[0], :n_encoded]
        if name != "test":
            arrays[f"{name}_recon_data"] = whole
            arrays[f"{name}_truth"] = whole * 0.5
        arrays[f"{name}_ext_input"] = rng.normal(size=(n_trials, bins[0], 2))
        arrays[f"{name}_behavior"] = rng.normal(size=(n_trials, bins[1], 2))
    arrays |= {"conversion_factor": np.array(0.25), "train_inds": np.array([4, 0])}
    arrays |= {"valid_inds": np.array([2]), "test_inds": np.array([5, 1, 3]), "note": np.array([7])}
    return arrays


def test_the_layout_of_lfads_torch(tmp_path):
    arrays = layout()
    path = write_arrays(tmp_path / "a.h5", arrays)
    options = ReadOptions(bin_width_s=0.02, behaviour=("behavior",))
    read = read_recording(path, options=options)
    assert read.provenance["reader"] == "lfads_torch"
    assert read.split.trial_set.tolist() == ["train", "train", "valid", "test", "test", "test"]
    assert read.split.is_encoded.tolist() == [True, True, True, False, False]
    assert read.split.n_encoded_bins == 6
    np.testing.assert_array_equal(read.counts[:2], arrays["train_recon_data"])
    np.testing.assert_array_equal(read.counts[3:, :6, :3], arrays["test_encod_data"])
    assert np.isnan(read.counts[3:, 6:]).all()
    assert np.isnan(read.counts[3:, :, 3:]).all()
    assert read.trial_ids.tolist() == [4, 0, 2, 5, 1, 3]
    # truth 0.5 per count, over the factor .25, over 20 ms
    np.testing.assert_allclose(read.true_rates[2], arrays["valid_recon_data"][0] * 2 / 0.02)
    assert np.isnan(read.true_rates[3:]).all()
    np.testing.assert_allclose(read.external_inputs[:2, :6], arrays["train_ext_input"], rtol=1e-6)
    assert (read.external_inputs[:, 6:] == 0).all()
    assert read.behaviour["behavior"].shape == (6, 8, 2)
    assert read.extra["note"].tolist() == [7]
    assert "train_behavior" not in read.extra


def test_the_layout_of_lfads_torch_with_a_complete_test_set(tmp_path):
    arrays = layout(n_encoded=5, bins=(8, 8))
    arrays["test_recon_data"] = arrays["test_encod_data"]
    arrays["test_inds"] = np.array([0, 1, 2])  # comes twice, so ids are numbered
    path = write_arrays(tmp_path / "a.h5", arrays, bin_width_s=0.02)
    read = read_recording(path)
    assert not np.isnan(read.counts).any()
    assert read.split.is_encoded.all()
    assert read.trial_ids.tolist() == list(range(6))
    assert read.extra["train_behavior"].shape == (2, 8, 2)
    assert read.extra["train_inds"].tolist() == [4, 0]


PLUG_IN = """
import numpy as np
from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.formats.base import Reader

class EveryOther(Reader):
    name = "every_other"

    def recognises(self, path):
        return path.read_bytes().startswith(b"every other")

    def read(self, path, options):
        return recording_from_arrays(np.ones((1, 2, 3)), bin_width_s=0.5)
"""


@pytest.fixture
def plug_in(tmp_path, monkeypatch) -> str:
    """A module outside the package, as a plug-in's author has it."""
    (tmp_path / "every_other_reader.py").write_text(PLUG_IN)
    monkeypatch.syspath_prepend(tmp_path)
    return "every_other_reader:EveryOther"


def test_a_reader_can_be_named_by_module_and_class(tmp_path, plug_in):
    np.save(tmp_path / "a.npy", np.ones((1, 2, 3), dtype=np.uint8))
    assert read_recording(tmp_path / "a.npy", reader=plug_in).bin_width_s == 0.5


def test_a_plug_in_is_asked_by_content_before_the_general_layouts(tmp_path, monkeypatch, plug_in):
    point = EntryPoint("every_other", plug_in, "lfads_torch.readers")
    monkeypatch.setattr(metadata, "entry_points", lambda group: [point] * (group == point.group))
    assert list(reader_places()) == ["recording", "every_other", "lfads_torch", "matlab", "arrays"]
    (tmp_path / "x.h5").write_bytes(b"every other line")
    assert read_recording(tmp_path / "x.h5").bin_width_s == 0.5


@pytest.mark.skipif(not MAZE.exists(), reason="the maze recording is not beside the repository")
def test_the_maze_recording():
    read = read_recording(MAZE)
    assert read.counts.shape == (165, 100, 162)
    assert read.counts.dtype == np.uint8
    assert read.bin_width_s == 0.005
    assert sorted(read.behaviour) == ["hand_position", "hand_velocity"]
    assert len(np.unique(read.condition)) == 9
