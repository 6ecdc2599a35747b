"""From a session to a recording: spikes and behaviour cut into trials around events, and binned.

`formats/continuous.py` documents the arrays that a file needs. Files that hold trials of counts
already pass through, in wider bins if asked. Axes: `B` trial, `L` bin, `N` unit, `D` dimension.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.binning import Window, bin_spike_times, rebin, resample
from lfads_torch.data.cutting import Trials, binned_grid, cut_trials
from lfads_torch.data.formats.base import ReadOptions, naming
from lfads_torch.data.formats.choose import read_recording
from lfads_torch.data.formats.containers import open_stored
from lfads_torch.data.formats.content import need_readable_file
from lfads_torch.data.formats.continuous import Continuous, continuous_in
from lfads_torch.data.formats.stored import StoredArrays
from lfads_torch.data.mixing import sampled_bins, with_unit_signals
from lfads_torch.data.recorded import within_unit_stretches
from lfads_torch.data.recording import Recording
from lfads_torch.data.session_time import SessionTime, session_time
from lfads_torch.data.source_file import with_source_file
from lfads_torch.errors import DataError

__all__ = ["PrepareOptions", "chopped_recording", "prepare_recording"]


@dataclass(frozen=True, kw_only=True)
class PrepareOptions:
    """How a session becomes trials. Names of arrays are in `read`, as for any file."""

    bin_width_s: float | None = None  # of the result; None: that of the counts in the file
    window_s: tuple[float, float] | None = None  # around the event, e.g. (-0.25, 0.45)
    event: str | None = None  # array of event times; None: event_times
    stop_event: str | None = None  # array of the ends of trials; the window's end is relative to it
    chop_s: float | None = None  # without events: consecutive trials of this length
    chop_overlap_s: float = 0.0  # that consecutive ones share
    shortest_s: float | None = None  # stretch between gaps that is a trial; None: half a chop
    outside: Literal["missing", "drop", "refuse"] = "missing"  # bins beyond the recording
    overlap: Literal["keep", "drop", "refuse"] = "keep"  # trials that share time
    recorded_s: tuple[float, float] | None = None  # when it ran; None: what the file says
    combine: Literal["sum", "mean"] | None = None  # counts in wider bins; None: added up
    read: ReadOptions = field(default_factory=ReadOptions)  # its bin width is that of the file


def prepare_recording(source: Path | str, options: PrepareOptions) -> Recording:
    """The recording in `source`, with what was done in its provenance.

    Trials keep the order and ids of the file; those whose event time is NaN are left out. Behaviour
    is interpolated at the centres of bins. Events of binned sessions move to the nearest edge of
    a bin; the largest move is in the provenance.
    """
    path = Path(source)
    return with_source_file(_prepared(path, options), path)


def _prepared(path: Path, options: PrepareOptions) -> Recording:
    need_readable_file(path)
    with open_stored(path) as stored, naming(path):
        continuous = continuous_in(stored, options.read)
        if continuous is not None:
            return _cut(stored, continuous, options)
    with naming(path):
        return _pass_through(path, options)


def chopped_recording(source: Path, options: ReadOptions) -> Recording:
    """The chops of a continuous session, as read options ask for them.

    The bin width of the options is that of the counts; of spike times it is the width to make.
    """
    read = replace(options, chop_s=None, chop_overlap_s=0.0)
    return _prepared(  # a run knows its recording by what is in it, not by its file
        source,
        PrepareOptions(
            bin_width_s=options.bin_width_s,
            chop_s=options.chop_s,
            chop_overlap_s=options.chop_overlap_s,
            read=read,
        ),
    )


def _pass_through(path: Path, options: PrepareOptions) -> Recording:
    recording = read_recording(path, options=options.read)
    if options.window_s is not None or options.event is not None or options.chop_s is not None:
        raise DataError(
            "the counts are cut into trials already, so window, event and chop do not "
            "apply; leave them out. Continuous counts have two axes: bin, unit."
        )
    if options.bin_width_s is not None:
        factor = _factor(options.bin_width_s, recording.bin_width_s)
        recording = rebin(recording, factor, combine=options.combine)
    return replace(recording, provenance={**recording.provenance, "passed_through": True})


def _cut(stored: StoredArrays, continuous: Continuous, options: PrepareOptions) -> Recording:
    recorded = session_time(continuous, options.recorded_s)
    trials, window = cut_trials(stored, continuous, options, recorded)
    if trials.chops is None:
        trials = _without_outside(continuous, trials, window, recorded, options.outside)
    is_own = np.arange(window.n_bins) < trials.bins(window.n_bins)[:, None]
    counts = _binned(continuous, trials.times, window, options.combine)
    present, notes = _present(continuous, trials, window, counts, recorded)
    if not present.all():
        floating = np.result_type(counts, np.float32)
        counts = np.where(present, counts, np.nan).astype(floating)
    if len(continuous.unit_ids) and not np.nansum(np.abs(counts)):
        raise DataError(_nothing_inside(continuous, trials.times, "spike"))
    stated = is_own & recorded.of_signals(trials.times, window)
    units = with_unit_signals(counts, continuous, trials.times, window, present=stated)
    notes |= recorded.notes()
    notes |= {"signals": units.notes} if units.notes else {}
    return Recording(
        counts=units.counts,
        bin_width_s=window.bin_width_s,
        trial_ids=trials.ids,
        unit_ids=units.unit_ids,
        observation=units.observation,
        start_s=window.start_s,
        session=options.read.session or stored.word("session") or stored.path.stem,
        condition=trials.condition,
        n_trial_bins=None if is_own.all() else trials.n_bins,
        chops=trials.chops,
        provenance={
            "source": stored.path.name,
            "prepared": {
                "window_s": [window.start_s, window.stop_s],
                "bin_width_s": window.bin_width_s,
                "outside": options.outside,
                "overlap": options.overlap,
                **notes,
                **trials.notes,
            },
        },
        **_behaviour(continuous, window.centres(trials.times), is_own),
    )


def _behaviour(
    continuous: Continuous, centres: NDArray[np.float64], is_own: NDArray[np.bool_]
) -> dict[str, Any]:  # fields of Recording
    signals = continuous.signals
    return {
        "behaviour": {
            name: _within(resample(signal.values, signal.times, centres), is_own)
            for name, signal in signals.items()
        },
        "behaviour_units": {name: s.units for name, s in signals.items() if s.units is not None},
    }


def _present(
    continuous: Continuous,
    trials: Trials,
    window: Window,
    counts: NDArray[Any],
    recorded: SessionTime,
) -> tuple[NDArray[np.bool_], dict[str, Any]]:
    """Which entries of counts [B, L, N] are known, and what to say of the others (JSON values)."""
    is_own = np.arange(window.n_bins) < trials.bins(window.n_bins)[:, None]
    of_spikes = recorded.of_spikes(trials.times, window)
    inside = recorded.contains(trials.times, window)
    present = (of_spikes & is_own)[:, :, None]
    missing = ~inside & is_own
    notes: dict[str, Any] = {  # JSON values
        "n_missing_bins": int(missing.sum()),
        "trials_with_missing_bins": trials.ids[missing.any(axis=1)].tolist(),
    }
    if len(continuous.unit_ids) and continuous.unit_signals:
        notes["n_bins_of_signals_alone"] = int((inside & ~of_spikes & is_own).sum())
    if continuous.unit_segments_s is not None:
        of_units = within_unit_stretches(trials.times, window, continuous.unit_segments_s)
        lacking = (present & ~of_units).any(axis=(0, 1))
        notes["n_unobserved_entries"] = int((present & ~of_units).sum())
        notes["units_with_unobserved_entries"] = continuous.unit_ids[lacking].tolist()
        present = present & of_units
    if continuous.spike_times is not None:
        lost = np.where(present | ~is_own[:, :, None], 0, counts)
        notes["n_spikes_in_missing_bins"] = int(lost.sum())
    return present, notes


def _within(signal: NDArray[np.float64], is_own: NDArray[np.bool_]) -> NDArray[np.float32]:
    """A signal [B, L, D] that ends where its trial does."""
    return np.where(is_own[:, :, None], signal, np.nan).astype(np.float32)


def _without_outside(
    continuous: Continuous,
    trials: Trials,
    window: Window,
    recorded: SessionTime,
    outside: Literal["missing", "drop", "refuse"],
) -> Trials:
    """Trials not wholly inside the recording; those with nothing recorded go in any case."""
    own = np.arange(window.n_bins) < trials.bins(window.n_bins)[:, None]
    inside = recorded.contains(trials.times, window)
    whole = np.asarray((inside | ~own).all(axis=1))
    if outside == "refuse" and not whole.all():
        raise DataError(
            f"{int((~whole).sum())} of {len(whole)} trials reach beyond the recording, the first "
            f"is trial {trials.ids[~whole][0]}. Shorten the window, drop them "
            '(outside="drop"; --outside drop), or '
            'mark their bins as missing (outside="missing"; --outside missing).'
        )
    found = recorded.of_spikes(trials.times, window)
    if continuous.unit_signals:
        sampled = sampled_bins(continuous, trials.times, window)
        found = found | (sampled & recorded.of_signals(trials.times, window))
    kept = np.asarray((found & own).any(axis=1))
    kept = kept & whole if outside == "drop" else kept
    if not kept.any() and recorded.is_shown:
        kinds = ["spike"] * bool(len(continuous.unit_ids))
        kinds += ["sample"] * bool(continuous.unit_signals)
        raise DataError(_nothing_inside(continuous, trials.times, " or ".join(kinds)))
    beyond = "outside the recording"
    if not kept.any() and recorded.parts:
        beyond = f"outside the recording, which goes from {recorded.in_words()}"
    return trials.keep(kept, beyond)


def _binned(
    continuous: Continuous,
    times: NDArray[np.float64],
    window: Window,
    combine: Literal["sum", "mean"] | None,
) -> NDArray[Any]:
    """Counts [B, L, N]; what lies beyond the recording is 0 here and marked by the caller."""
    if continuous.spike_times is not None:
        return bin_spike_times(continuous.spike_times, times, window)
    assert continuous.counts is not None  # a session has the one or the other
    width, first = binned_grid(continuous)
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


def _factor(wide_s: float, narrow_s: float) -> int:
    ratio = wide_s / narrow_s
    if ratio < 1 - 1e-6 or abs(ratio - round(ratio)) > 1e-6 * ratio:
        raise DataError(
            f"bins of {narrow_s:g} s can't be joined to bins of {wide_s:g} s; a whole multiple of "
            f"{narrow_s:g} s is needed."
        )
    return round(ratio)


def _nothing_inside(continuous: Continuous, events: NDArray[np.float64], kind: str) -> str:
    found = f"event times go from {events.min():g} to {events.max():g} s"
    if continuous.spike_times:
        spikes = np.concatenate(list(continuous.spike_times))
        if spikes.size:
            found += f", spike times from {spikes.min():g} to {spikes.max():g} s"
    for each in continuous.unit_signals if kind != "spike" else ():
        found += f", samples of {each.name} from {each.signal.times.min():g} to "
        found += f"{each.signal.times.max():g} s"
    return (
        f"no trial holds a single {kind}: {found}. Both must be in seconds (not milliseconds or "
        "samples) and on one clock."
    )
