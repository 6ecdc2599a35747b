"""Chops: trials cut in a row, with overlap, from a continuous session.

Axes: `B` chop. Bins of the session count from its beginning, gaps included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lfads_torch.errors import DataError

__all__ = ["ChopLengths", "Chops", "place_chops", "recorded_stretches"]


@dataclass(frozen=True, kw_only=True)
class Chops:
    """Where each trial lies in the continuous session that it was cut from."""

    start_bins: NDArray[np.int64]  # [B], first bin of each trial in the session
    n_session_bins: int
    session_start_s: float = 0.0  # left edge of the session's first bin on its own clock
    overlap_bins: int = 0  # that neighbours share at least, where there is no gap

    def take(self, positions: NDArray[np.int64]) -> Chops:
        return replace(self, start_bins=self.start_bins[positions])


@dataclass(frozen=True, kw_only=True)
class ChopLengths:
    """How a session is chopped, in bins."""

    length: int
    overlap: int = 0
    shortest: int = 1  # stretches between gaps that are shorter are left out

    def __post_init__(self) -> None:
        if self.length < 1 or not 0 <= self.overlap < self.length:
            raise DataError(
                f"chops of {self.length} bins that overlap by {self.overlap}: the overlap must be "
                "at least 0 and shorter than a chop."
            )
        if not 1 <= self.shortest <= self.length:
            raise DataError(
                f"the shortest stretch is {self.shortest} bins, a chop {self.length}; at least one "
                "bin and at most a chop is needed."
            )


def place_chops(
    stretches: Sequence[tuple[int, int]], lengths: ChopLengths
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First bin and number of bins of each chop, in order of time, both [B].

    `stretches` are (first bin, one past the last) of what was recorded without a gap. Chops cover
    every bin of a stretch: the last one ends with it, and so overlaps more where lengths do not
    divide. A stretch shorter than a chop is one short chop; under `shortest` it is left out.
    """
    starts: list[int] = []
    sizes: list[int] = []
    for first, stop in stretches:
        if stop - first < lengths.shortest:
            continue
        size = min(lengths.length, stop - first)
        own = list(range(first, stop - size + 1, lengths.length - lengths.overlap))
        if own[-1] + size < stop:
            own.append(stop - size)
        starts += own
        sizes += [size] * len(own)
    return np.array(starts, dtype=np.int64), np.array(sizes, dtype=np.int64)


def recorded_stretches(is_recorded: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """(first bin, one past the last) of every run of True."""
    padded = np.concatenate([[False], is_recorded, [False]])
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return [(int(first), int(stop)) for first, stop in edges.reshape(-1, 2)]
