"""Which stretches of a session become trials: around events, from event to event, or in a row.

Axes: `B` trial. Times are in seconds on the session's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.binning import Window, edge_tolerance_s
from lfads_torch.data.check.lengths import LONGEST_TRIAL_S
from lfads_torch.data.chopping import ChopLengths, Chops, place_chops
from lfads_torch.data.formats.assemble import (
    conditions_of_another_size,
    conditions_where_given,
)
from lfads_torch.data.formats.continuous import Continuous, event_times_in
from lfads_torch.data.formats.stored import StoredArrays
from lfads_torch.data.recorded import joined_stretches
from lfads_torch.data.session_time import SessionTime
from lfads_torch.errors import DataError, FormatError

if TYPE_CHECKING:
    from lfads_torch.data.prepare import PrepareOptions

__all__ = ["Trials", "binned_grid", "cut_trials"]

MOST_BINS = 10_000_000  # of a trial; more are times in another unit


@dataclass(frozen=True, kw_only=True)
class Trials:
    """What becomes a trial, and what was said of it on the way."""

    times: NDArray[np.float64]  # [B], of the event
    ids: NDArray[Any]  # [B]
    condition: NDArray[Any] | None  # [B]
    has_condition: NDArray[np.bool_]  # [B], also True where there are none at all
    notes: dict[str, Any]  # JSON values
    n_bins: NDArray[np.int64] | None = None  # [B]; None: the window's
    chops: Chops | None = None

    def bins(self, n_window_bins: int) -> NDArray[np.int64]:
        """How many bins each trial has, [B]."""
        return np.full(len(self.times), n_window_bins) if self.n_bins is None else self.n_bins

    def keep(self, kept: NDArray[np.bool_], why: str) -> Trials:
        if not kept.any():
            raise DataError(f"no trial is left: all {len(kept)} are {why}.{self._left_before()}")
        left_out = {why: self.ids[~kept].tolist()} if not kept.all() else {}
        return replace(
            self,
            times=self.times[kept],
            ids=self.ids[kept],
            condition=None if self.condition is None else self.condition[kept],
            has_condition=self.has_condition[kept],
            notes={**self.notes, "left_out": {**self.notes.get("left_out", {}), **left_out}},
            n_bins=None if self.n_bins is None else self.n_bins[kept],
            chops=None if self.chops is None else self.chops.take(np.flatnonzero(kept)),
        )

    def _left_before(self) -> str:
        left_out = self.notes.get("left_out", {})
        before = ", ".join(f"{len(ids)} {why}" for why, ids in left_out.items())
        return f" Left out before: {before}." if before else ""


def cut_trials(
    stored: StoredArrays,
    continuous: Continuous,
    options: PrepareOptions,
    recorded: SessionTime,
) -> tuple[Trials, Window]:
    """The trials that the options ask for, and the window that holds the longest of them."""
    if options.chop_s is not None:
        return _chopped(continuous, options, recorded)
    if options.chop_overlap_s:
        raise DataError(
            "an overlap in seconds is that of chops; give their length with it "
            "(chop_s; --chop SECONDS)."
        )
    bin_width_s = _bin_width(continuous, options)
    trials = _around_events(stored, options)
    if options.window_s is None and options.stop_event is None:
        raise DataError(
            "the window around the event is missing; give its beginning and end in seconds, e.g. "
            "window_s=(-0.25, 0.45) (--window -0.25 0.45)."
        )
    start_s, stop_s = options.window_s or (0.0, 0.0)
    if options.stop_event is not None:
        trials, stop_s = _until(stored, trials, options, bin_width_s)
    window = Window(start_s=start_s, stop_s=stop_s, bin_width_s=bin_width_s)
    if continuous.counts is not None:
        trials = _aligned_to_bins(trials, continuous, window)
    return _without_overlap(trials, window, options.overlap), window


def binned_grid(continuous: Continuous) -> tuple[float, float]:
    """Width of a binned session's bins, and where the first begins."""
    assert continuous.bin_width_s is not None  # `_from_counts` sets both
    first_s, _ = continuous.recorded_s
    assert first_s is not None
    return continuous.bin_width_s, first_s


