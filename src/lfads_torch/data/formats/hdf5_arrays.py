"""The arrays of an HDF5 file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.formats.stored import StoredArray, StoredArrays
from lfads_torch.errors import FormatError, LfadsError

if TYPE_CHECKING:
    import h5py

__all__ = ["dataset_values", "open_hdf5", "stored_hdf5"]


@contextmanager
def open_hdf5(path: Path, **options: int) -> Iterator[h5py.File]:
    """The open file, for reading; damage found now or while reading is a FormatError.

    `options` are those of `h5py.File` for its cache of chunks.
    """
    import h5py

    try:
        with h5py.File(path, "r", **options) as file:
            yield file
    except LfadsError:  # OutputError is an OSError as well
        raise
    except FileNotFoundError as error:
        raise FormatError(
            f"{path}: there is no such file (any more). Put it back, or give the path where it is "
            "now."
        ) from error
    except (OSError, RuntimeError) as error:
        reason = "is cut short" if "truncated" in str(error) else "is damaged"
        raise FormatError(
            f"{path}: the HDF5 file {reason} ({error}). Copy or write it again."
        ) from error


def stored_hdf5(path: Path, file: h5py.File) -> StoredArrays:
    """Every dataset by its path in the file, "group/name"; loading works while the file is open."""
    import h5py

    arrays: dict[str, StoredArray] = {}

    def visit(name: str, item: Any) -> None:  # h5py has no types: Group or Dataset
        if isinstance(item, h5py.Dataset):
            arrays[name] = _stored_dataset(name, item)

    file.visititems(visit)
    return StoredArrays(path=path, arrays=arrays, attributes=dict(file.attrs))


def dataset_values(dataset: h5py.Dataset) -> NDArray[Any]:
    """All values; text as NumPy text instead of objects."""
    import h5py

    if h5py.check_string_dtype(dataset.dtype) is None:
        return np.asarray(dataset[()])
    try:
        return np.asarray(dataset.asstr("utf-8")[()], dtype=np.str_)
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{dataset.file.filename}: the text in {dataset.name} is not UTF-8 ({error}). "
            "Write it again as UTF-8, or as numbers."
        ) from None


def _stored_dataset(name: str, dataset: h5py.Dataset) -> StoredArray:
    import h5py

    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    note = ""
    if dataset.shape is None:
        note = "the dataset is empty"
    elif not is_text and dataset.dtype.kind not in "biufcS":
        note = f"values of type {dataset.dtype} are neither numbers nor text"
    return StoredArray(
        name=name,
        shape=dataset.shape or (),
        kind="unreadable" if note else "text" if is_text else "number",
        type_name="text" if is_text else str(dataset.dtype),
        load=lambda: dataset_values(dataset),
        attributes=dict(dataset.attrs),
        note=note,
        dimensions=_dimensions(dataset),
    )


def _dimensions(dataset: h5py.Dataset) -> tuple[str, ...]:
    """Name of each axis in a netCDF file, which are those of the scales attached to it."""
    if "DIMENSION_LIST" not in dataset.attrs:
        return ()
    scales = [next(iter(axis.values()), None) for axis in dataset.dims]
    return tuple("" if each is None else str(each.name).rpartition("/")[2] for each in scales)
