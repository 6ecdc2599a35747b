"""What every synthetic recording needs: its split, its bins, its counts in few bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.recording import TEST, TRAIN, VALID, Split
from lfads_torch.errors import SettingsError

__all__ = ["smallest_type", "steps_per_bin", "trial_set_by_condition", "whole_split"]


def trial_set_by_condition(
    condition: NDArray[np.int64], n_valid: int, n_test: int
) -> NDArray[np.str_]:
    """The last trials of each condition validate, those before them test, the others train, [B].

    Trials of a condition are exchangeable, so that the last ones are as good as a random draw.
    """
    per_condition = int(np.bincount(condition).min())
    if n_valid + n_test >= per_condition:
        raise SettingsError(
            f"{n_valid} validation and {n_test} test trials of {per_condition} per condition leave "
            "none to train on. Lower n_valid_per_condition or n_test_per_condition, or raise "
            "n_trials_per_condition."
        )
    first_of_condition = np.searchsorted(condition, condition)
    place = np.arange(len(condition)) - first_of_condition
    n_trials = np.bincount(condition)[condition]
    names = np.where(place >= n_trials - n_valid - n_test, TEST, TRAIN)
    return np.where(place >= n_trials - n_valid, VALID, names)


def whole_split(
    trial_set: NDArray[np.str_], counts: NDArray[Any], provenance: Mapping[str, Any]
) -> Split:
    """A split in which the encoder sees every unit and bin."""
    _, n_bins, n_units = counts.shape
    return Split(
        trial_set=trial_set,
        is_encoded=np.ones(n_units, dtype=bool),
        n_encoded_bins=n_bins,
        provenance=dict(provenance),
    )


def steps_per_bin(bin_width_s: float, step_s: float, n_steps: int) -> int:
    """How many simulation steps make one bin; both the width and the trial must come out whole."""
    n_steps_per_bin = round(bin_width_s / step_s)
    if n_steps_per_bin < 1 or abs(n_steps_per_bin * step_s - bin_width_s) > 1e-9:
        raise SettingsError(
            f"bin_width_s is {bin_width_s:g}; a whole multiple of the simulation step of "
            f"{step_s:g} s is needed."
        )
    if n_steps % n_steps_per_bin:
        raise SettingsError(
            f"a trial of {n_steps} steps does not divide into bins of {n_steps_per_bin} steps "
            f"(bin_width_s {bin_width_s:g}). Choose n_steps as a multiple of {n_steps_per_bin}."
        )
    return n_steps_per_bin


def smallest_type(counts: NDArray[np.int64]) -> NDArray[Any]:
    """The same counts in the smallest unsigned integers that hold them."""
    return counts.astype(np.min_scalar_type(int(counts.max())))
