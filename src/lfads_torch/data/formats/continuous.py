"""Continuous material in a file: spike times or binned counts of a whole session, events, signals.

The layout that `lfads prepare` reads, in npz, HDF5 and MATLAB files; NWB files are given
the same names (`nwb.py`). Times in seconds on one clock:

| name | shape | what |
|---|---|---|
| `spike_times` | [K], with `spike_units` [K] | all spikes, and the unit of each (any file) |
| `spike_times/UNIT` | [K of this unit] | one dataset per unit (HDF5) |
| `spike_times` | cell array of [K of this unit] | one cell per unit (MATLAB) |
| `counts` or `spikes` | [bin, unit] | instead of spike times: counts of the whole session |
| `bin_width_s` | one number | with counts |
| `unit_ids` | [N] | optional: ids and order of the units, silent ones included |
| `event_times` | [B] | one event per trial; NaN: none. Or several, `event_times/NAME` |
| `condition`, `trial_ids` | [B] | optional |
| `NAME` and `NAME_times` | [sample, dimension], [sample] | behaviour, or units (`series.py`) |
| `recording_start_s`, `recording_stop_s` | one number | optional: when the recording ran |
| `segment_times` | [K, 2] | optional: begin and end of each stretch without a gap |
| `segment_times/UNIT` | [K, 2] | instead, where units differ: when each was observed |

Bins of binned counts in which every unit is NaN are gaps too. Signals that become units are bound
by the recording's limits and by `segment_times`, and not by what holds of units that spike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.formats.axes import session_in_our_order
from lfads_torch.data.formats.base import ReadOptions, agreed_bin_width
from lfads_torch.data.formats.recorded_in import (
    between_gaps,
    of_any_unit,
    recorded_in,
    segments_in,
    segments_of_signals,
    unit_segments_in,
)
from lfads_torch.data.formats.series import (
    Signal,
    UnitSignal,
    behaviour_in,
    one_axis_of_times,
    stated_units,
    unit_signals_in,
)
from lfads_torch.data.formats.stored import SEPARATORS, StoredArrays, below
from lfads_torch.errors import DataError, FormatError

__all__ = ["Continuous", "continuous_in", "event_times_in"]

SPIKE_TIMES = "spike_times"
COUNTS_NAMES = ("counts", "spikes", "spike_counts")


@dataclass(frozen=True, kw_only=True)
class Continuous:
    """A whole session: spike times per unit, or counts in bins from the recording's beginning."""

    unit_ids: NDArray[Any]  # [N], of those that spike
    signals: Mapping[str, Signal]  # behaviour
    unit_signals: tuple[UnitSignal, ...] = ()  # that become units beside those that spike
    spike_times: Sequence[NDArray[np.float64]] | None = None
    counts: NDArray[Any] | None = None  # [bin, unit]
    bin_width_s: float | None = None
    recorded_s: tuple[float | None, float | None] = (None, None)  # from, to; None: not stated
    segments_s: NDArray[np.float64] | None = None  # [K, 2], stretches without a gap; None: one
    signals_recorded_s: tuple[float | None, float | None] = (None, None)  # the same of signals
    signal_segments_s: NDArray[np.float64] | None = None  # the same of signals
    unit_segments_s: Sequence[NDArray[np.float64] | None] | None = None  # the same of each unit


def continuous_in(stored: StoredArrays, options: ReadOptions) -> Continuous | None:
    """The continuous material of the file; None where there is none (counts in trials, say)."""
    grouped = [name for name in stored.arrays if below(name, SPIKE_TIMES) is not None]
    if SPIKE_TIMES in stored.arrays or grouped:
        if options.axes is not None:
            raise FormatError(
                f"{stored.path}: --axes {options.axes} (axes of ReadOptions in Python) is for "
                "counts, and the file has spike times; leave it out."
            )
        return _from_spike_times(stored, options, grouped)
    name = options.counts or next((n for n in COUNTS_NAMES if n in stored.arrays), None)
    if name is None and not _has_three_axes(stored):
        return _without_spikes(stored, options)
    if name is None or len(stored.find(name, "counts").shape) != 2:
        return None
    return _from_counts(session_in_our_order(stored, name, options.axes), options, name)