def _in_milliseconds(options: PrepareOptions) -> str:
    """A hint where a trial would be of a length that only milliseconds explain."""
    length = options.chop_s or 0.0
    if length < LONGEST_TRIAL_S:
        return ""
    return (
        f" Lengths are in seconds: {length:g} ms are --chop {length / 1000:g} (chop_s, or "
        "chop.length_s in the settings of a fit)."
    )


def _units_first(continuous: Continuous) -> str:
    """A hint where counts have more units than bins, as no session has."""
    if continuous.counts is None or continuous.counts.shape[0] >= continuous.counts.shape[1]:
        return ""
    n_bins, n_units = continuous.counts.shape
    return (
        f" The counts were taken as bin x unit = {n_bins} x {n_units}; if they are [unit, bin], "
        "say --axes unit,bin (axes of ReadOptions in Python)."
    )


def _bin_width(continuous: Continuous, options: PrepareOptions) -> float:
    bin_width_s = options.bin_width_s
    if bin_width_s is None:
        bin_width_s = continuous.bin_width_s
    if bin_width_s is None:
        raise DataError(
            "spike times have no bin width of their own; give one in seconds, e.g. "
            "bin_width_s=0.005 (--bin-width 0.005)."
        )
    return bin_width_s


def _chopped(
    continuous: Continuous, options: PrepareOptions, recorded: SessionTime
) -> tuple[Trials, Window]:
    """Trials in a row that cover the session, or each stretch of it where it has gaps."""
    assert options.chop_s is not None  # the caller asks for chops
    if options.window_s is not None or options.event is not None or options.stop_event is not None:
        raise DataError(
            "chop_s (--chop) cuts without events; leave out window_s (--window), event (--event) "
            "and stop_event (--stop-event)."
        )
    window = Window(start_s=0.0, stop_s=options.chop_s, bin_width_s=_bin_width(continuous, options))
    if not recorded.parts:
        raise DataError(
            "there are no spikes, and no recording_start_s and recording_stop_s say how long it "
            "ran; give its beginning and end in seconds, e.g. recorded_s=(0, 600) "
            "(--recorded 0 600)."
        )
    width = window.bin_width_s
    start_s, moved_s = _session_start(continuous, recorded)
    n_session_bins = int(np.floor((recorded.limits_s[1] - start_s) / width + 1e-6))
    # Chops of binned counts cross no gap of theirs, signals or not.
    parts = recorded.parts[:1] if continuous.counts is not None else recorded.parts
    stretches = _in_bins(
        np.concatenate([each.stretches_s for each in parts]), start_s, width, n_session_bins
    )
    lengths = _lengths(options, window)
    longest = max((stop - first for first, stop in stretches), default=0)
    if longest < lengths.length:
        raise DataError(
            f"the longest stretch of the recording, {longest * width:g} s, is shorter than one "
            f"trial of {options.chop_s:g} s; choose shorter trials."
            f"{_in_milliseconds(options)}{_units_first(continuous)}"
        )
    starts, sizes = place_chops(stretches, lengths)
    left_out = [s for s in stretches if s[1] - s[0] < lengths.shortest]
    notes: dict[str, Any] = {  # JSON values
        "chop_s": options.chop_s,
        "n_trials_found": len(starts),
        "n_short_stretches": len(left_out),
        "n_bins_in_short_stretches": sum(stop - first for first, stop in left_out),
    }
    if moved_s:
        notes["move_of_session_start_s"] = moved_s
    chops = Chops(
        start_bins=starts,
        n_session_bins=n_session_bins,
        session_start_s=start_s,
        overlap_bins=lengths.overlap,
    )
    times = np.asarray(start_s + starts * width, dtype=np.float64)
    ids = np.arange(len(starts))
    return Trials(
        times=times,
        ids=ids,
        condition=None,
        has_condition=np.ones(len(ids), dtype=np.bool_),
        notes=notes,
        n_bins=sizes,
        chops=chops,
    ), window


