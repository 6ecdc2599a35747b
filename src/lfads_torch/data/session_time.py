"""When a session was recorded: units that spike, and signals that become units, each for itself.

Axes: `B` trial, `L` bin, `K` stretch. Times in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.binning import Window
from lfads_torch.data.recorded import (
    BY_FILE,
    BY_SAMPLES,
    BY_SPIKES,
    BY_USER,
    RecordedTime,
)
from lfads_torch.errors import DataError

if TYPE_CHECKING:
    from lfads_torch.data.formats.continuous import Continuous

__all__ = ["SessionTime", "session_time"]

Limits = tuple[float | None, float | None]


@dataclass(frozen=True, kw_only=True)
class SessionTime:
    """Limits and gaps of either kind of units; None: there are none, or nothing says it.

    Spikes, and intervals of single units, say nothing of when a signal was recorded.
    """

    spikes: RecordedTime | None
    signals: RecordedTime | None

    @property
    def parts(self) -> tuple[RecordedTime, ...]:
        return tuple(each for each in (self.spikes, self.signals) if each is not None)

    @property
    def limits_s(self) -> tuple[float, float]:
        """From the beginning of the first part to the end of the last."""
        begins, ends = zip(*[each.limits_s for each in self.parts], strict=True)
        return min(begins), max(ends)

    @property
    def is_shown(self) -> bool:
        """Whether an end is not stated."""
        return any(each.is_shown for each in self.parts)

    def contains(self, times: NDArray[np.float64], window: Window) -> NDArray[np.bool_]:
        """Bins in which either kind was recorded, [B, L]; all, where nothing says it."""
        if not self.parts:
            return np.ones((len(times), window.n_bins), dtype=np.bool_)
        return np.asarray(np.any([each.contains(times, window) for each in self.parts], axis=0))

    def of_spikes(self, times: NDArray[np.float64], window: Window) -> NDArray[np.bool_]:
        """Bins in which units that spike were recorded, [B, L]."""
        if self.spikes is None:  # with signals alone no unit spikes
            return np.full((len(times), window.n_bins), self.signals is None)
        return self.spikes.contains(times, window)

    def of_signals(self, times: NDArray[np.float64], window: Window) -> NDArray[np.bool_]:
        """Bins that no word of the file or the user takes from signals, [B, L].

        Where the first and last sample show the ends, bins beyond have no sample anyway.
        """
        if self.signals is None:
            return np.zeros((len(times), window.n_bins), dtype=np.bool_)
        return self.signals.stated().contains(times, window)

    def notes(self) -> dict[str, str | None]:
        """In words, for the provenance; of signals where they differ from units that spike."""
        words = [each.in_words() for each in self.parts]
        notes: dict[str, str | None] = {"recorded": words[0] if words else None}
        return notes | ({"recorded_signals": words[1]} if len(set(words)) > 1 else {})

    def in_words(self) -> str:
        words = dict.fromkeys(each.in_words() for each in self.parts)
        return ", of signals ".join(words)


def session_time(continuous: Continuous, asked_s: tuple[float, float] | None) -> SessionTime:
    """What the user says, else the file, else the first and last spike, or sample of signals.

    Counts in bins are their own word: nothing lies beyond them, whatever the user says.
    """
    asked = None if asked_s is None else _asked(continuous, asked_s)
    by_spikes = _span(continuous.spike_times or ())
    by_samples = _span([each.signal.times for each in continuous.unit_signals])
    shown = (by_samples, BY_SAMPLES) if by_spikes is None else (by_spikes, BY_SPIKES)
    of_spikes = _time(asked, continuous.recorded_s, shown, continuous.segments_s)
    of_signals = _time(
        asked,
        continuous.signals_recorded_s,
        (by_samples, BY_SAMPLES),
        continuous.signal_segments_s,
    )
    return SessionTime(
        spikes=of_spikes if len(continuous.unit_ids) else None,
        signals=of_signals if continuous.unit_signals else None,
    )


def _time(
    asked: tuple[float, float] | None,
    stated: Limits,
    shown: tuple[tuple[float, float] | None, tuple[str, str]],
    segments_s: NDArray[np.float64] | None,
) -> RecordedTime | None:
    if asked is not None:
        return RecordedTime(limits_s=asked, said_by=(BY_USER, BY_USER), segments_s=segments_s)
    (begin, end), (span, by) = stated, shown
    if span is None and (begin is None or end is None):
        return None
    first, last = span or (0.0, 0.0)  # needed only where one of the ends is not stated
    return RecordedTime(
        limits_s=(first if begin is None else begin, last if end is None else end),
        said_by=(by[0] if begin is None else BY_FILE, by[1] if end is None else BY_FILE),
        segments_s=segments_s,
    )


def _asked(continuous: Continuous, asked_s: tuple[float, float]) -> tuple[float, float]:
    """What the user says, as far as there are counts where these come in bins."""
    begin, end = asked_s
    if not np.isfinite([begin, end]).all() or begin >= end:
        raise DataError(
            f"recorded_s (--recorded) is {begin:g} {end:g}: the recording's "
            "beginning must come before its end, in seconds."
        )
    first, last = continuous.recorded_s
    if continuous.counts is None or first is None or last is None:
        return asked_s
    if max(begin, first) >= min(end, last):
        raise DataError(
            f"recorded_s (--recorded) is {begin:g} {end:g}: the counts go from "
            f"{first:g} to {last:g} s, and no bin of them lies between. Give a beginning and an "
            "end among the counts, in seconds on the clock of recording_start_s, or leave "
            "recorded_s (--recorded) out."
        )
    return max(begin, first), min(end, last)


def _span(times: Sequence[NDArray[Any]]) -> tuple[float, float] | None:
    """First and last of all; times that are not finite are refused where they are binned."""
    finite = [each[np.isfinite(each)] for each in times]
    present = [each for each in finite if each.size]
    if not present:
        return None
    return min(float(each.min()) for each in present), max(float(each.max()) for each in present)
