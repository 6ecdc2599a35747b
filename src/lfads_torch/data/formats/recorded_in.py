"""What a file states of when its session, or each unit, was recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.chopping import recorded_stretches
from lfads_torch.data.formats.stored import StoredArrays, below
from lfads_torch.data.recorded import joined_stretches
from lfads_torch.errors import DataError

__all__ = [
    "OF_SPIKES", "SEGMENTS", "between_gaps", "of_any_unit", "recorded_in", "segments_in",
    "segments_of_signals", "unit_segments_in",
]  # fmt: skip

SEGMENTS = "segment_times"
OF_SPIKES = "of_spikes"  # attribute of stretches that a file states of its sorted units alone


def recorded_in(
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


def segments_in(
    stored: StoredArrays, between: NDArray[np.float64] | None = None
) -> NDArray[np.float64] | None:
    """Stretches without a gap, in order, [K, 2], s; None: the file knows of no gap."""
    if SEGMENTS not in stored.arrays:
        return between
    if between is not None:
        raise DataError(
            f"{stored.path}: gaps are given twice, by {SEGMENTS} and by counts that are NaN for "
            "all units of a bin; leave one of them out."
        )
    return _stretches(stored, SEGMENTS)


def segments_of_signals(stored: StoredArrays) -> NDArray[np.float64] | None:
    """Stretches [K, 2] that the file states of everything; None: of signals it knows no gap."""
    array = stored.arrays.get(SEGMENTS)
    if array is None or array.attributes.get(OF_SPIKES):
        return None
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


def unit_segments_in(
    stored: StoredArrays, unit_ids: NDArray[Any]
) -> list[NDArray[np.float64] | None] | None:
    """Stretches in which each unit was observed; None of a unit, or at all: not stated."""
    named = {below(name, SEGMENTS): name for name in stored.arrays}
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


def of_any_unit(of_units: list[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    """When any of the units was observed; None where that of one is not stated."""
    known = [each for each in of_units if each is not None]
    return joined_stretches(np.concatenate(known)) if len(known) == len(of_units) else None


def between_gaps(
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
