"""Which bins were recorded: as the file or the user says, else by spikes or samples.

A bin in which nothing was recorded is missing; as zeros it would teach a model silence that nobody
saw. Axes: `B` trial, `L` bin, `N` unit that spikes, `K` stretch. Times in seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.binning import Window, edge_tolerance_s

__all__ = [
    "BY_FILE", "BY_SAMPLES", "BY_SPIKES", "BY_USER", "RecordedTime", "joined_stretches",
    "within_stretches", "within_unit_stretches",
]  # fmt: skip

BY_SPIKES = ("first spike", "last spike")
BY_SAMPLES = ("first sample", "last sample")
SHOWN = {*BY_SPIKES, *BY_SAMPLES}
BY_USER = "--recorded"
BY_FILE = "the file"


@dataclass(frozen=True, kw_only=True)
class RecordedTime:
    """From when to when units were recorded, and what says so of the beginning and the end.

    An end that only the spikes show lies at or beyond them: bins that hold the first or the last
    spike count as recorded (of signals, the first or last sample). Ends that are stated are
    exact: bins must lie wholly inside, and so they must in one of the stretches without a gap.
    """

    limits_s: tuple[float, float]
    said_by: tuple[str, str]
    segments_s: NDArray[np.float64] | None = None  # [K, 2], stretches without a gap; None: one

    def contains(self, times: NDArray[np.float64], window: Window) -> NDArray[np.bool_]:
        """Which bins were recorded, [B, L]."""
        left, right, slack = _edges(times, window)
        (begin, end), (by_begin, by_end) = self.limits_s, self.said_by
        begun = right > begin + slack if by_begin in SHOWN else left >= begin - slack
        over = left > end + slack if by_end in SHOWN else right > end + slack
        if self.segments_s is not None:
            begun = begun & within_stretches(times, window, self.segments_s)
        return np.asarray(begun & ~over)

    @property
    def stretches_s(self) -> NDArray[np.float64]:
        """What was recorded without a gap, within the limits, [K, 2]."""
        if self.segments_s is None:
            return np.array([self.limits_s])
        clipped = np.clip(self.segments_s, *self.limits_s)
        return np.asarray(clipped[clipped[:, 0] < clipped[:, 1]])

    @property
    def is_shown(self) -> bool:
        """Whether an end is not stated."""
        return any(by in SHOWN for by in self.said_by)

    def stated(self) -> RecordedTime:
        """The same without an end that is not stated."""
        (begin, end), (by_begin, by_end) = self.limits_s, self.said_by
        limits = (-np.inf if by_begin in SHOWN else begin, np.inf if by_end in SHOWN else end)
        return replace(self, limits_s=limits)

    def in_words(self) -> str:
        (begin, end), (by_begin, by_end) = self.limits_s, self.said_by
        said = by_begin if by_begin == by_end else f"{by_begin}, {by_end}"
        return f"{begin:g} to {end:g} s ({said})"


def within_unit_stretches(
    times: NDArray[np.float64],
    window: Window,
    stretches_s: Sequence[NDArray[np.float64] | None],
) -> NDArray[np.bool_]:
    """Which bins of each unit lie in its own stretches, [B, L, N]; all, of a unit without any."""
    found = np.ones((len(times), window.n_bins, len(stretches_s)), dtype=np.bool_)
    for unit, stretches in enumerate(stretches_s):
        if stretches is not None:
            found[:, :, unit] = within_stretches(times, window, stretches)
    return found


def within_stretches(
    times: NDArray[np.float64], window: Window, stretches_s: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which bins lie wholly in one of the stretches [K, 2], [B, L]; those that touch are one."""
    left, right, slack = _edges(times, window)
    begins, ends = joined_stretches(stretches_s, slack_s=slack).T
    if not len(begins):
        return np.zeros(left.shape, dtype=np.bool_)
    position = np.searchsorted(begins, left + slack, side="right") - 1
    stop = ends[np.maximum(position, 0)]
    return np.asarray((position >= 0) & (right <= stop + slack))


def joined_stretches(
    stretches_s: NDArray[np.float64], *, slack_s: float = 0.0
) -> NDArray[np.float64]:
    """The same time as stretches in order and apart, [K, 2]: what overlaps or touches is one.

    Stretches no further apart than `slack_s` touch.
    """
    joined: list[list[float]] = []
    for begin, end in stretches_s[np.argsort(stretches_s[:, 0], kind="stable")].tolist():
        if joined and begin <= joined[-1][1] + slack_s:
            joined[-1][1] = max(joined[-1][1], end)
        else:
            joined.append([begin, end])
    return np.array(joined, dtype=np.float64).reshape(-1, 2)


def _edges(
    times: NDArray[np.float64], window: Window
) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Left and right edge of each bin, both [B, L], and by how much they may miss a time, s."""
    centres = window.centres(np.asarray(times, dtype=np.float64))
    slack = edge_tolerance_s(window.bin_width_s, centres)
    return centres - window.bin_width_s / 2, centres + window.bin_width_s / 2, slack
