"""Trials of unequal length in one array: NaN beyond the end of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.recording import Recording
from lfads_torch.errors import DataError

__all__ = ["padded_to", "stack_trials"]

BY_BIN = ("counts", "external_inputs", "true_rates", "true_latents", "true_inputs")


def stack_trials(trials: Sequence[NDArray[Any]]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Trials [bin, unit] of any lengths as one array [B, L, N], and the length of each, [B].

    Counts stay as they are where all trials are of one length; else NaN fills what is beyond.
    """
    if not trials:
        raise DataError("there are no trials; at least one is needed.")
    shapes = {np.shape(trial)[1:] for trial in trials}
    if any(np.ndim(trial) != 2 for trial in trials) or len(shapes) != 1:
        found = ", ".join(sorted({str(np.shape(trial)) for trial in trials})[:5])
        raise DataError(
            f"trials have the shapes {found}; each needs two axes, bin and unit, and all the same "
            "number of units."
        )
    ends = np.array([len(trial) for trial in trials], dtype=np.int64)
    if (ends == ends[0]).all():
        return np.stack([np.asarray(trial) for trial in trials]), ends
    kind = np.result_type(np.float32, *[np.asarray(trial).dtype for trial in trials])
    stacked = np.full((len(trials), ends.max(), *shapes.pop()), np.nan, dtype=kind)
    for row, trial in zip(stacked, trials, strict=True):
        row[: len(trial)] = trial
    return stacked, ends


def padded_to(recording: Recording, n_bins: int) -> Recording:
    """The recording with `n_bins` bins per trial; the further ones lie beyond every trial's end."""
    ends = recording.bins_of_trials

    def longer(values: NDArray[Any]) -> NDArray[Any]:
        floating = values.astype(np.result_type(values, np.float32))
        beyond = ((0, 0), (0, n_bins - recording.n_bins), (0, 0))
        return np.pad(floating, beyond, constant_values=np.nan)

    by_bin = {name: getattr(recording, name) for name in BY_BIN}
    changed: dict[str, Any] = {  # arrays and a split
        name: None if values is None else longer(values) for name, values in by_bin.items()
    }
    split = recording.split
    if split is not None and split.n_encoded_bins == recording.n_bins:
        changed["split"] = replace(split, n_encoded_bins=n_bins)
    behaviour = {name: longer(values) for name, values in recording.behaviour.items()}
    return replace(recording, n_trial_bins=ends, behaviour=behaviour, **changed)
