"""A recording: trials of binned counts, and everything known about them.

Axes: `B` trial, `L` recording bin, `N` unit. This record is what every reader returns and what
everything after it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.chopping import Chops
from lfads_torch.data.trials_in_file import TrialsInFile, in_file, in_memory
from lfads_torch.errors import DataError

__all__ = ["TEST", "TRAIN", "UNUSED", "VALID", "Recording", "Split"]

TRAIN, VALID, TEST, UNUSED = "train", "valid", "test", "unused"


@dataclass(frozen=True, kw_only=True)
class Split:
    """Which trials train, validate and test; which units and bins the encoder sees.

    The three sets are disjoint; `unused` trials serve for none. `n_encoded_bins` is E: bins from
    E on are forward prediction. Held-out units and forward bins are in the training loss.
    """

    trial_set: NDArray[np.str_]  # [B], "train" | "valid" | "test" | "unused"
    is_encoded: NDArray[np.bool_]  # [N], False for held-out units
    n_encoded_bins: int
    provenance: Mapping[str, Any] = field(default_factory=dict)  # JSON values: method, seed, source

    def trials(self, name: str) -> NDArray[np.int64]:
        """Positions, in file order, of the trials of one set ("all": every trial in use)."""
        if name == "all":
            return np.flatnonzero(self.trial_set != UNUSED)
        return np.flatnonzero(self.trial_set == name)


@dataclass(frozen=True, kw_only=True)
class Recording:
    """Counts [trial, bin, unit] in the user's own order, with ids, behaviour and truth where known.

    Missing entries of `counts` are NaN (which needs a floating type). Everything with a trial,
    bin or unit axis has the length of `counts` there; construction checks that. Trials may end
    before others: `n_trial_bins` says where, and counts beyond it are NaN. Of a recording that is
    larger than memory `counts` and `true_rates` stay in the file (`TrialsInFile`, which is read
    like an array, some trials at a time).
    """

    counts: NDArray[Any]  # [B, L, N]; whole numbers for spikes, any real number otherwise
    bin_width_s: float
    trial_ids: NDArray[Any]  # [B], integers or text, unique
    unit_ids: NDArray[Any]  # [N], integers or text, unique
    start_s: float = 0.0  # time of the first bin's left edge relative to the alignment event
    session: str = "session"
    condition: NDArray[Any] | None = None  # [B], integers or text
    external_inputs: NDArray[np.float32] | None = None  # [B, L, X]
    trial_inputs: NDArray[np.float32] | None = None  # [B, C], constant over a trial
    behaviour: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # name -> [B, L, D]
    behaviour_units: Mapping[str, str] = field(default_factory=dict)  # name -> "mm/s"
    unit_groups: NDArray[Any] | None = None  # [N], electrode of each unit, where ids say so
    observation: NDArray[np.str_] | None = None  # [N], family; "": as the settings say
    true_rates: NDArray[Any] | None = None  # [B, L, N], spikes/s; own unit where no spikes
    true_latents: NDArray[Any] | None = None  # [B, L, D]
    true_inputs: NDArray[Any] | None = None  # [B, L, D], e.g. input pulses
    n_trial_bins: NDArray[np.int64] | None = None  # [B], bins of each trial; None: all of them
    chops: Chops | None = None  # of a continuous session: where each trial lies in it
    split: Split | None = None
    extra: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # carried along untouched
    provenance: Mapping[str, Any] = field(default_factory=dict)  # JSON values: source, recipe

    def __post_init__(self) -> None:
        if self.counts.ndim != 3:
            raise DataError(
                f"counts have shape {self.counts.shape}; three axes are needed: trial, bin, unit. "
                "For a continuous recording, cut it into trials first (`lfads prepare`)."
            )
        if 0 in self.counts.shape:
            raise DataError(
                f"counts have shape {self.counts.shape}: at least one trial, bin and unit is "
                "needed."
            )
        if not np.isfinite(self.bin_width_s) or self.bin_width_s <= 0:
            raise DataError(
                f"bin_width_s is {self.bin_width_s}; a positive width in seconds is needed."
            )
        n_trials, n_bins, n_units = self.counts.shape
        self._need("trial_ids", self.trial_ids, (n_trials,))
        self._need("unit_ids", self.unit_ids, (n_units,))
        self._need("condition", self.condition, (n_trials,))
        self._need("unit_groups", self.unit_groups, (n_units,))
        self._need("observation", self.observation, (n_units,))
        self._need("true_rates", self.true_rates, (n_trials, n_bins, n_units))
        self._need("trial_inputs", self.trial_inputs, (n_trials, None))
        for name in ("external_inputs", "true_latents", "true_inputs"):
            self._need(name, getattr(self, name), (n_trials, n_bins, None))
        for name, values in self.behaviour.items():
            self._need(f"behaviour {name!r}", values, (n_trials, n_bins, None))
        if self.chops is not None:
            self._need("chops.start_bins", self.chops.start_bins, (n_trials,))
        self._check_ends()
        for name, ids in (("trial_ids", self.trial_ids), ("unit_ids", self.unit_ids)):
            if len(np.unique(ids)) != len(ids):
                raise DataError(
                    f"{name} are not unique; give every trial and every unit its own id."
                )
        if self.split is not None:
            self._need("split.trial_set", self.split.trial_set, (n_trials,))
            self._need("split.is_encoded", self.split.is_encoded, (n_units,))
            if not 1 <= self.split.n_encoded_bins <= n_bins:
                raise DataError(
                    f"split.n_encoded_bins is {self.split.n_encoded_bins}; the recording has "
                    f"{n_bins} bins, so 1 to {n_bins} is needed."
                )

    def _check_ends(self) -> None:
        ends = self.n_trial_bins
        if ends is None:
            return
        self._need("n_trial_bins", ends, (self.n_trials,))
        if ends.min() < 1 or ends.max() > self.n_bins:
            raise DataError(
                f"n_trial_bins go from {ends.min()} to {ends.max()}; the counts have {self.n_bins} "
                f"bins, so 1 to {self.n_bins} is needed."
            )
        if self.in_file is None:  # else the reader looks once, for it takes a pass over the file
            self.check_missing_ends()

    def check_missing_ends(self) -> None:
        """Raise DataError where there are counts beyond the end of a trial."""
        ends = self.bins_of_trials
        for trial, values in enumerate(self.counts):
            beyond = values[ends[trial] :]
            if len(beyond) and (beyond.dtype.kind != "f" or not np.isnan(beyond).all()):
                raise DataError(
                    f"trial {self.trial_ids[trial]} has {ends[trial]} bins, but there are counts "
                    "beyond its end; NaN is needed there (and so counts of a floating type)."
                )

    def _need(self, name: str, values: NDArray[Any] | None, shape: tuple[int | None, ...]) -> None:
        if values is None:
            return
        fits = values.ndim == len(shape) and all(
            want is None or have == want for have, want in zip(values.shape, shape, strict=True)
        )
        if not fits:
            wanted = ", ".join("any" if want is None else str(want) for want in shape)
            raise DataError(
                f"{name} has shape {values.shape}; counts of shape {self.counts.shape} need "
                f"({wanted})."
            )

    @property
    def n_trials(self) -> int:
        return int(self.counts.shape[0])

    @property
    def n_bins(self) -> int:
        return int(self.counts.shape[1])

    @property
    def n_units(self) -> int:
        return int(self.counts.shape[2])

    @property
    def in_file(self) -> TrialsInFile | None:
        """The counts where they stay in their file; None where they are in memory."""
        return in_file(self.counts)

    def in_memory(self) -> Recording:
        """The same with counts and true rates read, as far as they are in a file."""
        if self.in_file is None:
            return self
        return replace(self, counts=in_memory(self.counts), true_rates=in_memory(self.true_rates))

    @property
    def bins_of_trials(self) -> NDArray[np.int64]:
        """How many bins each trial has, [B]."""
        if self.n_trial_bins is None:
            return np.full(self.n_trials, self.n_bins, dtype=np.int64)
        return self.n_trial_bins

    @property
    def time_s(self) -> NDArray[np.float64]:
        """Centre of each bin relative to the alignment event, in seconds, [L]."""
        centres = np.arange(self.n_bins, dtype=np.float64) + 0.5
        return np.asarray(self.start_s + centres * self.bin_width_s, dtype=np.float64)

    def with_split(self, split: Split) -> Recording:
        return replace(self, split=split)

    def take_trials(self, positions: NDArray[np.int64]) -> Recording:
        """The recording of these trials only, in the order given."""
        taken = {name: _taken(getattr(self, name), positions) for name in _OF_TRIALS}
        split = self.split
        if split is not None:
            taken["split"] = replace(split, trial_set=split.trial_set[positions])
        if self.chops is not None:
            taken["chops"] = self.chops.take(positions)
        taken["behaviour"] = {name: values[positions] for name, values in self.behaviour.items()}
        return replace(self, **taken)

    def take_units(self, positions: NDArray[np.int64]) -> Recording:
        """The recording of these units only, in the order given."""
        taken = {
            name: _taken(getattr(self, name), positions)
            for name in ("unit_ids", "unit_groups", "observation")
        }
        for name in ("counts", "true_rates"):
            values = getattr(self, name)
            taken[name] = None if values is None else values[:, :, positions]
        split = self.split
        if split is not None:
            taken["split"] = replace(split, is_encoded=split.is_encoded[positions])
        return replace(self, **taken)


_OF_TRIALS = (
    "counts", "trial_ids", "condition", "external_inputs", "trial_inputs", "true_rates",
    "true_latents",
    "true_inputs", "n_trial_bins",
)  # fmt: skip


def _taken(values: Any, positions: NDArray[np.int64]) -> Any:  # an array of any type, or None
    return None if values is None else values[positions]
