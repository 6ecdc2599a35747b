"""Signals of chops joined to one signal of the whole session.

Axes: `B` chop, `T` bin of a chop, `D` anything (unit, factor, ...). Where chops overlap, a weighted
mean: the weights rise from a chop's first bin over the overlap, and fall towards its last one, so
that between two chops they sum to one. Where chops agree the result is what they agree on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.chopping import Chops
from lfads_torch.errors import DataError

__all__ = ["Merging", "chop_weights", "merge_blocks", "merge_chops"]

Ramp = Literal["linear", "smooth"]
BINS_AT_ONCE = 2**14


@dataclass(frozen=True, kw_only=True)
class Merging:
    """Where chops lie and how they are weighed."""

    chops: Chops
    n_chop_bins: NDArray[np.int64]  # [B], bins of each chop that carry a signal
    first_bin: int = 0  # bins at the beginning of each chop that the signal lacks (`ic_bins`)
    ramp: Ramp = "linear"

    def __post_init__(self) -> None:
        starts, stops = self.spans()
        if (starts < 0).any() or (stops > self.chops.n_session_bins).any():
            raise DataError(
                f"chops lie in bins {starts.min()} to {stops.max() - 1}, but the session has "
                f"{self.chops.n_session_bins} bins; the file's chops were damaged. Prepare it anew."
            )

    def spans(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First bin and one past the last of each chop's signal in the session, both [B]."""
        starts = self.chops.start_bins + self.first_bin
        return starts, starts + self.n_chop_bins


def chop_weights(n_bins: int, overlap: int, ramp: Ramp = "linear") -> NDArray[np.float64]:
    """Weights of one chop's bins, [T]: above 0 everywhere, 1 where it overlaps with no other.

    Over `overlap` bins linear weights are 1/(m+1), ..., m/(m+1); smooth ones the squared sine of
    that quarter wave. Both sum to one with those of the neighbour.
    """
    place = np.arange(n_bins)
    from_edge = np.minimum(place, n_bins - 1 - place) + 1
    linear = np.minimum(from_edge / (overlap + 1), 1.0)
    if ramp == "linear":
        return np.asarray(linear)
    return np.asarray(np.sin(0.5 * np.pi * linear) ** 2)


def merge_chops(signal: NDArray[Any], merging: Merging) -> NDArray[np.float64]:
    """The signal [B, T, D] of chops as one of the session, [bin, D]; NaN where no chop lies."""
    parts = [block for _, block in merge_blocks(lambda chop: signal[chop], merging)]
    return np.concatenate(parts)


def merge_blocks(
    signal_of: Callable[[int], NDArray[Any]],
    merging: Merging,
    *,
    bins_at_once: int = BINS_AT_ONCE,
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """As `merge_chops`, in blocks of the session's bins: (first bin, [bin, D]) in order.

    `signal_of(chop)` gives [T, D]; each chop is asked for once per block that it lies in. NaN in a
    chop counts as nothing there.
    """
    starts, stops = merging.spans()
    n_session_bins = merging.chops.n_session_bins
    for first in range(0, n_session_bins, bins_at_once):
        stop = min(first + bins_at_once, n_session_bins)
        found = np.flatnonzero((starts < stop) & (stops > first))
        yield first, _merged_block(signal_of, merging, found, first, stop)


def _merged_block(
    signal_of: Callable[[int], NDArray[Any]],
    merging: Merging,
    found: NDArray[np.int64],
    first: int,
    stop: int,
) -> NDArray[np.float64]:
    starts, stops = merging.spans()
    chosen = found if len(found) else np.array([0])
    n_dimensions = signal_of(int(chosen[0])).shape[-1]
    total = np.zeros((stop - first, n_dimensions))
    weight = np.zeros_like(total)
    for chop in found.tolist():
        begin, end = max(first, starts[chop]), min(stop, stops[chop])
        inside = slice(begin - starts[chop], end - starts[chop])
        own = _weights(merging, chop)[inside, None]
        values = signal_of(chop)[inside].astype(np.float64)
        present = ~np.isnan(values)
        here = slice(begin - first, end - first)
        total[here] += np.where(present, own * values, 0.0)
        weight[here] += np.where(present, own, 0.0)
    with np.errstate(invalid="ignore"):  # 0 / 0 is the NaN of a bin in no chop
        return np.asarray(total / weight)


def _weights(merging: Merging, chop: int) -> NDArray[np.float64]:
    n_bins = int(merging.n_chop_bins[chop])
    # Bins that the signal lacks at the beginning shorten the overlap.
    overlap = max(merging.chops.overlap_bins - merging.first_bin, 0)
    return chop_weights(n_bins, overlap, merging.ramp)
