"""Files that are no recordings: each gives one readable message of ours and changes nothing."""

from __future__ import annotations

import os
import pickle
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.errors import DataError, FormatError, LfadsError

GOOD = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
WIDTH = ReadOptions(bin_width_s=0.01)


def ours(path: Path) -> Path:
    write_recording(recording_from_arrays(GOOD, bin_width_s=0.01), path)
    return path


def hdf5(path: Path, **arrays: object) -> None:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values


def altered(path: Path, change) -> None:
    with h5py.File(ours(path), "a") as file:
        change(file)


def replaced(path: Path, name: str, values: object) -> None:
    def change(file):
        del file[name]
        file[name] = values

    altered(path, change)


def npz(path: Path, **arrays: object) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


def cut_short(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 2 // 3])


def truncated_hdf5(path: Path) -> None:
    cut_short(ours(path))


def damaged_hdf5(path: Path) -> None:
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        noise = rng.integers(0, 9, (9, 33, 33)).astype(np.uint8)
        file.create_dataset("counts", data=noise, compression="gzip")
        at = file["counts"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[at : at + 400] = b"\xff" * 400
    path.write_bytes(content)


def truncated_npz(path: Path) -> None:
    npz(path, counts=GOOD)
    cut_short(path)


def damaged_npz(path: Path) -> None:
    npz(path, counts=np.zeros((2, 33, 33), dtype=np.uint8))
    content = bytearray(path.read_bytes())
    content[300:400] = b"\x01" * 100
    path.write_bytes(content)


def truncated_matlab(path: Path) -> None:
    with path.open("wb") as file:
        scipy.io.savemat(file, {"counts": GOOD.astype(float)})
    cut_short(path)


def saved_model(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02.")


def layout(path: Path, **changes: object) -> None:
    arrays = {
        f"{name}_{part}": GOOD
        for name in ("train", "valid")
        for part in ("encod_data", "recon_data")
    }
    arrays.update(changes)
    hdf5(path, **{name: values for name, values in arrays.items() if values is not None})


def sparse_matlab(path: Path) -> None:
    with path.open("wb") as file:
        scipy.io.savemat(file, {"counts": scipy.sparse.csc_matrix(GOOD[0].astype(float))})


class RunsCode:
    """What a hostile pickle does: here it would make a file."""

    def __reduce__(self):
        return (os.mkdir, ("made_by_a_pickle",))


CASES = {
    # name: (writes the file, options, error, what the message says)
    "missing": (lambda p: None, WIDTH, FormatError, "no such file"),
    "folder": (lambda p: p.mkdir(), WIDTH, FormatError, "is a folder; the path of one file"),
    "empty": (lambda p: p.touch(), WIDTH, FormatError, r"empty \(0 bytes\)"),
    "text": (lambda p: p.write_text("1,2\n3,4\n"), WIDTH, FormatError, "is a text file"),
    "noise": (
        lambda p: p.write_bytes(bytes(range(255, 0, -1)) * 9),
        WIDTH,
        FormatError,
        "known kind",
    ),
    "pickle": (
        lambda p: p.write_bytes(pickle.dumps(RunsCode())),
        WIDTH,
        FormatError,
        "Python pickle",
    ),
    "saved_model": (saved_model, WIDTH, FormatError, "zip archive without NumPy arrays"),
    "npy_of_objects": (
        lambda p: p.write_bytes(_npy(np.array([RunsCode()]))),
        WIDTH,
        FormatError,
        "pickled Python objects",
    ),
    "npz_of_objects": (
        lambda p: npz(p, counts=np.array([RunsCode()])),
        WIDTH,
        FormatError,
        "pickled Python objects",
    ),
    "npz_of_unequal_trials": (
        lambda p: npz(p, counts=np.array([GOOD[0], GOOD[1, :3]], dtype=object)),
        WIDTH,
        FormatError,
        "'counts' .*pickled Python objects.*fill shorter trials with NaN",
    ),
    "truncated_hdf5": (truncated_hdf5, WIDTH, FormatError, "HDF5 file is cut short"),
    "damaged_hdf5": (damaged_hdf5, WIDTH, FormatError, "HDF5 file is damaged"),
    "truncated_npz": (truncated_npz, WIDTH, FormatError, "npz archive is damaged or cut short"),
    "damaged_npz": (damaged_npz, WIDTH, FormatError, "npz archive is damaged or cut short"),
    "truncated_npy": (
        lambda p: p.write_bytes(_npy(GOOD)[:-5]),
        WIDTH,
        FormatError,
        "npy file is damaged or cut short",
    ),
    "truncated_matlab": (
        truncated_matlab,
        WIDTH,
        FormatError,
        "MATLAB file is damaged or cut short",
    ),
    "sparse_matlab": (sparse_matlab, WIDTH, FormatError, "it is sparse; save full"),
    "no_arrays": (
        lambda p: hdf5(p),
        WIDTH,
        FormatError,
        "no array looks like counts.*no arrays at all",
    ),
    "two_candidates": (
        lambda p: hdf5(p, a=GOOD, b=GOOD),
        WIDTH,
        FormatError,
        r"2 arrays could be the counts.*--counts NAME.*a \[2, 4, 3\] uint8; b \[",
    ),
    "fractional_unnamed": (
        lambda p: hdf5(p, a=GOOD * 0.5),
        WIDTH,
        FormatError,
        "no array looks like counts",
    ),
    "wrong_name": (
        lambda p: hdf5(p, spikes=GOOD, speed=GOOD),
        replace(WIDTH, counts="spike"),
        FormatError,
        "no array 'spike' for the counts. Did you mean 'spikes'",
    ),
    "wrong_condition": (
        lambda p: hdf5(p, spikes=GOOD, target=[1, 2]),
        replace(WIDTH, condition="targets"),
        FormatError,
        "no array 'targets' .*Did you mean 'target'",
    ),
    "wrong_behaviour": (
        lambda p: hdf5(p, spikes=GOOD),
        replace(WIDTH, behaviour=("hand",)),
        FormatError,
        "no array 'hand'",
    ),
    "continuous": (
        lambda p: hdf5(p, counts=GOOD[0]),
        WIDTH,
        DataError,
        r"shape \(4, 3\).*three axes.*lfads prepare",
    ),
    "four_axes": (
        lambda p: npz(p, counts=GOOD[None]),
        WIDTH,
        DataError,
        r"\(1, 2, 4, 3\).*three axes",
    ),
    "zero_units": (
        lambda p: hdf5(p, counts=GOOD[..., :0]),
        WIDTH,
        DataError,
        "at least one trial, bin and unit",
    ),
    "zero_trials": (lambda p: npz(p, counts=GOOD[:0]), WIDTH, DataError, "at least one trial, bin"),
    "words": (
        lambda p: npz(p, counts=np.full((2, 4, 3), "a")),
        WIDTH,
        FormatError,
        "type <U1; real numbers",
    ),
    "complex": (
        lambda p: hdf5(p, counts=GOOD * 1j),
        WIDTH,
        FormatError,
        "complex128; real numbers",
    ),
    "dates": (
        lambda p: npz(p, counts=GOOD.astype("M8[s]")),
        WIDTH,
        FormatError,
        "neither numbers nor text",
    ),
    "no_bin_width": (
        lambda p: hdf5(p, counts=GOOD),
        ReadOptions(),
        FormatError,
        "--bin-width 0.005",
    ),
    "negative_bin_width": (
        lambda p: hdf5(p, counts=GOOD),
        ReadOptions(bin_width_s=-0.01),
        FormatError,
        "is -0.01 s; a positive",
    ),
    "nan_bin_width": (
        lambda p: npz(p, counts=GOOD, bin_width_s=np.nan),
        ReadOptions(),
        FormatError,
        "is nan s; a positive",
    ),
    "two_bin_widths": (
        lambda p: npz(p, counts=GOOD, bin_width_s=0.02),
        WIDTH,
        FormatError,
        "file says bin_width_s = 0.02, but --bin-width is 0.01",
    ),
    "bin_width_of_words": (
        lambda p: npz(p, counts=GOOD, bin_width_s="5 ms"),
        ReadOptions(),
        FormatError,
        "real numbers",
    ),
    "doubled_trial_ids": (
        lambda p: hdf5(p, counts=GOOD, trial_ids=[7, 7]),
        WIDTH,
        DataError,
        "trial_ids are not unique",
    ),
    "doubled_unit_ids": (
        lambda p: hdf5(p, counts=GOOD, unit_ids=[1, 2, 1]),
        WIDTH,
        DataError,
        "unit_ids are not unique",
    ),
    "fewer_ids": (
        lambda p: hdf5(p, counts=GOOD, unit_ids=[1, 2]),
        WIDTH,
        DataError,
        "has 2 ids, but .* 3 units",
    ),
    "short_condition": (
        lambda p: hdf5(p, counts=GOOD, kind=[1]),
        replace(WIDTH, condition="kind"),
        DataError,
        "1 entries, but there are 2 trials",
    ),
    "nan_condition": (
        lambda p: hdf5(p, counts=GOOD, condition=[1.0, np.nan]),
        WIDTH,
        FormatError,
        "not finite at position 1",
    ),
    "behaviour_of_other_bins": (
        lambda p: hdf5(p, counts=GOOD, hand=np.zeros((2, 5, 2))),
        replace(WIDTH, behaviour=("hand",)),
        DataError,
        r"behaviour 'hand' has shape \(2, 5, 2\)",
    ),
    "newer_version": (
        lambda p: altered(p, lambda f: f.attrs.update(format_version=2)),
        WIDTH,
        FormatError,
        "format_version 2, this lfads-torch reads up to 1. Install a newer",
    ),
    "no_version": (
        lambda p: altered(p, lambda f: f.attrs.pop("format_version")),
        WIDTH,
        FormatError,
        "format_version is None; a whole number",
    ),
    "other_format": (
        lambda p: altered(p, lambda f: f.attrs.update(format="lfads-torch rates")),
        WIDTH,
        FormatError,
        "kind 'lfads-torch rates'; a recording is needed",
    ),
    "no_counts": (
        lambda p: altered(p, lambda f: f.pop("counts")),
        WIDTH,
        FormatError,
        "'counts' is missing",
    ),
    "ours_with_wrong_shape": (
        lambda p: replaced(p, "trial_ids", [1, 2, 3]),
        WIDTH,
        DataError,
        r"trial_ids has shape \(3,\)",
    ),
    "ours_with_words": (
        lambda p: replaced(p, "counts", [[["a"]]]),
        WIDTH,
        DataError,
        "counts have type <U1",
    ),
    "ours_with_broken_split": (
        lambda p: altered(p, lambda f: f.create_group("split")),
        WIDTH,
        FormatError,
        "split in the file lacks",
    ),
    "ours_with_broken_provenance": (
        lambda p: altered(p, lambda f: f.attrs.update(provenance="{")),
        WIDTH,
        FormatError,
        "no JSON text",
    ),
    "ours_with_a_name": (
        ours,
        replace(WIDTH, counts="spikes"),
        FormatError,
        "leave out --counts spikes",
    ),
    "ours_without_that_behaviour": (
        ours,
        replace(WIDTH, behaviour=("hand",)),
        FormatError,
        "no behaviour 'hand'. Found: none",
    ),
    "layout_without_validation": (
        lambda p: layout(p, valid_encod_data=None),
        WIDTH,
        FormatError,
        "needs train_encod_data",
    ),
    "layout_without_bin_width": (layout, ReadOptions(), FormatError, "--bin-width 0.005"),
    "layout_of_other_units": (
        lambda p: layout(p, valid_encod_data=GOOD[..., :2]),
        WIDTH,
        DataError,
        "encod_data differ in bins or units",
    ),
    "layout_with_smaller_recon": (
        lambda p: layout(p, train_recon_data=GOOD[:, :3], valid_recon_data=GOOD[:, :3]),
        WIDTH,
        DataError,
        "train_recon_data has shape .2, 3, 3., train_encod_data",
    ),
    "layout_of_other_values": (
        lambda p: layout(p, valid_recon_data=GOOD + 1),
        WIDTH,
        DataError,
        "differ in 24 entries, the first at trial 0",
    ),
    "layout_without_factor": (
        lambda p: layout(p, train_truth=GOOD * 1.0),
        WIDTH,
        FormatError,
        "conversion_factor is None",
    ),
    "layout_of_two_axes": (
        lambda p: layout(p, train_encod_data=GOOD[0]),
        WIDTH,
        DataError,
        r"train_encod_data has shape \(4, 3\)",
    ),
    "layout_with_inputs_in_one_set": (
        lambda p: layout(p, train_ext_input=np.zeros((2, 4, 1))),
        WIDTH,
        FormatError,
        "'valid_ext_input'",
    ),
}


def _npy(values: np.ndarray) -> bytes:
    import io

    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_recording_gives_one_message(tmp_path, monkeypatch, case):
    write, options, error, message = CASES[case]
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "file.h5"
    write(path)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(LfadsError, match=message) as caught:
        read_recording(path, options=options)
    text = str(caught.value)
    assert type(caught.value) is error
    assert text.startswith(str(path))
    assert text.count(str(path)) == 1 or case == "truncated_hdf5"
    assert "\n" not in text.replace(str(caught.value.__cause__), "")
    assert sorted(os.listdir(tmp_path)) == before


def test_a_file_that_may_not_be_read(tmp_path, monkeypatch):
    path = ours(tmp_path / "a.h5")

    def refuse(self, *arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(FormatError, match=r"permission denied. The file exists"):
        read_recording(path)


def test_a_missing_file_names_its_neighbour(tmp_path):
    ours(tmp_path / "maze.h5")
    with pytest.raises(FormatError, match=r"no such file\. Did you mean .*maze\.h5"):
        read_recording(tmp_path / "mase.h5")
    with pytest.raises(FormatError, match=r"folder .*nowhere does not exist either"):
        read_recording(tmp_path / "nowhere" / "maze.h5")


def test_a_run_is_no_recording(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(FormatError, match="This one is a run; give the recording"):
        read_recording(tmp_path)


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        ("matlap", "reader: there is no 'matlap'. Did you mean 'matlab'"),
        ("no.such.module:Reader", "could not be loaded"),
        (
            "pathlib:Path",
            "is of another kind; derive the class from lfads_torch.data.formats.base.Reader",
        ),
        ("pathlib:NoSuchClass", "could not be loaded"),
    ],
)
def test_unknown_readers(tmp_path, reader, message):
    with pytest.raises(FormatError, match=message):
        read_recording(ours(tmp_path / "a.h5"), reader=reader)


def test_the_arrays_of_python_are_checked_as_files_are():
    with pytest.raises(DataError, match=r"2 trials differ in shape, from \(4, 2\) to \(4, 3\)"):
        recording_from_arrays([GOOD[0], GOOD[1, :, :2]], bin_width_s=0.01)
    for counts, message in (
        (GOOD * 1j, "type complex128; real numbers"),
        ([["a"]], "type <U1"),
        (GOOD[0], "three axes are needed"),
        (np.array([RunsCode()]), "type object"),
    ):
        with pytest.raises(DataError, match=message):
            recording_from_arrays(counts, bin_width_s=0.01)
    with pytest.raises(DataError, match="condition have type float64; integers or text"):
        recording_from_arrays(GOOD, bin_width_s=0.01, condition=[0.5, 1.0])
    for width in (0, -1, np.nan, "5 ms", None):
        with pytest.raises(DataError, match="a positive width in seconds is needed"):
            recording_from_arrays(GOOD, bin_width_s=width)
