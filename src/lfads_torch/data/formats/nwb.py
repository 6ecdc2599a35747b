"""Sessions in NWB files (Neurodata Without Borders 2.x, https://nwb-schema.readthedocs.io).

NWB is HDF5 with a published schema, so h5py is enough. The file is given to the readers above as
the named arrays that they look for (`formats/continuous.py`):

| in the file | here |
|---|---|
| `/units`: `id`, `spike_times`, `spike_times_index` | `unit_ids`, `spike_times/ID` |
| `/units/obs_intervals`, where all units share them | `segment_times` |
| `/intervals/trials`: `id` | `trial_ids` |
| a column of it | its name; where that ends with "time" also `event_times/NAME` |
| TimeSeries, SpatialSeries in `/processing`, `/acquisition` | its name, and `NAME_times` |

Series of other types (raw voltages, images) are no behaviour, and are not read. Columns with
several values per trial are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.formats.hdf5_arrays import dataset_values
from lfads_torch.data.formats.stored import StoredArray, StoredArrays
from lfads_torch.errors import FormatError

if TYPE_CHECKING:
    import h5py

__all__ = ["is_nwb", "stored_nwb"]

TRIALS, UNITS = "intervals/trials", "units"
PLACES = ("processing", "acquisition")
SERIES = ("TimeSeries", "SpatialSeries")
Loads = Callable[[], NDArray[Any]]


def is_nwb(file: h5py.File) -> bool:
    """Whether an HDF5 file says that it is of NWB."""
    return "nwb_version" in file.attrs


def stored_nwb(path: Path, file: h5py.File) -> StoredArrays:
    """Trials, behaviour and spike times by name; loading works while the file is open.

    What a user chooses among comes first, so that messages that list arrays show it.
    """
    _need_units(path, file)
    arrays = {array.name: replace(array, is_per_trial=True) for array in _columns(path, file)}
    for array in _series(file, taken=set(arrays)):
        arrays[array.name] = array
    arrays |= {array.name: array for array in _units(path, file)}
    return StoredArrays(path=path, arrays=arrays)


def _need_units(path: Path, file: h5py.File) -> None:
    lacking = [name for name in ("id", "spike_times", "spike_times_index")
               if f"{UNITS}/{name}" not in file]  # fmt: skip
    if lacking:
        version = file.attrs.get("nwb_version", "of unknown version")
        found = [f"{place}/{name}" for place in PLACES for name in file.get(place, ())]
        raise FormatError(
            f"{path}: this NWB file ({version}) has no sorted units: {UNITS} lacks "
            f"{', '.join(lacking)}. Spike times are needed; raw or filtered voltages are not read. "
            f"Found: {', '.join(found) or 'no series'}."
        )


def _columns(path: Path, file: h5py.File) -> Iterator[StoredArray]:
    """The columns of the table of trials that have one value for each."""
    if TRIALS not in file:
        return
    table = file[TRIALS]
    if "id" not in table:
        raise FormatError(
            f"{path}: the table of trials ({TRIALS}) has no column id, which every NWB table needs;"
            f" found: {', '.join(table) or 'no columns'}. Write the file again with it."
        )
    n_trials = len(table["id"])
    for name, column in table.items():
        is_plain = column.shape == (n_trials,) and f"{name}_index" not in table
        if not is_plain or name.endswith("_index"):
            continue
        given = "trial_ids" if name == "id" else name
        if (array := _stored(given, column)) is not None:
            yield array
            if name.endswith(("time", "times")) and array.kind == "number":
                yield _number(f"event_times/{name}", column.shape, array.load)


def _series(file: h5py.File, *, taken: set[str]) -> Iterator[StoredArray]:
    """Values and times of every series, by its name; by its path where two have one name."""
    found = [each for place in PLACES if place in file for each in _series_below(file[place])]
    names = [group.name.rsplit("/", 1)[1] for group in found]
    for group, short in zip(found, names, strict=True):
        name = short if names.count(short) == 1 and short not in taken else group.name[1:]
        data = group["data"]
        units = {"units": str(unit)} if (unit := data.attrs.get("unit")) is not None else {}
        yield _number(name, data.shape, _scaled(data), **units)
        yield _number(f"{name}_times", data.shape[:1], _times(group))


def _series_below(group: h5py.Group) -> Iterator[h5py.Group]:
    import h5py

    for item in group.values():
        if not isinstance(item, h5py.Group):
            continue
        if str(item.attrs.get("neurodata_type", "")) not in SERIES:
            yield from _series_below(item)
            continue
        data = item.get("data")
        is_numeric = isinstance(data, h5py.Dataset) and data.dtype.kind in "biuf"
        has_times = "timestamps" in item or "starting_time" in item
        if is_numeric and has_times and data.ndim in (1, 2) and len(data):
            yield item


def _scaled(data: h5py.Dataset) -> Loads:
    """Values in the unit that the file states: `data * conversion + offset`."""

    def load() -> NDArray[Any]:
        factor = float(data.attrs.get("conversion", 1.0))
        return np.asarray(data[()] * factor + float(data.attrs.get("offset", 0.0)))

    return load


def _times(group: h5py.Group) -> Loads:
    """Time of each sample, s: as stored, or at a fixed rate from the first on."""
    if "timestamps" in group:
        return lambda: dataset_values(group["timestamps"])

    def load() -> NDArray[Any]:
        first = group["starting_time"]
        return np.asarray(first[()] + np.arange(len(group["data"])) / float(first.attrs["rate"]))

    return load


def _units(path: Path, file: h5py.File) -> Iterator[StoredArray]:
    table = file[UNITS]
    ids, ends = table["id"][()], table["spike_times_index"][()].astype(np.int64)
    times = table["spike_times"]
    if len(ids) != len(ends) or (len(ends) and ends[-1] > len(times)):
        raise FormatError(
            f"{path}: {UNITS} has {len(ids)} ids, {len(ends)} ends of spike times and {len(times)} "
            "times, which do not fit together. Write the file again."
        )
    distinct, n_times = np.unique(ids, return_counts=True)
    if (n_times > 1).any():
        raise FormatError(
            f"{path}: {UNITS}/id has {distinct[n_times > 1][:5].tolist()} more than once; "
            "each unit needs an id of its own. Number the units anew."
        )
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    yield _number("unit_ids", ids.shape, lambda: ids)
    intervals = _shared_intervals(table, len(ids))
    if intervals is not None:
        yield _number("segment_times", intervals.shape, lambda: intervals)
    for unit, start, end in zip(ids.tolist(), starts.tolist(), ends.tolist(), strict=True):
        yield _number(f"spike_times/{unit}", (end - start,), _part(times, start, end))


def _part(dataset: h5py.Dataset, start: int, end: int) -> Loads:
    return lambda: np.asarray(dataset[start:end])


def _shared_intervals(table: h5py.Group, n_units: int) -> NDArray[np.float64] | None:
    """When the units were observed, [K, 2], s; None where that is not said, or differs."""
    if "obs_intervals" not in table or "obs_intervals_index" not in table or not n_units:
        return None
    every = np.asarray(table["obs_intervals"][()], dtype=np.float64)
    each = np.split(every, table["obs_intervals_index"][()].astype(np.int64)[:-1])
    first = each[0]
    is_ordered = first.ndim == 2 and len(first) and (np.diff(first.ravel()) >= 0).all()
    return first if is_ordered and all(np.array_equal(first, other) for other in each) else None


def _stored(name: str, column: h5py.Dataset) -> StoredArray | None:
    """A column of numbers or text; None of another kind, such as references."""
    import h5py

    if h5py.check_string_dtype(column.dtype) is not None:
        return StoredArray(
            name=name,
            shape=column.shape,
            kind="text",
            type_name="text",
            load=lambda: dataset_values(column),
        )
    if column.dtype.kind == "b":
        return _number(name, column.shape, lambda: column[()].astype(np.int64))
    if column.dtype.kind not in "iuf":
        return None
    return _number(name, column.shape, lambda: dataset_values(column))


def _number(
    name: str, shape: tuple[int, ...], load: Callable[[], Any], **attributes: str
) -> StoredArray:
    return StoredArray(
        name=name,
        shape=tuple(shape),
        kind="number",
        type_name="number",
        load=load,
        attributes=attributes,
    )
