"""From a session to a recording: spikes and behaviour cut into trials around events, and binned.

`formats/continuous.py` documents the arrays that a file needs. Files that hold trials of counts
already pass through, in wider bins if asked. Axes: `B` trial, `L` bin, `N` unit, `D` dimension.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.binning import Window, bin_spike_times, is_recorded, rebin, resample
from lfads_torch.data.formats.assemble import condition_in
from lfads_torch.data.formats.base import ReadOptions, naming
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.containers import open_stored
from lfads_torch.data.formats.content import need_readable_file
from lfads_torch.data.formats.continuous import Continuous, continuous_in, event_times_in
from lfads_torch.data.formats.stored import StoredArrays
from lfads_torch.data.recording import Recording
from lfads_torch.errors import DataError, FormatError

__all__ = ["PrepareOptions", "prepare_recording"]


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """How a session becomes trials. Names of arrays are in `read`, as for any file."""

    bin_width_s: float | None = None  # of the result; None: that of the counts in the file
    window_s: tuple[float, float] | None = None  # around the event, e.g. (-0.25, 0.45)
    event: str | None = None  # array of event times; None: event_times
    chop_s: float | None = None  # without events: consecutive trials of this length
    outside: Literal["missing", "drop", "refuse"] = "missing"  # bins beyond the recording
    overlap: Literal["keep", "drop", "refuse"] = "keep"  # trials that share time
    recorded_s: tuple[float, float] | None = None  # when it ran; None: what the file says
    combine: Literal["sum", "mean"] = "sum"  # counts in wider bins; mean for other signals
    read: ReadOptions = field(default_factory=ReadOptions)  # its bin width is that of the file


def prepare_recording(source: Path | str, options: PrepareOptions) -> Recording:
    """The recording in `source`, with what was done in its provenance.

    Trials keep the order and ids of the file; those whose event time is NaN are left out. Behaviour
    is interpolated at the centres of bins. Events of binned sessions move to the nearest edge of
    a bin; the largest move is in the provenance.
    """
    path = Path(source)
    need_readable_file(path)
    with open_stored(path) as stored, naming(path):
        continuous = continuous_in(stored, options.read)
        if continuous is not None:
            return _cut(stored, continuous, options)
    with naming(path):
        return _pass_through(path, options)


@dataclass(frozen=True, kw_only=True)
class _Trials:
    """The events that become trials, and what was said of them on the way."""

    times: NDArray[np.float64]  # [B]
    ids: NDArray[Any]  # [B]
    condition: NDArray[Any] | None  # [B]
    notes: dict[str, Any]  # JSON values

    def keep(self, kept: NDArray[np.bool_], why: str) -> _Trials:
        if not kept.any():
            raise DataError(f"no trial is left: all {len(kept)} are {why}.")
        left_out = {why: self.ids[~kept].tolist()} if not kept.all() else {}
        condition = None if self.condition is None else self.condition[kept]
        return _Trials(
            times=self.times[kept],
            ids=self.ids[kept],
            condition=condition,
            notes={**self.notes, "left_out": {**self.notes.get("left_out", {}), **left_out}},
        )


def _pass_through(path: Path, options: PrepareOptions) -> Recording:
    recording = read_recording(path, options=options.read)
    if options.window_s is not None or options.event is not None or options.chop_s is not None:
        raise DataError(
            "the counts are cut into trials already, so window, event and chop do not "
            "apply; leave them out. Continuous counts have two axes: bin, unit."
        )
    if options.bin_width_s is None:
        return recording
    factor = _factor(options.bin_width_s, recording.bin_width_s)
    return rebin(recording, factor, combine=options.combine)


def _cut(stored: StoredArrays, continuous: Continuous, options: PrepareOptions) -> Recording:
    recorded_s = options.recorded_s or continuous.recorded_s
    window = _window(stored, continuous, options)
    trials = _trials(stored, continuous, options, recorded_s)
    if continuous.counts is not None:
        trials = _aligned_to_bins(trials, continuous, window)
    trials = _without_overlap(trials, window, options.overlap)
    inside = np.ones((len(trials.times), window.n_bins), dtype=bool)
    if recorded_s is not None:
        inside = is_recorded(trials.times, window, recorded_s)
        trials, inside = _without_outside(trials, inside, options.outside)
    counts = _binned(continuous, trials.times, window, options.combine)
    if not inside.all():
        floating = np.result_type(counts, np.float32)
        counts = np.where(inside[:, :, None], counts, np.nan).astype(floating)
    if not np.nansum(np.abs(counts)):
        raise DataError(_nothing_inside(continuous, trials.times))
    centres = window.centres(trials.times)
    signals = continuous.signals
    return Recording(
        counts=counts,
        bin_width_s=window.bin_width_s,
        trial_ids=trials.ids,
        unit_ids=continuous.unit_ids,
        start_s=window.start_s,
        session=options.read.session or stored.word("session") or stored.path.stem,
        condition=trials.condition,
        behaviour={
            name: resample(signal.values, signal.times, centres).astype(np.float32)
            for name, signal in signals.items()
        },
        behaviour_units={name: s.units for name, s in signals.items() if s.units is not None},
        provenance=_provenance(stored, options, window, trials, inside),
    )


def _window(stored: StoredArrays, continuous: Continuous, options: PrepareOptions) -> Window:
    bin_width_s = options.bin_width_s
    if bin_width_s is None:
        bin_width_s = continuous.bin_width_s
    if bin_width_s is None:
        raise DataError(
            "spike times have no bin width of their own; give one in seconds, e.g. "
            "--bin-width 0.005."
        )
    if options.chop_s is not None:
        return Window(start_s=0.0, stop_s=options.chop_s, bin_width_s=bin_width_s)
    if options.window_s is None:
        raise DataError(
            "the window around the event is missing; give its beginning and end in seconds, e.g. "
            "--window -0.25 0.45."
        )
    start_s, stop_s = options.window_s
    return Window(start_s=start_s, stop_s=stop_s, bin_width_s=bin_width_s)


def _trials(
    stored: StoredArrays,
    continuous: Continuous,
    options: PrepareOptions,
    recorded_s: tuple[float, float] | None,
) -> _Trials:
    if options.chop_s is not None:
        return _chopped(continuous, options.chop_s, recorded_s)
    times = event_times_in(stored, options.event)
    if times is None:
        raise FormatError(
            f"{stored.path}: there are no event_times to cut trials around. Name the array with "
            f"--event NAME, or cut consecutive trials with --chop SECONDS. "
            f"Found: {stored.listing()}."
        )
    named = options.read.trial_ids or ("trial_ids" if "trial_ids" in stored.arrays else None)
    ids = np.arange(len(times)) if named is None else stored.labels(named, "trial_ids")
    if len(ids) != len(times):
        raise DataError(
            f"there are {len(times)} events, but {len(ids)} trial ids; one each is needed."
        )
    trials = _Trials(
        times=times,
        ids=ids,
        condition=condition_in(stored, options.read.condition, len(times)),
        notes={"event": options.event or "event_times"},
    )
    return trials.keep(np.isfinite(times), "without a time of the event")


def _chopped(
    continuous: Continuous, chop_s: float, recorded_s: tuple[float, float] | None
) -> _Trials:
    """Consecutive trials from the beginning of the recording; a rest at the end is not used."""
    notes: dict[str, Any] = {"chop_s": chop_s}  # JSON values
    if recorded_s is None:
        spikes = np.concatenate(list(continuous.spike_times or [np.zeros(0)]))
        if not spikes.size:
            raise DataError("there are no spikes, and no recording_stop_s says how long it ran.")
        recorded_s = (float(spikes.min()), float(spikes.max()))
        notes["recorded_s_from"] = "first and last spike"
    n_trials = int(np.floor((recorded_s[1] - recorded_s[0]) / chop_s + 1e-9))
    if n_trials < 1:
        raise DataError(
            f"the recording of {recorded_s[1] - recorded_s[0]:g} s is shorter than one trial of "
            f"{chop_s:g} s; choose shorter trials."
        )
    times = recorded_s[0] + np.arange(n_trials, dtype=np.float64) * chop_s
    return _Trials(times=times, ids=np.arange(n_trials), condition=None, notes=notes)


def _aligned_to_bins(trials: _Trials, continuous: Continuous, window: Window) -> _Trials:
    """Events moved so that windows begin on edges of the session's bins."""
    width, first = _binned_grid(continuous)
    begin = (trials.times + window.start_s - first) / width
    moved = np.round(begin) * width + first - window.start_s
    largest = float(np.abs(moved - trials.times).max())
    return _Trials(
        times=moved,
        ids=trials.ids,
        condition=trials.condition,
        notes={**trials.notes, "largest_move_of_event_s": largest},
    )


