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
| `NAME` and `NAME_times` | [sample, dimension], [sample] | optional: behaviour of that name |
| `recording_start_s`, `recording_stop_s` | one number | optional: when the recording ran |
| `segment_times` | [K, 2] | optional: begin and end of each stretch without a gap |
| `segment_times/UNIT` | [K, 2] | instead, where units differ: when each was observed |

Bins of binned counts in which every unit is NaN are gaps too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.chopping import recorded_stretches
from lfads_torch.data.formats.base import ReadOptions, agreed_bin_width
from lfads_torch.data.formats.stored import StoredArrays
from lfads_torch.data.recorded import joined_stretches
from lfads_torch.errors import DataError, FormatError

__all__ = ["Continuous", "Signal", "continuous_in", "event_times_in"]

SPIKE_TIMES = "spike_times"
SEGMENTS = "segment_times"
COUNTS_NAMES = ("counts", "spikes", "spike_counts")
SEPARATORS = ("/", ".")  # group/dataset in HDF5, struct.field in MATLAB


@dataclass(frozen=True, kw_only=True)
class Signal:
    """A behaviour sampled at its own times."""

    values: NDArray[Any]  # [S, D]
    times: NDArray[np.float64]  # [S], s
    units: str | None = None


@dataclass(frozen=True, kw_only=True)
class Continuous:
    """A whole session: spike times per unit, or counts in bins from the recording's beginning."""

    unit_ids: NDArray[Any]  # [N]
    signals: Mapping[str, Signal]
    spike_times: Sequence[NDArray[np.float64]] | None = None
    counts: NDArray[Any] | None = None  # [bin, unit]
    bin_width_s: float | None = None
    recorded_s: tuple[float | None, float | None] = (None, None)  # from, to; None: not stated
    segments_s: NDArray[np.float64] | None = None  # [K, 2], stretches without a gap; None: one
    unit_segments_s: Sequence[NDArray[np.float64] | None] | None = None  # the same of each unit


def continuous_in(stored: StoredArrays, options: ReadOptions) -> Continuous | None:
    """The continuous material of the file; None where there is none (counts in trials, say)."""
    grouped = [name for name in stored.arrays if _below(name, SPIKE_TIMES) is not None]
    if SPIKE_TIMES in stored.arrays or grouped:
        return _from_spike_times(stored, options, grouped)
    name = options.counts or next((n for n in COUNTS_NAMES if n in stored.arrays), None)
    if name is None and stored.without_spikes:
        raise FormatError(f"{stored.path}: {stored.without_spikes}")
    if name is None or len(stored.find(name, "counts").shape) != 2:
        return None
    return _from_counts(stored, options, name)


