"""Counts and truth of lfads-torch's layout where they stay in the file; else see its reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.by_trial import trials_in_file, why_by_trial
from lfads_torch.data.formats.hdf5_arrays import open_hdf5
from lfads_torch.data.formats.stored import StoredArrays
from lfads_torch.data.trials_in_file import Piece

__all__ = ["StoredSets", "counts_in_file", "encoded_in_file", "reason_by_trial", "truth_in_file"]


@dataclass(frozen=True, kw_only=True)
class StoredSets:
    """Where the sets lie, and how large the joined recording is."""

    stored: StoredArrays
    options: ReadOptions
    n_trials: Mapping[str, int]  # of each set
    n_bins: int
    n_units: int

    def whole(self, name: str) -> str:
        """The dataset with the counts of a set."""
        recon = f"{name}_recon_data"
        return recon if recon in self.stored.arrays else f"{name}_encod_data"


def reason_by_trial(layout: StoredSets) -> str | None:
    """Why the counts stay in the file; None where they are read whole."""
    n_values = sum(layout.n_trials.values()) * layout.n_bins * layout.n_units
    arrays = layout.stored.arrays
    has_truth = any(f"{name}_truth" in arrays for name in layout.n_trials)
    with open_hdf5(layout.stored.path) as file:
        datasets = [file[layout.whole(name)] for name in layout.n_trials]
        per_value = max(each.dtype.itemsize for each in datasets) + 8 * has_truth
        n_packed = max((each.chunks or (1,))[0] for each in datasets)
    return why_by_trial(
        layout.options,
        n_values,
        n_values * per_value,
        trials_per_chunk=n_packed,
        bytes_per_trial=layout.n_bins * layout.n_units * per_value,
    )


def counts_in_file(layout: StoredSets, reason: str) -> NDArray[Any]:
    """The counts [B, L, N] of all sets."""
    names = {name: layout.whole(name) for name in layout.n_trials}
    return _joined(layout, names, (), reason)


def encoded_in_file(layout: StoredSets, name: str, reason: str) -> NDArray[Any]:
    """What the encoder sees of one set, as the file has it, [B, E, Nenc]."""
    shape = layout.stored.arrays[f"{name}_encod_data"].shape
    part = replace(layout, n_trials={name: shape[0]}, n_bins=int(shape[1]), n_units=int(shape[2]))
    return _joined(part, {name: f"{name}_encod_data"}, (), reason)


def truth_in_file(
    layout: StoredSets, divisors: tuple[float, ...], reason: str
) -> NDArray[Any] | None:
    """The true rates [B, L, N]: truth over the divisors; NaN where a set has none."""
    names = {
        name: f"{name}_truth" if f"{name}_truth" in layout.stored.arrays else None
        for name in layout.n_trials
    }
    return _joined(layout, names, divisors, reason) if any(names.values()) else None


def _joined(
    layout: StoredSets, names: Mapping[str, str | None], divisors: tuple[float, ...], reason: str
) -> NDArray[Any]:
    pieces, dtypes = [], []
    for of_set, name in names.items():
        shape = (layout.n_trials[of_set], layout.n_bins, layout.n_units)
        dtype = np.dtype(np.float32)
        if name is not None:
            array = layout.stored.arrays[name]
            (n_trials, n_bins, n_units), dtype = array.shape, np.dtype(array.type_name)
            shape = (n_trials, n_bins, n_units)
        pieces.append(Piece(name=name, shape=shape, divisors=divisors if name else ()))
        dtypes.append(dtype)
    return trials_in_file(
        layout.stored.path,
        pieces,
        dtypes,
        options=layout.options,
        reason=reason,
        extent=(layout.n_bins, layout.n_units),
    )
