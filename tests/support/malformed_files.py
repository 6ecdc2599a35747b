"""Writing files that are no recordings, and what is asked of the message on each."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.ours import write_recording
from lfads_torch.errors import LfadsError

__all__ = ["GOOD", "WIDTH", "RunsCode", "assert_refused", "hdf5", "npy_bytes", "npz", "ours"]

GOOD = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
Case = tuple[Callable[[Path], object], ReadOptions, type[LfadsError], str]
WIDTH = ReadOptions(bin_width_s=0.01)


def ours(path: Path) -> Path:
    write_recording(recording_from_arrays(GOOD, bin_width_s=0.01), path)
    return path


def hdf5(path: Path, **arrays: object) -> None:
    with h5py.File(path, "w") as file:
        for name, values in arrays.items():
            file[name] = values


def npz(path: Path, **arrays: object) -> None:
    with path.open("wb") as file:
        np.savez(file, **arrays)


class RunsCode:
    """What a hostile pickle does: here it would make a file."""

    def __reduce__(self):
        return (os.mkdir, ("made_by_a_pickle",))


def npy_bytes(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def assert_refused(case: Case, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One message of ours that begins with the path, and no file more or less."""
    write, options, error, message = case
    monkeypatch.chdir(folder)
    path = folder / "file.h5"
    write(path)
    before = sorted(os.listdir(folder))
    with pytest.raises(LfadsError, match=message) as caught:
        read_recording(path, options=options)
    text = str(caught.value)
    assert type(caught.value) is error
    assert text.startswith(str(path))
    # The HDF5 library's own words on a file that is cut short name it once more.
    assert text.count(str(path)) == 1 or write.__name__ == "truncated_hdf5"
    assert "\n" not in text.replace(str(caught.value.__cause__), "")
    assert sorted(os.listdir(folder)) == before