def _without_overlap(
    trials: _Trials, window: Window, overlap: Literal["keep", "drop", "refuse"]
) -> _Trials:
    """Trials that share time leak from training to validation; they are counted in any case."""
    length_s = window.stop_s - window.start_s
    kept = np.ones(len(trials.times), dtype=bool)
    last = -np.inf
    for position in np.argsort(trials.times, kind="stable"):
        kept[position] = trials.times[position] - last >= length_s - 1e-6 * window.bin_width_s
        if kept[position]:
            last = trials.times[position]
    n_overlapping = int((~kept).sum())
    if n_overlapping and overlap == "refuse":
        raise DataError(
            f"{n_overlapping} of {len(kept)} trials share time with an earlier one, the first is "
            f"trial {trials.ids[~kept][0]}. Shorten the window, or drop them (--overlap drop)."
        )
    if overlap == "drop":
        return trials.keep(kept, "overlapping an earlier one")
    return _Trials(
        times=trials.times,
        ids=trials.ids,
        condition=trials.condition,
        notes={**trials.notes, "n_overlapping_trials": n_overlapping},
    )


def _without_outside(
    trials: _Trials, inside: NDArray[np.bool_], outside: Literal["missing", "drop", "refuse"]
) -> tuple[_Trials, NDArray[np.bool_]]:
    """Trials not wholly inside the recording; those with no bin inside go in any case."""
    whole = np.asarray(inside.all(axis=1))
    if outside == "refuse" and not whole.all():
        raise DataError(
            f"{int((~whole).sum())} of {len(whole)} trials reach beyond the recording, the first "
            f"is trial {trials.ids[~whole][0]}. Shorten the window, drop them (--outside drop), or "
            "mark their bins as missing (--outside missing)."
        )
    kept = whole if outside == "drop" else np.asarray(inside.any(axis=1))
    return trials.keep(kept, "outside the recording"), inside[kept]


