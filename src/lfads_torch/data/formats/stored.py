"""The arrays inside a file of any container, by name: what is there, and a way to load it.

HDF5, npz and MATLAB files differ in how arrays lie in them, not in what they mean. Each container
gives a `StoredArrays`; the readers above it look for counts, conditions and spike times by name.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lfads_torch.errors import FormatError

__all__ = ["SEPARATORS", "StoredArray", "StoredArrays", "below", "stored_numpy"]

Kind = Literal["number", "text", "cells", "unreadable"]
LISTED = 20
SEPARATORS = ("/", ".")  # group/dataset in HDF5, struct.field in MATLAB


@dataclass(frozen=True, kw_only=True)
class StoredArray:
    """One named array. `cells`: a list of arrays (MATLAB cell); `unreadable`: `note` says why."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    type_name: str  # e.g. "uint8", for messages
    load: Callable[[], NDArray[Any] | list[NDArray[Any]]]
    attributes: Mapping[str, Any] = field(
        default_factory=dict
    )  # HDF5 values: scalars, text, arrays
    note: str = ""
    dimensions: tuple[str, ...] = ()  # names of the axes, where the file has them (netCDF)
    is_per_trial: bool = False  # known to be a column of a table of trials
    is_behaviour: bool = True  # False: a series that is none unless it is named
    is_second_name: bool = False  # the same values stand under another name too

    def described(self) -> str:
        return f"{self.name} {list(self.shape)} {self.type_name}" + (
            f" ({self.note})" if self.note else ""
        )


