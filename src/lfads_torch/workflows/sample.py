"""Of a recording that is read by trial: as many trials as can be scored and drawn at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lfads_torch.data.recording import Recording

__all__ = ["as_many_as_fit", "n_that_fit"]

# Rates, their spread, counts and what is made of them in double precision, of both sets.
BYTES_OF_VALUE = 120


def n_that_fit(recording: Recording) -> int:
    """How many trials fit at once; 0: all, of a recording in memory or where nobody says."""
    filed = recording.in_file
    if filed is None or not np.isfinite(filed.most_bytes):
        return 0
    each = BYTES_OF_VALUE * recording.n_bins * recording.n_units
    return max(1, int(filed.most_bytes // max(each, 1)))


def as_many_as_fit(
    recording: Recording, positions: NDArray[np.int64], n_stored: int = 0
) -> NDArray[np.int64]:
    """These trials, or evenly spaced ones of them where the recording is read by trial.

    `n_stored` is what fitted when the run began (`n_trials_at_once` of its record): free memory is
    another one every time, and the same trials are to be scored. 0: what fits now.
    """
    n_most = n_stored or n_that_fit(recording) or len(positions)
    if n_most >= len(positions):
        return positions
    chosen = np.linspace(0, len(positions) - 1, n_most).round().astype(np.int64)
    return positions[chosen]
