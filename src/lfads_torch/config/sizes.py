"""The sizes of a split recording, as far as settings depend on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lfads_torch.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from lfads_torch.data.recording import Recording

__all__ = ["DataSizes", "sizes_of"]


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
    import numpy as np

    split = recording.split
    if split is None:
        raise DataError(
            f"recording {recording.session!r} carries no split, so it is not known which trials "
            "train. Split it first (`lfads split`, or lfads_torch.data.splitting)."
        )
    training = split.trials("train")
    counts = recording.counts[training]
    may_miss = counts.size > 0 and np.issubdtype(counts.dtype, np.floating)
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
        present_share=1.0 - float(np.isnan(counts).mean()) if may_miss else 1.0,
    )


def _trial_share(recording: Recording, training: NDArray[np.int64]) -> float:
    ends = recording.n_trial_bins
    if ends is None or not len(training):
        return 1.0
    return float(ends[training].mean()) / recording.n_bins
