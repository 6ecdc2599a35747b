"""Reader of MATLAB files of both generations with an array of counts (trial, bin, unit) in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.formats.assemble import recording_from_stored
from lfads_torch.data.formats.base import Reader, ReadOptions
from lfads_torch.data.formats.containers import open_stored
from lfads_torch.data.formats.content import file_kind
from lfads_torch.data.recording import Recording

__all__ = ["MatFile"]


class MatFile(Reader):
    """As named arrays, axes in the order MATLAB shows: size(counts) is trials, bins, units.

    MATLAB stores whole numbers as doubles; counts become the smallest unsigned type for them.
    """

    name = "matlab"
    reads_axes = True

    def recognises(self, path: Path) -> bool:
        return file_kind(path) in {"matlab", "matlab_hdf5"}

    def read(self, path: Path, options: ReadOptions) -> Recording:
        with open_stored(path) as stored:
            recording = recording_from_stored(stored, options, self.name)
        return replace(recording, counts=_smallest(recording.counts))


def _smallest(counts: NDArray[Any]) -> NDArray[Any]:
    if counts.dtype.kind != "f" or not np.isfinite(counts).all():
        return counts
    if (counts < 0).any() or (counts != counts.round()).any() or counts.max() > 2**32 - 1:
        return counts
    return counts.astype(np.min_scalar_type(int(counts.max())))