def _has_three_axes(stored: StoredArrays) -> bool:
    """Whether an array may be counts of trials under a name of its own."""
    return any(each.kind == "number" and len(each.shape) == 3 for each in stored.arrays.values())


def event_times_in(stored: StoredArrays, event: str | None) -> NDArray[np.float64] | None:
    """Time of the event of each trial, [B]; NaN where a trial has none. None: no events at all."""
    if event is None and "event_times" not in stored.arrays:
        several = [name for name in stored.arrays if below(name, "event_times") is not None]
        if several:
            raise FormatError(
                f"{stored.path}: there are several events ({', '.join(several)}); choose the "
                "one to align trials to with --event NAME."
            )
        return None
    name = event or "event_times"
    for separator in SEPARATORS:
        if name not in stored.arrays and f"event_times{separator}{name}" in stored.arrays:
            name = f"event_times{separator}{name}"
    array = stored.find(name, "event times")
    if array.kind != "number":
        found = array.note or f"it has type {array.type_name}; real numbers are needed"
        events = [each for each in stored.arrays if below(each, "event_times") is not None]
        raise FormatError(
            f"{stored.path}: array {name!r} can't be event times: {found}. A time in seconds for "
            f"each trial is needed; arrays of events: {', '.join(events) or 'none'}."
        )
    return one_axis_of_times(stored, name, "event times")


def _from_spike_times(stored: StoredArrays, options: ReadOptions, grouped: list[str]) -> Continuous:
    named = options.unit_ids or ("unit_ids" if "unit_ids" in stored.arrays else None)
    unit_ids = None if named is None else stored.labels(named, "unit_ids")
    if grouped:
        times, ids = _grouped(stored, grouped, unit_ids)
    elif stored.arrays[SPIKE_TIMES].kind == "cells":
        cells = stored.cells(SPIKE_TIMES, "spike times")
        times = [np.asarray(cell, dtype=np.float64).reshape(-1) for cell in cells]
        ids = np.arange(len(times)) if unit_ids is None else unit_ids
    else:
        times, ids = _flat(stored, unit_ids)
    if not times:
        raise DataError(f"{stored.path}: spike_times holds no units; at least one is needed.")
    if len(ids) != len(times):
        raise DataError(
            f"{stored.path}: there are spike times of {len(times)} units, but {len(ids)} unit ids; "
            "one id per unit is needed."
        )
    _need_finite_times(stored, times, ids)
    of_units = unit_segments_in(stored, ids)
    segments = segments_in(stored) if of_units is None else of_any_unit(of_units)
    of_signals = segments_of_signals(stored)
    return Continuous(
        unit_ids=ids,
        **_series(stored, options, {}),
        spike_times=times,
        recorded_s=recorded_in(stored, segments),
        segments_s=segments,
        signals_recorded_s=recorded_in(stored, of_signals),
        signal_segments_s=of_signals,
        unit_segments_s=of_units,
    )


def _from_counts(stored: StoredArrays, options: ReadOptions, name: str) -> Continuous:
    counts = stored.numbers(name, "counts")
    n_bins, n_units = counts.shape
    width = stored.arrays[name].attributes.get("bin_width_s", stored.scalar("bin_width_s"))
    bin_width_s = agreed_bin_width(
        stored.path, None if width is None else float(width), options.bin_width_s
    )
    first_s = stored.scalar("recording_start_s") or 0.0
    times = first_s + (np.arange(n_bins, dtype=np.float64) + 0.5) * bin_width_s
    sampled = {
        other: Signal(values=stored.numbers(other, "behaviour"), times=times, units=units)
        for other, array in stored.arrays.items()
        if other != name
        and array.kind == "number"
        and array.type_name.startswith(("float", "double"))
        if len(array.shape) == 2 and array.shape[0] == n_bins
        for units in [stated_units(stored, other)]
    }
    named = options.unit_ids or ("unit_ids" if "unit_ids" in stored.arrays else None)
    unit_ids = np.arange(n_units) if named is None else stored.labels(named, "unit_ids")
    limits = (first_s, first_s + n_bins * bin_width_s)
    return Continuous(
        unit_ids=unit_ids,
        **_series(stored, options, sampled),
        counts=counts.astype(np.uint8) if counts.dtype == np.bool_ else counts,
        bin_width_s=bin_width_s,
        recorded_s=limits,
        segments_s=segments_in(stored, between_gaps(counts, first_s, bin_width_s)),
        signals_recorded_s=limits,
        signal_segments_s=segments_of_signals(stored),
        unit_segments_s=unit_segments_in(stored, unit_ids),
    )