@dataclass(frozen=True, kw_only=True)
class StoredArrays:
    """All arrays of one file."""

    path: Path
    arrays: Mapping[str, StoredArray]
    attributes: Mapping[str, Any] = field(default_factory=dict)  # of the file; see StoredArray
    without_spikes: str = ""  # why a file of a known kind has no spikes, and what it has
    without_events: str = ""  # the same of events

    def listing(self) -> str:
        """The arrays with shape and type, for a message; each once, by its own name."""
        own = (array for array in self.arrays.values() if not array.is_second_name)
        described = [array.described() for array in own]
        more = f"; and {len(described) - LISTED} more" if len(described) > LISTED else ""
        return "; ".join(described[:LISTED]) + more if described else "no arrays at all"

    def find(self, name: str, what: str) -> StoredArray:
        """The array of this name; a FormatError with the nearest name if there is none."""
        if name in self.arrays:
            return self.arrays[name]
        close = difflib.get_close_matches(name, self.arrays, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise FormatError(
            f"{self.path}: there is no array {name!r} for the {what}.{hint} "
            f"Found: {self.listing()}."
        )

    def numbers(self, name: str, what: str) -> NDArray[Any]:
        """A numeric array, in a type and byte order of this machine."""
        array = self.find(name, what)
        values = self._loaded(array, what)
        if isinstance(values, list) or values.dtype.kind not in "biuf":
            raise FormatError(
                f"{self.path}: array {name!r} for the {what} has type {array.type_name}; real "
                "numbers are needed."
            )
        return _native(values)

    def labels(self, name: str, what: str) -> NDArray[Any]:
        """A one-dimensional array of integers or text; axes of length 1 are dropped."""
        return self._whole(self._flat_labels(name, what), name, what)

    def labels_where_given(self, name: str, what: str) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """The same and which are given: of numbers NaN, of text an empty one, is no label."""
        flat = self._flat_labels(name, what)
        if flat.dtype.kind in "US":
            values = _decoded(flat)
            return values, np.asarray(np.char.strip(values) != "", dtype=np.bool_)
        is_given = ~np.isnan(flat)
        return self._whole(np.where(is_given, flat, flat.dtype.type(0)), name, what), is_given

    def _flat_labels(self, name: str, what: str) -> NDArray[Any]:
        array = self.find(name, what)
        loaded = self._loaded(array, what)
        values = _joined_text(loaded) if isinstance(loaded, list) else loaded
        if values is None or values.dtype.kind not in "biufUS":
            raise FormatError(
                f"{self.path}: array {name!r} for the {what} has type {array.type_name}; integers "
                "or text are needed."
            )
        flat = values.reshape(-1) if sum(n != 1 for n in values.shape) <= 1 else values
        if flat.ndim != 1:
            raise FormatError(
                f"{self.path}: array {name!r} for the {what} has shape {values.shape}; "
                "one axis is needed."
            )
        return flat

    def cells(self, name: str, what: str) -> list[NDArray[Any]]:
        """The arrays of a MATLAB cell array, in its order."""
        values = self._loaded(self.find(name, what), what)
        return values if isinstance(values, list) else [values]

    def scalar(self, name: str) -> float | None:
        """A number, stored as attribute of the file or array of one element; None if absent."""
        value = self.attributes.get(name)
        if value is None and name in self.arrays and np.prod(self.arrays[name].shape) == 1:
            value = self.numbers(name, name)
        if value is None:
            return None
        flat = np.asarray(value).reshape(-1)
        if flat.size != 1 or flat.dtype.kind not in "biuf":
            raise FormatError(f"{self.path}: {name} is {value!r}; one number is needed.")
        return float(flat[0])

    def word(self, name: str) -> str | None:
        """A text stored as attribute of the file or as an array of one element; None if absent."""
        value = self.attributes.get(name)
        if value is None and name in self.arrays and self.arrays[name].kind == "text":
            value = self._loaded(self.arrays[name], name)
        if value is None:
            return None
        first = np.asarray(value).reshape(-1)[:1]
        return _decoded(first)[0].item() if first.size and first.dtype.kind in "US" else str(value)

    def _loaded(self, array: StoredArray, what: str) -> NDArray[Any] | list[NDArray[Any]]:
        if array.kind == "unreadable":
            raise FormatError(
                f"{self.path}: array {array.name!r} for the {what} can't be read: {array.note}."
            )
        return array.load()

    def _whole(self, values: NDArray[Any], name: str, what: str) -> NDArray[Any]:
        if values.dtype.kind in "US":
            return _decoded(values)
        if values.dtype.kind in "iu":
            return _native(values)
        if not np.isfinite(values).all():
            raise FormatError(
                f"{self.path}: array {name!r} for the {what} is not finite at position "
                f"{int(np.flatnonzero(~np.isfinite(values))[0])}; every entry needs a label."
            )
        if (values == np.round(values)).all():
            return values.astype(np.int64)
        return np.array([f"{value:g}" for value in values.tolist()])


def below(name: str, group: str) -> str | None:
    """The rest of the name of an array in a group; None of others."""
    for separator in SEPARATORS:
        if name.startswith(group + separator):
            return name[len(group) + 1 :]
    return None


def stored_numpy(name: str, values: NDArray[Any]) -> StoredArray:
    """A NumPy array that is already in memory."""
    kind: Kind = "number"
    note = ""
    if values.dtype.kind in "US":
        kind = "text"
    elif values.dtype.kind not in "biufc":
        kind, note = "unreadable", f"values of type {values.dtype} are neither numbers nor text"
    return StoredArray(
        name=name,
        shape=values.shape,
        kind=kind,
        type_name=str(values.dtype),
        load=lambda: values,
        note=note,
    )


def _native(values: NDArray[Any]) -> NDArray[Any]:
    """The numbers in this machine's byte order, which torch needs; floats as single or double."""
    if values.dtype.kind == "f" and values.dtype.itemsize not in (4, 8):
        return values.astype(np.float32 if values.dtype.itemsize < 4 else np.float64)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _decoded(values: NDArray[Any]) -> NDArray[Any]:
    return np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values


def _joined_text(cells: list[NDArray[Any]]) -> NDArray[Any] | None:
    """Cells that hold one text or one number each, as one array; None if they hold more."""
    if not cells or any(cell.size != 1 for cell in cells):
        return None
    return np.array([cell.reshape(-1)[0] for cell in cells])