def _binned(
    continuous: Continuous,
    times: NDArray[np.float64],
    window: Window,
    combine: Literal["sum", "mean"],
) -> NDArray[Any]:
    """Counts [B, L, N]; what lies beyond the recording is 0 here and marked by the caller."""
    if continuous.spike_times is not None:
        return bin_spike_times(continuous.spike_times, times, window)
    assert continuous.counts is not None  # a session has the one or the other
    width, first = _binned_grid(continuous)
    factor = _factor(window.bin_width_s, width)
    begin = np.round((times + window.start_s - first) / width).astype(np.int64)
    position = begin[:, None] + np.arange(window.n_bins * factor)
    within = (position >= 0) & (position < len(continuous.counts))
    values = continuous.counts[np.where(within, position, 0)]
    values = np.where(within[:, :, None], values, values.dtype.type(0))
    fine = Recording(
        counts=values,
        bin_width_s=width,
        trial_ids=np.arange(len(times)),
        unit_ids=continuous.unit_ids,
    )
    return rebin(fine, factor, combine=combine).counts


def _binned_grid(continuous: Continuous) -> tuple[float, float]:
    assert continuous.bin_width_s is not None  # `_from_counts` sets both
    assert continuous.recorded_s is not None
    return continuous.bin_width_s, continuous.recorded_s[0]


def _factor(wide_s: float, narrow_s: float) -> int:
    ratio = wide_s / narrow_s
    if ratio < 1 - 1e-6 or abs(ratio - round(ratio)) > 1e-6 * ratio:
        raise DataError(
            f"bins of {narrow_s:g} s can't be joined to bins of {wide_s:g} s; a whole multiple of "
            f"{narrow_s:g} s is needed."
        )
    return round(ratio)


def _nothing_inside(continuous: Continuous, events: NDArray[np.float64]) -> str:
    found = f"event times go from {events.min():g} to {events.max():g} s"
    if continuous.spike_times is not None:
        spikes = np.concatenate(list(continuous.spike_times))
        if spikes.size:
            found += f", spike times from {spikes.min():g} to {spikes.max():g} s"
    return (
        f"no trial holds a single spike: {found}. Both must be in seconds (not milliseconds or "
        "samples) and on one clock."
    )


def _provenance(
    stored: StoredArrays,
    options: PrepareOptions,
    window: Window,
    trials: _Trials,
    inside: NDArray[np.bool_],
) -> dict[str, Any]:  # JSON values
    return {
        "source": stored.path.name,
        "prepared": {
            "window_s": [window.start_s, window.stop_s],
            "bin_width_s": window.bin_width_s,
            "outside": options.outside,
            "overlap": options.overlap,
            "n_missing_bins": int((~inside).sum()),
            **trials.notes,
        },
    }