def _without_spikes(stored: StoredArrays, options: ReadOptions) -> Continuous | None:
    """A session of signals alone; None where the file has none that become units."""
    series = _series(stored, options, {})
    if not series["unit_signals"]:
        if stored.without_spikes:
            raise FormatError(f"{stored.path}: {stored.without_spikes}")
        return None
    segments = segments_in(stored)
    return Continuous(
        unit_ids=np.zeros(0, dtype=np.int64),
        **series,
        spike_times=(),
        signals_recorded_s=recorded_in(stored, segments),
        signal_segments_s=segments,
    )


def _series(
    stored: StoredArrays, options: ReadOptions, sampled: Mapping[str, Signal]
) -> dict[str, Any]:  # fields of Continuous
    units = unit_signals_in(stored, options, sampled)
    taken = {each.name for each in units}
    return {"unit_signals": units, "signals": behaviour_in(stored, options, sampled, taken)}


def _grouped(
    stored: StoredArrays, names: list[str], unit_ids: NDArray[Any] | None
) -> tuple[list[NDArray[np.float64]], NDArray[Any]]:
    by_unit = {str(below(name, SPIKE_TIMES)): name for name in names}
    if unit_ids is None:
        unit_ids = _natural_ids(list(by_unit))
    order = [str(unit) for unit in unit_ids.tolist()]
    if sorted(order) != sorted(by_unit):
        differing = sorted(set(order) ^ set(by_unit))
        raise DataError(
            f"{stored.path}: unit_ids and the names below spike_times differ in {differing[:5]}; "
            "the same units are needed in both."
        )
    return [one_axis_of_times(stored, by_unit[unit], "spike times") for unit in order], unit_ids


def _flat(
    stored: StoredArrays, unit_ids: NDArray[Any] | None
) -> tuple[list[NDArray[np.float64]], NDArray[Any]]:
    times = one_axis_of_times(stored, SPIKE_TIMES, "spike times")
    if "spike_units" not in stored.arrays:
        raise FormatError(
            f"{stored.path}: spike_times is one list, and spike_units, the unit of each spike, is "
            f"missing. Store it as an array of {len(times)} ids."
        )
    units = stored.labels("spike_units", "unit of each spike") if len(times) else np.arange(0)
    if len(units) != len(times):
        raise DataError(
            f"{stored.path}: spike_times has {len(times)} entries, spike_units {len(units)}; one "
            "unit per spike is needed."
        )
    ids = np.unique(units) if unit_ids is None else unit_ids
    unknown = np.setdiff1d(units, ids)
    if len(unknown):
        raise DataError(
            f"{stored.path}: spike_units names {len(unknown)} units that unit_ids lacks, the first "
            f"is {unknown[0]}. Add them to unit_ids, or leave their spikes out."
        )
    return [times[units == unit] for unit in ids], ids


def _natural_ids(names: list[str]) -> NDArray[Any]:
    """Names of units in order: as integers where all are ("2" before "10"), else as text."""
    if all(name.isdecimal() and str(int(name)) == name for name in names):
        return np.array(sorted(int(name) for name in names))
    return np.array(sorted(names))


def _need_finite_times(
    stored: StoredArrays, times: Sequence[NDArray[np.float64]], unit_ids: NDArray[Any]
) -> None:
    for unit, each in zip(unit_ids.tolist(), times, strict=True):
        wrong = ~np.isfinite(each)
        if wrong.any():
            raise DataError(
                f"{stored.path}: {int(wrong.sum())} of the {len(each)} spike times of unit {unit} "
                f"are not finite, the first is {each[wrong][0]} at position "
                f"{int(np.flatnonzero(wrong)[0])}; times in seconds are needed. Take these spikes "
                "out of the file."
            )
