"""The arrays of a file in any known container: HDF5, NWB, npz, npy, MATLAB of both generations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lfads_torch.data.formats.content import file_kind, what_cannot_be_read
from lfads_torch.data.formats.hdf5_arrays import open_hdf5, stored_hdf5
from lfads_torch.data.formats.matlab_arrays import stored_matlab, stored_matlab_hdf5
from lfads_torch.data.formats.numpy_arrays import stored_npy, stored_npz
from lfads_torch.data.formats.nwb import is_nwb, stored_nwb
from lfads_torch.data.formats.stored import StoredArrays
from lfads_torch.errors import FormatError

__all__ = ["open_stored"]


@contextmanager
def open_stored(path: Path) -> Iterator[StoredArrays]:
    """The named arrays of the file; they can be loaded until the block ends."""
    kind = file_kind(path)
    if kind == "hdf5":
        with open_hdf5(path) as file:
            yield stored_nwb(path, file) if is_nwb(file) else stored_hdf5(path, file)
    elif kind == "matlab_hdf5":
        with open_hdf5(path) as file:
            yield stored_matlab_hdf5(path, file)
    elif kind == "matlab":
        yield stored_matlab(path)
    elif kind == "npz":
        yield stored_npz(path)
    elif kind == "npy":
        yield stored_npy(path)
    else:
        raise FormatError(what_cannot_be_read(path, kind))
