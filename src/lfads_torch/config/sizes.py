"""The sizes of a split recording, as far as settings depend on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lfads_torch.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lfads_torch.data.recording import Recording

__all__ = ["DataSizes", "sizes_of"]

_VALUES_AT_ONCE = 2**22


@dataclass(frozen=True, kw_only=True)
class DataSizes:
    """Counts of trials, bins and units after the split."""

    n_trials_train: int
    n_trials_valid: int
    n_bins: int
    n_encoded_bins: int
    n_units: int
    n_encoded_units: int
    n_external_inputs: int = 0
    n_trial_inputs: int = 0
    present_share: float = 1.0  # of the entries of the training trials, those not missing
    trial_share: float = 1.0  # of their bins, those before the end of their trial
    shortest_trial_bins: int | None = None  # of all trials in use; None: every trial has n_bins
    alternating_trials: tuple[int, ...] = ()  # for training, per session: batches of one session

    def steps_per_epoch(self, batch_size: int) -> int:
        """Batches of at most `batch_size` trials that hold all training trials; at least 1."""
        parts = self.alternating_trials or (self.n_trials_train,)
        return max(1, sum(-(-n // batch_size) for n in parts))


def sizes_of(recording: Recording) -> DataSizes:
    """The sizes of a recording that carries its split."""
    split = recording.split
    if split is None:
        raise DataError(
            f"recording {recording.session!r} carries no split, so it is not known which trials "
            "train. Split it first (`lfads split`, or lfads_torch.data.splitting)."
        )
    training = split.trials("train")
    external, of_trial = recording.external_inputs, recording.trial_inputs
    ends = recording.n_trial_bins
    return DataSizes(
        n_trials_train=len(training),
        n_trials_valid=len(split.trials("valid")),
        n_bins=recording.n_bins,
        n_encoded_bins=split.n_encoded_bins,
        n_units=recording.n_units,
        n_encoded_units=int(split.is_encoded.sum()),
        n_external_inputs=0 if external is None else int(external.shape[2]),
        trial_share=_trial_share(recording, training),
        shortest_trial_bins=None if ends is None else int(ends.min()),
        n_trial_inputs=0 if of_trial is None else int(of_trial.shape[1]),
        present_share=_present_share(recording.counts, training),
    )


def _present_share(counts: NDArray[Any], trials: NDArray[np.int64]) -> float:
    """Of the entries of these trials, those not missing; in blocks, for they may be in a file."""
    import numpy as np

    _, n_bins, n_units = counts.shape
    if not len(trials) or not np.issubdtype(counts.dtype, np.floating):
        return 1.0
    at_once = max(1, _VALUES_AT_ONCE // (n_bins * n_units))
    starts = range(0, len(trials), at_once)
    missing: int = sum(int(np.isnan(counts[trials[n : n + at_once]]).sum()) for n in starts)
    return 1.0 - missing / float(len(trials) * n_bins * n_units)


def _trial_share(recording: Recording, training: NDArray[np.int64]) -> float:
    ends = recording.n_trial_bins
    if ends is None or not len(training):
        return 1.0
    return float(ends[training].mean()) / recording.n_bins
