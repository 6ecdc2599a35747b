"""The sorted units of an NWB file: ids, spike times, and when each was observed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.formats.nwb_tables import MEND, group_at, row_ends, table_ids
from lfads_torch.data.formats.recorded_in import OF_SPIKES, SEGMENTS
from lfads_torch.data.formats.stored import StoredArray
from lfads_torch.data.recorded import joined_stretches
from lfads_torch.errors import FormatError

if TYPE_CHECKING:
    import h5py

__all__ = ["UNITS", "stored_units", "why_without_units"]

UNITS = "units"
NEEDED = ("id", "spike_times", "spike_times_index")


def why_without_units(path: Path, file: h5py.File) -> str | None:
    """What a file without sorted units lacks; None where it has them."""
    table = group_at(path, file, UNITS)
    lacking = [name for name in NEEDED if table is None or table.get(name, getlink=True) is None]
    if lacking:
        return f"{UNITS} lacks {', '.join(lacking)}"
    assert table is not None  # else everything is lacking
    return None if len(table_ids(path, table)) else f"{UNITS} has no rows"


def stored_units(path: Path, file: h5py.File) -> Iterator[StoredArray]:
    """`unit_ids`, `spike_times/ID`, and `segment_times` of all or `segment_times/ID` of each."""
    table = group_at(path, file, UNITS)
    assert table is not None  # `why_without_units` has looked
    ids = table_ids(path, table)
    distinct, n_times = np.unique(ids, return_counts=True)
    if (n_times > 1).any():
        raise FormatError(
            f"{path}: {UNITS}/id has {distinct[n_times > 1][:5].tolist()} more than once; "
            "each unit needs an id of its own. Number the units anew."
        )
    ends = row_ends(path, table, "spike_times", len(ids))
    times = table["spike_times"]
    if times.ndim != 1 or times.dtype.kind not in "iuf":
        raise FormatError(
            f"{path}: {UNITS}/spike_times has shape {times.shape} and type {times.dtype}; one axis "
            f"of times in seconds is needed. {MEND}"
        )
    yield _number("unit_ids", ids.shape, lambda: ids)
    yield from _observed(path, table, ids)
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    for unit, start, end in zip(ids.tolist(), starts.tolist(), ends.tolist(), strict=True):
        yield _number(f"spike_times/{unit}", (end - start,), _part(times, start, end))


def _observed(path: Path, table: h5py.Group, ids: NDArray[Any]) -> Iterator[StoredArray]:
    """When units were observed; nothing of units of which the table does not say it."""
    if "obs_intervals" not in table or not len(ids):
        return
    each = _intervals(path, table, ids)
    stated = [unit for unit in each if unit is not None]
    if not stated:
        return
    if len(stated) == len(each) and all(np.array_equal(stated[0], other) for other in stated):
        of_all = _number(SEGMENTS, stated[0].shape, lambda: stated[0])
        yield replace(of_all, attributes={OF_SPIKES: True})
        return
    for unit, intervals in zip(ids.tolist(), each, strict=True):
        if intervals is not None:
            yield _number(f"{SEGMENTS}/{unit}", intervals.shape, _same(intervals))


def _intervals(
    path: Path, table: h5py.Group, ids: NDArray[Any]
) -> list[NDArray[np.float64] | None]:
    """Intervals [K, 2] of each unit, in order and joined where they touch; None without any."""
    ends = row_ends(path, table, "obs_intervals", len(ids))
    dataset = table["obs_intervals"]
    if dataset.ndim != 2 or dataset.shape[1] != 2 or dataset.dtype.kind not in "iuf":
        raise FormatError(
            f"{path}: {UNITS}/obs_intervals has shape {dataset.shape} and type {dataset.dtype}; "
            f"begin and end in seconds, shape (intervals, 2), are needed. {MEND}"
        )
    every = np.asarray(dataset[()], dtype=np.float64)
    wrong = np.flatnonzero(~np.isfinite(every).all(axis=1) | (every[:, 0] > every[:, 1]))
    if len(wrong):
        at = int(wrong[0])
        unit = ids[int(np.searchsorted(ends, at, side="right"))]
        raise FormatError(
            f"{path}: {UNITS}/obs_intervals of unit {unit} has {every[at].tolist()}; a finite "
            f"beginning before the end, in seconds, is needed. {MEND}"
        )
    parts = np.split(every, ends[:-1])
    return [joined_stretches(part) if len(part) else None for part in parts]


def _part(dataset: h5py.Dataset, start: int, end: int) -> Callable[[], NDArray[Any]]:
    return lambda: np.asarray(dataset[start:end])


def _same(values: NDArray[Any]) -> Callable[[], NDArray[Any]]:
    return lambda: values


def _number(name: str, shape: tuple[int, ...], load: Callable[[], Any]) -> StoredArray:
    return StoredArray(name=name, shape=shape, kind="number", type_name="number", load=load)
