"""Sessions in NWB files (Neurodata Without Borders 2.x, https://nwb-schema.readthedocs.io).

NWB is HDF5 with a published schema, so h5py is enough. The file is given to the readers above as
the named arrays that they look for (`formats/continuous.py`):

| in the file | here |
|---|---|
| `/units`: `id`, `spike_times`, `spike_times_index` | `unit_ids`, `spike_times/ID` |
| `/units/obs_intervals` | `segment_times` where units share them, else `segment_times/ID` |
| `/intervals/trials`: `id` | `trial_ids` |
| a column of it | its name; where that ends with "time" also `event_times/NAME` |
| a column of another table in `/intervals` | `TABLE/NAME`, and `event_times/TABLE/NAME` |
| TimeSeries, SpatialSeries in `/processing`, `/acquisition` | its name, and `NAME_times` |
| series of other types with one or two axes | the same, but no behaviour unless named |

Images are not read. Columns with several values per trial are named as such, and not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.formats.hdf5_arrays import dataset_values
from lfads_torch.data.formats.nwb_series import PLACES, stored_series
from lfads_torch.data.formats.nwb_tables import children, group_at, table_ids
from lfads_torch.data.formats.nwb_units import stored_units, why_without_units
from lfads_torch.data.formats.stored import StoredArray, StoredArrays

if TYPE_CHECKING:
    import h5py

__all__ = ["is_nwb", "stored_nwb"]

TRIALS, INTERVALS = "trials", "intervals"


def is_nwb(file: h5py.File) -> bool:
    """Whether an HDF5 file says that it is of NWB."""
    return "nwb_version" in file.attrs


def stored_nwb(path: Path, file: h5py.File) -> StoredArrays:
    """Trials, behaviour and spike times by name; loading works while the file is open.

    What a user chooses among comes first, so that messages that list arrays show it.
    """
    arrays = {array.name: array for array in _tables(path, file)}
    for array in stored_series(path, file, taken=set(arrays)):
        arrays.setdefault(array.name, array)
    lack = why_without_units(path, file)
    if lack is None:
        arrays |= {array.name: array for array in stored_units(path, file)}
    return StoredArrays(
        path=path,
        arrays=arrays,
        without_spikes="" if lack is None else _without_units(file, lack, arrays),
        without_events=""
        if "trial_ids" in arrays
        else f"this NWB file has no table of trials ({INTERVALS}/{TRIALS})",
    )


def _without_units(file: h5py.File, lack: str, arrays: dict[str, StoredArray]) -> str:
    version = file.attrs.get("nwb_version", "of unknown version")
    places = {name: f"{place}/{name}" for place in PLACES for name in file.get(place, ())}
    series = [name for name in arrays if f"{name}_times" in arrays]
    shown = [f"{name} ({places[name]})" if name in places else name for name in series]
    named = f" Series that can be are: {', '.join(shown)}." if series else ""
    others = ", ".join(place for name, place in places.items() if name not in series)
    found = f" {'Also found' if series else 'Found'}: {others}." if others else ""
    listed = found or ("" if series else " Found: no series.")
    return (
        f"this NWB file ({version}) has no sorted units: {lack}. Spike times are needed, or with "
        "--signals NAME=FAMILY time series that become units, such as EMG or calcium; spikes are "
        f"not found in voltages here.{named}{listed}"
    )


def _tables(path: Path, file: h5py.File) -> Iterator[StoredArray]:
    """Columns of the table of trials, then of other tables, by their name in front."""
    import h5py

    intervals = group_at(path, file, INTERVALS)
    if intervals is None:
        return
    trials = group_at(path, file, f"{INTERVALS}/{TRIALS}")
    if trials is not None:
        yield from _columns(path, trials, prefix="")
    for name, table in children(intervals):
        if name != TRIALS and isinstance(table, h5py.Group) and "id" in table:
            yield from _columns(path, table, prefix=f"{name}/")


def _columns(path: Path, table: h5py.Group, *, prefix: str) -> Iterator[StoredArray]:
    """The columns of a table, one value for each row; others are marked as unreadable."""
    import h5py

    ids = table_ids(path, table)
    members = dict(children(table))
    for name, column in members.items():
        if not isinstance(column, h5py.Dataset) or name.endswith("_index"):
            continue
        given = "trial_ids" if name == "id" and not prefix else prefix + name
        array = _column(given, column, n_rows=len(ids), is_ragged=f"{name}_index" in members)
        yield array
        if name.endswith(("time", "times")) and array.kind == "number":
            event = _column(f"event_times/{given}", column, n_rows=len(ids), is_ragged=False)
            yield replace(event, is_second_name=True)


def _column(name: str, column: h5py.Dataset, *, n_rows: int, is_ragged: bool) -> StoredArray:
    import h5py

    is_text = h5py.check_string_dtype(column.dtype) is not None
    note = ""
    if is_ragged:
        note = "it has several values per trial; one is needed"
    elif column.shape != (n_rows,):
        note = f"it has shape {column.shape}; one value for each of {n_rows} rows is needed"
    elif not is_text and column.dtype.kind not in "biuf":
        note = f"values of type {column.dtype} are neither numbers nor text"
    return StoredArray(
        name=name,
        shape=tuple(column.shape or ()),
        kind="unreadable" if note else "text" if is_text else "number",
        type_name="text" if is_text else "number",
        load=lambda: _values(column),
        note=note,
        is_per_trial=True,
    )


def _values(column: h5py.Dataset) -> NDArray[Any]:
    values = dataset_values(column)
    return values.astype(np.int64) if values.dtype.kind == "b" else values
