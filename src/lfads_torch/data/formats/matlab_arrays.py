"""The variables of a MATLAB .mat file of both generations, with axes in MATLAB's order.

Up to version 7 the file is MATLAB's own (read by scipy); from 7.3 on it is HDF5 with reversed axes
and 16-bit characters. A field of a scalar struct is called `struct.field`. Axes of length 1 are
kept, as a recording of one trial needs them (pymatreader drops them), but MATLAB itself drops
trailing ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.formats.stored import Kind, StoredArray, StoredArrays, stored_numpy
from lfads_torch.errors import FormatError

if TYPE_CHECKING:
    import h5py

__all__ = ["stored_matlab", "stored_matlab_hdf5"]

OPAQUE = (
    "it is a MATLAB object (string, table, categorical, ...); save a numeric array or cellstr(...)"
)
STRUCTS = (
    "it is a struct array, a struct for each trial perhaps; save one numeric array, such as "
    "spikes = permute(cat(3, R.spikes), [3 1 2]) of fields [bin, unit] of one size"
)
SPARSE = "it is sparse; save full(...)"


def stored_matlab(path: Path) -> StoredArrays:
    """The variables of a file of version 5 to 7."""
    import scipy.io

    try:
        variables = scipy.io.loadmat(path, squeeze_me=False, chars_as_strings=True)
    # scipy raises whatever its parser stumbles over in a damaged file; all of it means the same.
    except Exception as error:
        raise FormatError(
            f"{path}: the MATLAB file is damaged or cut short ({error}). Save it again."
        ) from error
    arrays: dict[str, StoredArray] = {}
    for name, value in variables.items():
        if not name.startswith("__"):
            _add_variable(arrays, name, value)
    return StoredArrays(path=path, arrays=arrays)


def _add_variable(arrays: dict[str, StoredArray], name: str, value: Any) -> None:
    """One variable as scipy gives it: an array, a struct (named fields), a cell array (objects)."""
    if not isinstance(value, np.ndarray):
        arrays[name] = _unreadable(name, SPARSE if hasattr(value, "toarray") else OPAQUE)
    elif value.dtype.names is not None and value.size == 1 and value.dtype.kind == "V":
        for field in value.dtype.names:
            _add_variable(arrays, f"{name}.{field}", value.reshape(-1)[0][field])
    elif value.dtype.kind == "O" and all(_is_plain(cell) for cell in value.flat):
        cells = [cell for cell in value.T.flat]  # MATLAB counts the first axis fastest
        arrays[name] = _cell_array(name, value.shape, cells)
    elif value.dtype.names is not None and value.dtype.kind == "V" and value.ndim > 1:
        arrays[name] = _unreadable(name, f"{STRUCTS}; its fields: {', '.join(value.dtype.names)}")
    elif value.dtype.kind in "OV":
        arrays[name] = _unreadable(name, OPAQUE)
    else:
        arrays[name] = stored_numpy(name, value)


def _is_plain(cell: Any) -> bool:  # whatever scipy put into the cell
    return isinstance(cell, np.ndarray) and cell.dtype.kind in "biufcUS"


def stored_matlab_hdf5(path: Path, file: h5py.File) -> StoredArrays:
    """The variables of a file of version 7.3; loading works while the file is open."""
    arrays: dict[str, StoredArray] = {}
    for name, item in file.items():
        if not name.startswith("#"):  # "#refs#" holds what cells point to
            _add_item(arrays, name, item, file)
    return StoredArrays(path=path, arrays=arrays)


def _add_item(arrays: dict[str, StoredArray], name: str, item: Any, file: h5py.File) -> None:
    """One dataset, or the fields of one struct (an HDF5 group); h5py has no types for them."""
    import h5py

    matlab_class = _class_of(item)
    if isinstance(item, h5py.Group):
        if "MATLAB_sparse" in item.attrs:
            arrays[name] = _unreadable(name, SPARSE)
            return
        for field, part in item.items():
            _add_item(arrays, f"{name}.{field}", part, file)
    elif h5py.check_dtype(ref=item.dtype) is not None:
        shape = tuple(reversed(item.shape))
        cells = lambda: [_plain_values(file[reference]) for reference in np.asarray(item).flat]  # noqa: E731
        arrays[name] = StoredArray(
            name=name, shape=shape, kind="cells", type_name="cell", load=cells
        )
    elif item.dtype.kind not in "biuf" or matlab_class not in _NUMERIC | {"char", "logical"}:
        note = "it is complex" if item.dtype.names else OPAQUE
        arrays[name] = _unreadable(name, note)
    else:
        kind: Kind = "text" if matlab_class == "char" else "number"
        shape = tuple(reversed(item.shape))
        arrays[name] = StoredArray(
            name=name,
            shape=shape,
            kind=kind,
            type_name=matlab_class,
            load=lambda: _plain_values(item),
        )


_NUMERIC = frozenset(
    f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)
) | frozenset({"double", "single"})


def _plain_values(dataset: h5py.Dataset) -> NDArray[Any]:
    """A numeric or char dataset, axes in MATLAB's order; a char array gives one text per row."""
    import h5py

    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "biuf":
        raise FormatError(
            f"{dataset.file.filename}: a cell holds something other than numbers or text; "
            "save plain arrays in it."
        )
    if dataset.attrs.get("MATLAB_empty", 0):  # the dataset then holds the shape, not values
        if _class_of(dataset) == "char":
            return np.array([""])
        return np.zeros(tuple(int(n) for n in dataset[()]))
    values: NDArray[Any] = np.asarray(dataset[()]).T
    if _class_of(dataset) == "char":
        rows = values.reshape(1, -1) if values.ndim < 2 else values
        return np.array(["".join(map(chr, row)) for row in rows.tolist()])
    return values.astype(bool) if _class_of(dataset) == "logical" else values


def _class_of(item: Any) -> str:  # h5py has no types: Group or Dataset
    value = item.attrs.get("MATLAB_class", b"")
    return value.decode() if isinstance(value, bytes) else str(value)


def _cell_array(name: str, shape: tuple[int, ...], cells: list[NDArray[Any]]) -> StoredArray:
    return StoredArray(name=name, shape=shape, kind="cells", type_name="cell", load=lambda: cells)


def _unreadable(name: str, note: str) -> StoredArray:
    return StoredArray(
        name=name, shape=(), kind="unreadable", type_name="MATLAB", load=lambda: [], note=note
    )