def _lengths(options: PrepareOptions, window: Window) -> ChopLengths:
    overlap = options.chop_overlap_s / window.bin_width_s
    if abs(overlap - round(overlap)) > 1e-6 * max(1.0, overlap):
        raise DataError(
            f"an overlap of {options.chop_overlap_s:g} s is {overlap:g} bins of "
            f"{window.bin_width_s:g} s; a whole number of bins is needed."
        )
    shortest = window.n_bins / 2
    if options.shortest_s is not None:
        shortest = options.shortest_s / window.bin_width_s
    return ChopLengths(
        length=window.n_bins, overlap=round(overlap), shortest=max(1, int(np.ceil(shortest - 1e-6)))
    )


def _session_start(continuous: Continuous, recorded: SessionTime) -> tuple[float, float]:
    """Where chops begin, s, and by how much that is later than the recording's beginning.

    Chops of binned counts begin at an edge of their bins, or behaviour would not fit them.
    """
    begin_s = recorded.limits_s[0]
    if continuous.counts is None:
        return begin_s, 0.0
    width, first = binned_grid(continuous)
    edge_s = first + float(np.ceil((begin_s - first) / width - 1e-6)) * width
    return edge_s, max(0.0, edge_s - begin_s)


def _in_bins(
    stretches_s: NDArray[np.float64], start_s: float, width: float, n_bins: int
) -> list[tuple[int, int]]:
    """What was recorded without a gap, in whole bins of the result: (first, one past the last)."""
    slack_s = edge_tolerance_s(width, stretches_s)
    in_bins = (joined_stretches(stretches_s, slack_s=slack_s) - start_s) / width
    first = np.maximum(np.ceil(in_bins[:, 0] - 1e-6), 0).astype(int)
    stop = np.minimum(np.floor(in_bins[:, 1] + 1e-6), n_bins).astype(int)
    return [(int(a), int(b)) for a, b in zip(first, stop, strict=True) if b > a]


def _around_events(stored: StoredArrays, options: PrepareOptions) -> Trials:
    times = event_times_in(stored, options.event)
    if times is None:
        why = stored.without_events or "there are no event_times"
        raise FormatError(
            f"{stored.path}: {why} to cut trials around. Name the array with "
            "event (--event NAME), or cut consecutive trials with chop_s (--chop SECONDS). "
            f"Found: {stored.listing()}."
        )
    named = options.read.trial_ids or _ids_beside(stored, options.event)
    ids = np.arange(len(times)) if named is None else stored.labels(named, "trial_ids")
    if len(ids) != len(times):
        raise DataError(
            f"there are {len(times)} events, but {len(ids)} trial ids; one each is needed."
        )
    condition, has_condition = conditions_where_given(stored, options.read.condition, len(times))
    trials = Trials(
        times=times,
        ids=ids,
        condition=condition,
        has_condition=has_condition,
        notes={
            "event": options.event or "event_times",
            "n_trials_found": len(times),
            **_unfit_conditions(stored, condition, len(times)),
        },
    )
    if options.stop_event is not None:
        return trials  # both events must be there: see `_until`
    with_time = trials.keep(np.isfinite(times), "without a time of the event")
    return _with_condition(with_time, options)


def _ids_beside(stored: StoredArrays, event: str | None) -> str | None:
    """The ids of the table that the event is a column of, else those of the trials; or none."""
    table = "" if event is None else event.removeprefix("event_times/").rpartition("/")[0]
    names = (f"{table}/id", "trial_ids") if table else ("trial_ids",)
    return next((name for name in names if name in stored.arrays), None)


def _unfit_conditions(
    stored: StoredArrays, condition: NDArray[Any] | None, n_trials: int
) -> dict[str, Any]:
    """A note on labels that are there and belong to another number of trials."""
    unfit = {} if condition is not None else conditions_of_another_size(stored, n_trials)
    return {"conditions_of_another_size": unfit} if unfit else {}


