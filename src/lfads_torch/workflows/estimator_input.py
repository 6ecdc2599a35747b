"""What the Python estimator takes, made a recording: arrays, labelled arrays, recordings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from lfads_torch.counted import counted
from lfads_torch.data.formats.arrays import recording_from_arrays
from lfads_torch.data.recording import TEST, TRAIN, UNUSED, VALID, Recording, Split
from lfads_torch.errors import DataError, LfadsError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from lfads_torch.outputs.run_folder import RunFolder
    from lfads_torch.workflows.model_card import ModelCard

__all__ = ["recording_for_fit", "recording_for_model", "with_known_sets"]

SETS = (TRAIN, VALID, TEST, UNUSED)
# Names of an xarray.DataArray's coordinates that hold ids.
TRIAL_IDS, UNIT_IDS = ("trial", "trial_id", "trials"), ("unit", "unit_id", "units")


def recording_for_fit(
    counts: Any,  # whatever recording_from_arrays takes, or a Recording
    bin_width_s: float | None,
    *,
    condition: ArrayLike | None = None,
    external_inputs: ArrayLike | None = None,
    trial_inputs: ArrayLike | None = None,
    split: Split | ArrayLike | None = None,
) -> Recording:
    """The recording to train on; what is given beside a Recording replaces its own."""
    recording = _recording(counts, bin_width_s)
    # Through the reader of arrays, so that both ways of giving counts check alike.
    beside = recording_from_arrays(
        recording.counts,
        bin_width_s=recording.bin_width_s,
        condition=condition,
        external_inputs=external_inputs,
        trial_inputs=trial_inputs,
    )
    if condition is not None:
        recording = replace(recording, condition=beside.condition)
    if external_inputs is not None:
        recording = replace(recording, external_inputs=beside.external_inputs)
    if trial_inputs is not None:
        recording = replace(recording, trial_inputs=beside.trial_inputs)
    return recording if split is None else recording.with_split(_split(split, recording))


def recording_for_model(
    counts: Any,  # see recording_for_fit
    card: ModelCard,
    *,
    external_inputs: ArrayLike | None = None,
    trial_inputs: ArrayLike | None = None,
) -> Recording:
    """The recording to apply a model to, with its units in the order in which they were given.

    Arrays without labels take bin width, start and units from the model. A split is left out.
    """
    if isinstance(counts, Recording):
        recording = counts
    else:
        recording = _recording(counts, card.bin_width_s)
        if recording.n_units != len(card.unit_ids):
            raise DataError(
                f"X has {counted(recording.n_units, 'unit')} (its last axis); this LFADS was "
                f"fitted on {len(card.unit_ids)}. Give counts [trial, bin, unit] of the same units."
            )
        recording = replace(recording, session=card.session, start_s=card.start_s)
        if _coordinate(counts, UNIT_IDS) is None:
            recording = replace(recording, unit_ids=np.array(card.unit_ids))
    if external_inputs is not None or trial_inputs is not None:
        recording = recording_for_fit(
            recording, None, external_inputs=external_inputs, trial_inputs=trial_inputs
        )
    return card.padded(replace(recording, split=None))


def with_known_sets(recording: Recording, run: RunFolder) -> Recording:
    """With the run's split (and conditions) if these are the very counts it was trained on.

    Otherwise, and where the run's own recording is no longer there, the recording as it is.
    """
    from lfads_torch.workflows.model_card import read_card
    from lfads_torch.workflows.stored import read_recording_of

    try:
        trained = read_recording_of(run)
    except LfadsError:
        return recording
    card = read_card(run)
    counts = card.aligned(recording).counts
    if counts.shape != trained.counts.shape or trained.split is None:
        return recording
    if not np.array_equal(counts.astype(float), trained.counts.astype(float), equal_nan=True):
        return recording
    order = card.positions(recording)
    split = replace(trained.split, is_encoded=trained.split.is_encoded[order])
    condition = trained.condition if recording.condition is None else recording.condition
    return replace(recording, split=split, condition=condition)


def _recording(counts: Any, bin_width_s: float | None) -> Recording:  # see recording_for_fit
    if isinstance(counts, Recording):
        if bin_width_s is not None and not np.isclose(bin_width_s, counts.bin_width_s, rtol=1e-6):
            raise DataError(
                f"bin_width_s is {bin_width_s:g}, but the recording's bins are "
                f"{counts.bin_width_s:g} s wide. Leave bin_width_s out, or mend the recording."
            )
        return counts
    if isinstance(counts, (str, PathLike)):
        raise DataError(
            f"X is the path {str(counts)!r}; counts [trial, bin, unit] or a Recording are needed. "
            "`lfads_torch.data.formats.choose.read_recording(path)` reads one, and `lfads fit "
            "FILE` does all of it on the command line."
        )
    if bin_width_s is None:
        raise DataError(
            "LFADS: the width of a bin is not known, and rates are in spikes/s. Give it in "
            "seconds: fit(X, bin_width_s=0.005), or LFADS(bin_width_s=0.005) in a pipeline."
        )
    return recording_from_arrays(
        counts,
        bin_width_s=bin_width_s,
        trial_ids=_coordinate(counts, TRIAL_IDS),
        unit_ids=_coordinate(counts, UNIT_IDS),
    )


def _coordinate(counts: Any, names: Sequence[str]) -> Any:  # only xarray's arrays have `coords`
    coordinates = getattr(counts, "coords", None)
    if coordinates is None or not hasattr(counts, "dims"):
        return None
    return next((coordinates[name].values for name in names if name in coordinates), None)


def _split(split: Split | ArrayLike, recording: Recording) -> Split:
    if isinstance(split, Split):
        return split
    words = np.asarray(split)
    unknown = sorted({str(word) for word in words.flat} - set(SETS))
    if words.ndim != 1 or unknown:
        found = f"shape {words.shape}" if words.ndim != 1 else f"the words {', '.join(unknown[:5])}"
        raise DataError(
            f"split has {found}; needed is a Split, or for each of the {recording.n_trials} trials "
            f"one of {', '.join(SETS)}."
        )
    return Split(
        trial_set=words.astype(np.str_),
        is_encoded=np.ones(recording.n_units, dtype=np.bool_),
        n_encoded_bins=recording.n_bins,
        provenance={"method": "given"},
    )
