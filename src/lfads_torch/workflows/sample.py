"""Of a recording that is read by trial: as many trials as can be scored and drawn at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lfads_torch.data.recording import Recording

__all__ = ["as_many_as_fit"]

# Rates, their spread, counts and what is made of them in double precision, of both sets.
BYTES_OF_VALUE = 120


def as_many_as_fit(recording: Recording, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """These trials, or evenly spaced ones of them where the recording is read by trial."""
    filed = recording.in_file
    if filed is None:
        return positions
    each = BYTES_OF_VALUE * recording.n_bins * recording.n_units
    n_most = len(positions)
    if np.isfinite(filed.most_bytes):
        n_most = min(n_most, max(1, int(filed.most_bytes // each)))
    chosen = np.linspace(0, len(positions) - 1, n_most).round().astype(np.int64)
    return positions[chosen]