def _with_condition(trials: Trials, options: PrepareOptions) -> Trials:
    """Trials that have the condition asked for; nobody asked for one found by its name."""
    if options.read.condition is not None:
        return trials.keep(trials.has_condition, "without a condition")
    if trials.has_condition.all():
        return trials
    # Trials without a label would pass for repeats of one condition.
    without = trials.ids[~trials.has_condition].tolist()
    notes = {**trials.notes, "trials_without_condition": without}
    return replace(
        trials, condition=None, has_condition=np.ones_like(trials.has_condition), notes=notes
    )


def _until(
    stored: StoredArrays, trials: Trials, options: PrepareOptions, bin_width_s: float
) -> tuple[Trials, float]:
    """Trials that end by an event of their own, and the end of the longest one's window."""
    stops = event_times_in(stored, options.stop_event)
    if stops is None or len(stops) != len(trials.times):
        found = 0 if stops is None else len(stops)
        raise DataError(
            f"there are {len(trials.times)} events, but {found} times in {options.stop_event!r} "
            "where trials end; one each is needed."
        )
    start_s, beyond_s = options.window_s or (0.0, 0.0)
    n_bins = np.floor((stops + beyond_s - trials.times - start_s) / bin_width_s + 1e-6)
    is_known = np.isfinite(n_bins)
    longest = float(n_bins[is_known].max(initial=0.0))
    if longest > MOST_BINS:
        raise DataError(
            f"the longest trial, from {options.event or 'event_times'} to {options.stop_event}, "
            f"has {longest:.3g} bins of {bin_width_s:g} s; at most {MOST_BINS} can be cut. Times "
            "in seconds are needed (not milliseconds or samples)."
        )
    trials = replace(trials, n_bins=np.where(is_known, n_bins, 0).astype(np.int64))
    trials = trials.keep(is_known, "without a time of the event")
    assert trials.n_bins is not None  # set above
    trials = _with_condition(trials.keep(trials.n_bins >= 1, "shorter than a bin"), options)
    assert trials.n_bins is not None  # `keep` keeps it
    notes = {**trials.notes, "stop_event": options.stop_event}
    return replace(trials, notes=notes), start_s + int(trials.n_bins.max()) * bin_width_s


def _aligned_to_bins(trials: Trials, continuous: Continuous, window: Window) -> Trials:
    """Events moved so that windows begin on edges of the session's bins."""
    width, first = binned_grid(continuous)
    begin = (trials.times + window.start_s - first) / width
    moved = np.round(begin) * width + first - window.start_s
    largest = float(np.abs(moved - trials.times).max())
    notes = {**trials.notes, "largest_move_of_event_s": largest}
    return replace(trials, times=moved, notes=notes)


def _without_overlap(
    trials: Trials, window: Window, overlap: Literal["keep", "drop", "refuse"]
) -> Trials:
    """Trials that share time leak from training to validation; they are counted in any case."""
    lengths_s = trials.bins(window.n_bins) * window.bin_width_s
    kept = np.ones(len(trials.times), dtype=bool)
    stop = -np.inf
    for position in np.argsort(trials.times, kind="stable"):
        kept[position] = trials.times[position] - stop >= -1e-6 * window.bin_width_s
        if kept[position]:
            stop = trials.times[position] + lengths_s[position]
    n_overlapping = int((~kept).sum())
    if n_overlapping and overlap == "refuse":
        raise DataError(
            f"{n_overlapping} of {len(kept)} trials share time with an earlier one, the first is "
            f"trial {trials.ids[~kept][0]}. Shorten the window, or drop them "
            '(overlap="drop"; --overlap drop).'
        )
    if overlap == "drop":
        return trials.keep(kept, "overlapping an earlier one")
    return replace(trials, notes={**trials.notes, "n_overlapping_trials": n_overlapping})
