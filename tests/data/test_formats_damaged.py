"""Files that cannot be read at all: each gives one message of ours and changes nothing."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
from malformed_files import GOOD, WIDTH, RunsCode, assert_refused, npy_bytes, npz, ours

from lfads_torch.data.formats.choose import read_recording
from lfads_torch.errors import FormatError


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


def sparse_matlab(path: Path) -> None:
    with path.open("wb") as file:
        scipy.io.savemat(file, {"counts": scipy.sparse.csc_matrix(GOOD[0].astype(float))})


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
        lambda p: p.write_bytes(npy_bytes(np.array([RunsCode()]))),
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
        lambda p: p.write_bytes(npy_bytes(GOOD)[:-5]),
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
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_no_recording_gives_one_message(tmp_path, monkeypatch, case):
    assert_refused(CASES[case], tmp_path, monkeypatch)


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