def event_times_in(stored: StoredArrays, event: str | None) -> NDArray[np.float64] | None:
    """Time of the event of each trial, [B]; NaN where a trial has none. None: no events at all."""
    if event is None and "event_times" not in stored.arrays:
        several = [name for name in stored.arrays if _below(name, "event_times") is not None]
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
        found = array.note or f"type {array.type_name}; real numbers are needed"
        events = [each for each in stored.arrays if _below(each, "event_times") is not None]
        raise FormatError(
            f"{stored.path}: array {name!r} for the event times has {found}: a time in seconds for "
            f"each trial. Arrays of events: {', '.join(events) or 'none'}."
        )
    return _times(stored, name, "event times")


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
    of_units = _unit_segments(stored, ids)
    segments = _segments(stored) if of_units is None else _of_any_unit(of_units)
    return Continuous(
        unit_ids=ids,
        signals=_signals(stored, options),
        spike_times=times,
        recorded_s=_recorded(stored, segments),
        segments_s=segments,
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
    sampled = {
        other: Signal(
            values=stored.numbers(other, "behaviour"),
            times=first_s + (np.arange(n_bins, dtype=np.float64) + 0.5) * bin_width_s,
            units=_units(stored, other),
        )
        for other, array in stored.arrays.items()
        if other != name
        and array.kind == "number"
        and array.type_name.startswith(("float", "double"))
        if len(array.shape) == 2 and array.shape[0] == n_bins
        if not options.behaviour or other in options.behaviour
    }
    named = options.unit_ids or ("unit_ids" if "unit_ids" in stored.arrays else None)
    unit_ids = np.arange(n_units) if named is None else stored.labels(named, "unit_ids")
    return Continuous(
        unit_ids=unit_ids,
        signals={**sampled, **_signals(stored, options, known=set(sampled))},
        counts=counts.astype(np.uint8) if counts.dtype == np.bool_ else counts,
        bin_width_s=bin_width_s,
        recorded_s=(first_s, first_s + n_bins * bin_width_s),
        segments_s=_segments(stored, _between_gaps(counts, first_s, bin_width_s)),
        unit_segments_s=_unit_segments(stored, unit_ids),
    )


def _grouped(
    stored: StoredArrays, names: list[str], unit_ids: NDArray[Any] | None
) -> tuple[list[NDArray[np.float64]], NDArray[Any]]:
    by_unit = {str(_below(name, SPIKE_TIMES)): name for name in names}
    if unit_ids is None:
        unit_ids = _natural_ids(list(by_unit))
    order = [str(unit) for unit in unit_ids.tolist()]
    if sorted(order) != sorted(by_unit):
        differing = sorted(set(order) ^ set(by_unit))
        raise DataError(
            f"{stored.path}: unit_ids and the names below spike_times differ in {differing[:5]}; "
            "the same units are needed in both."
        )
    return [_times(stored, by_unit[unit], "spike times") for unit in order], unit_ids


def _flat(
    stored: StoredArrays, unit_ids: NDArray[Any] | None
) -> tuple[list[NDArray[np.float64]], NDArray[Any]]:
    times = _times(stored, SPIKE_TIMES, "spike times")
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


def _signals(
    stored: StoredArrays, options: ReadOptions, known: set[str] | None = None
) -> dict[str, Signal]:
    found = {}
    for name, array in stored.arrays.items():
        if f"{name}_times" not in stored.arrays or array.is_per_trial:
            continue
        short = name.removeprefix("behaviour/").removeprefix("behaviour.")
        if short not in options.behaviour and (options.behaviour or not array.is_behaviour):
            continue
        values = stored.numbers(name, "behaviour")
        times = _times(stored, f"{name}_times", f"times of {name}")
        if values.ndim == 2 and values.shape[0] == 1 != len(times):  # a MATLAB row vector
            values = values.T
        found[short] = Signal(values=values, times=times, units=_units(stored, name))
    for asked in options.behaviour:
        if asked not in found and asked not in (known or ()):
            if stored.find(asked, "behaviour").is_per_trial:
                raise FormatError(
                    f"{stored.path}: {asked!r} is a column of the table of trials, one value for "
                    "each, and no behaviour over time; as condition it is --condition."
                )
            stored.numbers(asked, "behaviour")
            stored.find(f"{asked}_times", f"times of behaviour {asked}")
    return found


def _units(stored: StoredArrays, name: str) -> str | None:
    units = stored.arrays[name].attributes.get("units")
    return None if units is None else str(units)


def _recorded(
    stored: StoredArrays, segments: NDArray[np.float64] | None
) -> tuple[float | None, float | None]:
    """When the recording began and ended as the file says, s; None: it does not."""
    start, stop = stored.scalar("recording_start_s"), stored.scalar("recording_stop_s")
    if stop is not None and start is None:
        start = 0.0  # docs/formats.md: recordings begin at 0 unless they say otherwise
    if start is not None and stop is not None and not start < stop:
        raise DataError(
            f"{stored.path}: recording_start_s is {start:g} and recording_stop_s {stop:g}; a "
            "beginning before the end is needed, in seconds."
        )
    if segments is not None and len(segments):
        start = float(segments[0, 0]) if start is None else start
        stop = float(segments[-1, 1]) if stop is None else stop
    return start, stop


def _segments(
    stored: StoredArrays, between_gaps: NDArray[np.float64] | None = None
) -> NDArray[np.float64] | None:
    """Stretches without a gap, in order, [K, 2], s; None: the file knows of no gap."""
    if SEGMENTS not in stored.arrays:
        return between_gaps
    if between_gaps is not None:
        raise DataError(
            f"{stored.path}: gaps are given twice, by {SEGMENTS} and by counts that are NaN for "
            "all units of a bin; leave one of them out."
        )
    return _stretches(stored, SEGMENTS)


def _stretches(stored: StoredArrays, name: str) -> NDArray[np.float64]:
    segments = stored.numbers(name, "stretches without a gap").astype(np.float64)
    is_pairs = segments.ndim == 2 and segments.shape[1:] == (2,) and len(segments) > 0
    if not is_pairs or not np.isfinite(segments).all() or (np.diff(segments.ravel()) < 0).any():
        raise DataError(
            f"{stored.path}: {name} of shape {segments.shape} must be pairs of begin and end "
            "in seconds, in order and without overlap: shape (stretches, 2)."
        )
    return segments


def _unit_segments(
    stored: StoredArrays, unit_ids: NDArray[Any]
) -> list[NDArray[np.float64] | None] | None:
    """Stretches in which each unit was observed; None of a unit, or at all: not stated."""
    named = {_below(name, SEGMENTS): name for name in stored.arrays}
    words = [str(unit) for unit in unit_ids.tolist()]
    unknown = [str(unit) for unit in named if unit is not None and unit not in words]
    if unknown:
        raise DataError(
            f"{stored.path}: {SEGMENTS} names the units {unknown[:5]}, which have no spike times; "
            "the same units are needed in both."
        )
    if set(named) == {None} or not named:
        return None
    if SEGMENTS in stored.arrays:
        raise DataError(
            f"{stored.path}: {SEGMENTS} is given for all units and for single ones; leave one of "
            "them out."
        )
    return [_stretches(stored, named[unit]) if unit in named else None for unit in words]


def _of_any_unit(of_units: list[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    """When any of the units was observed; None where that of one is not stated."""
    known = [each for each in of_units if each is not None]
    return joined_stretches(np.concatenate(known)) if len(known) == len(of_units) else None


def _between_gaps(
    counts: NDArray[Any], first_s: float, bin_width_s: float
) -> NDArray[np.float64] | None:
    """What lies between bins in which every unit is NaN, [K, 2], s; None without such bins."""
    if counts.dtype.kind != "f":
        return None
    is_recorded = ~np.isnan(counts).all(axis=1)
    if is_recorded.all():
        return None
    stretches = np.array(recorded_stretches(is_recorded), dtype=np.float64).reshape(-1, 2)
    return first_s + stretches * bin_width_s


def _times(stored: StoredArrays, name: str, what: str) -> NDArray[np.float64]:
    values = stored.numbers(name, what)
    if values.size != max(values.shape, default=1) and values.size:
        raise DataError(
            f"{stored.path}: array {name!r} for the {what} has shape {values.shape}; one axis is "
            "needed, in seconds."
        )
    return values.reshape(-1).astype(np.float64)


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


def _below(name: str, group: str) -> str | None:
    for separator in SEPARATORS:
        if name.startswith(group + separator):
            return name[len(group) + 1 :]
    return None
