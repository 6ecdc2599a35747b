"""Time series of an NWB file: values in their unit, and the time of each sample."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.formats.hdf5_arrays import dataset_values
from lfads_torch.data.formats.nwb_tables import (
    MEND,
    broken_link,
    children,
    group_at,
    groups_below,
)
from lfads_torch.data.formats.stored import StoredArray
from lfads_torch.errors import FormatError

if TYPE_CHECKING:
    import h5py

__all__ = ["PLACES", "stored_series"]

PLACES = ("processing", "acquisition")
BEHAVIOUR = ("TimeSeries", "SpatialSeries")
MOST_AXES = 2  # sample, dimension


def stored_series(path: Path, file: h5py.File, *, taken: set[str]) -> Iterator[StoredArray]:
    """Values and times of every series, by its name; by its path where two have one name.

    Series of other types than behaviour's, such as ElectricalSeries and RoiResponseSeries, are
    marked: they are read where they are named.
    """
    groups = [group for place in PLACES if (group := group_at(path, file, place)) is not None]
    seen: set[h5py.Group] = set()
    found = [each for group in groups for each in _series_below(group, seen)]
    names = [_name_of(group) for group in found]
    for group, short in zip(found, names, strict=True):
        name = short if names.count(short) == 1 and short not in taken else group.name[1:]
        yield from _series(path, group, name)
    for group in groups:
        yield from _broken_below(group)


def _series(path: Path, group: h5py.Group, name: str) -> Iterator[StoredArray]:
    data = group["data"]
    unit = data.attrs.get("unit")
    yield StoredArray(
        name=name,
        shape=tuple(data.shape),
        kind="number",
        type_name="number",
        load=lambda: _scaled(path, group),
        attributes={} if unit is None else {"units": str(unit)},
        is_behaviour=_kind_of(group) in BEHAVIOUR,
    )
    yield StoredArray(
        name=f"{name}_times",
        shape=tuple(data.shape[:1]),
        kind="number",
        type_name="number",
        load=lambda: _times(path, group),
    )


def _series_below(place: h5py.Group, seen: set[h5py.Group]) -> Iterator[h5py.Group]:
    for group in groups_below(place, seen=seen):
        if _kind_of(group).endswith("Series") and _is_series_of_numbers(dict(children(group))):
            yield group


def _is_series_of_numbers(members: dict[str, Any]) -> bool:
    """Whether there are values along one or two axes, and what says when they were taken."""
    import h5py

    data = members.get("data")
    if not isinstance(data, h5py.Dataset) or data.dtype.kind not in "biuf":
        return False
    if not data.shape or len(data.shape) > MOST_AXES or not len(data):
        return False
    return any(
        isinstance(members.get(name), h5py.Dataset) for name in ("timestamps", "starting_time")
    )


def _broken_below(place: h5py.Group) -> Iterator[StoredArray]:
    """What links lead to that can't be opened, so that asking for it says so."""
    for group in groups_below(place):
        for name, item in children(group):
            if item is None and name == "data":
                yield _unreadable(_name_of(group), f"its data is {broken_link(group, name)}")
            elif item is None:
                yield _unreadable(name, f"it is {broken_link(group, name)}")


def _name_of(group: h5py.Group) -> str:
    return str(group.name).rsplit("/", 1)[1]


def _unreadable(name: str, note: str) -> StoredArray:
    return StoredArray(
        name=name, shape=(), kind="unreadable", type_name="link", load=lambda: [], note=note
    )


def _kind_of(group: h5py.Group) -> str:
    kind = group.attrs.get("neurodata_type", "")
    return kind.decode(errors="replace") if isinstance(kind, bytes) else str(kind)


def _scaled(path: Path, group: h5py.Group) -> NDArray[Any]:
    """Values in the unit that the file states: `data * conversion + offset`, by dimension too."""
    data = group["data"]
    values = np.asarray(data[()], dtype=np.float64)
    if "channel_conversion" in group:
        by_dimension = dataset_values(group["channel_conversion"])
        if by_dimension.shape != values.shape[1:] or by_dimension.dtype.kind not in "iuf":
            raise FormatError(
                f"{path}: {group.name[1:]}/channel_conversion has shape {by_dimension.shape} and "
                f"type {by_dimension.dtype}; one "
                f"number for each dimension of data, shape {values.shape[1:]}, is needed. {MEND}"
            )
        values = values * by_dimension
    return values * _attribute(path, data, "conversion", 1.0) + _attribute(
        path, data, "offset", 0.0
    )


def _times(path: Path, group: h5py.Group) -> NDArray[Any]:
    """Time of each sample, s: as stored, or at a fixed rate from the first on."""
    if "timestamps" in group:
        return dataset_values(group["timestamps"])
    first = group["starting_time"]
    rate = _attribute(path, first, "rate", 0.0)
    if not np.isfinite(rate) or rate <= 0 or first.shape != () or first.dtype.kind not in "iuf":
        raise FormatError(
            f"{path}: {group.name[1:]}/starting_time must be one number, the time of the first "
            f"sample in seconds, with the attribute rate, above 0 in Hz (found: {rate:g}). {MEND}"
        )
    return np.asarray(float(first[()]) + np.arange(len(group["data"])) / rate)


def _attribute(path: Path, dataset: h5py.Dataset, name: str, default: float) -> float:
    value = np.asarray(dataset.attrs.get(name, default))
    if value.size != 1 or value.dtype.kind not in "biuf":
        raise FormatError(
            f"{path}: the attribute {name} of {dataset.name[1:]} is {value.tolist()!r}; one number "
            f"is needed. {MEND}"
        )
    return float(value.reshape(-1)[0])
