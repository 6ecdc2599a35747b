"""What every check receives."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.check.estimate import FitPlan
from lfads_torch.data.check.statistics import CountStatistics, count_statistics
from lfads_torch.data.recording import Recording, Split
from lfads_torch.data.unit_families import COUNT_OBSERVATIONS

__all__ = ["CheckContext", "CheckRequirements"]


@dataclass(frozen=True, kw_only=True)
class CheckRequirements:
    """What the recording must serve for."""

    observation: str = "poisson"  # of units without a family of their own
    families: tuple[str, ...] | None = None  # of every unit; None: `observation` for all
    split: Split | None = None  # None: the recording's own, or that of a fit's default fractions
    plan: FitPlan = field(default_factory=FitPlan)

    def family_of(self, n_units: int) -> NDArray[np.str_]:
        """The family of each unit, [N]."""
        return np.array(self.families or (self.observation,) * n_units, dtype=np.str_)

    def needs_counts(self, n_units: int) -> NDArray[np.bool_]:
        """Which units' families are of whole numbers of at least 0, [N]."""
        return np.isin(self.family_of(n_units), COUNT_OBSERVATIONS)


@dataclass(frozen=True, kw_only=True)
class CheckContext:
    """The recording, one pass of statistics over it, and what it must serve for."""

    recording: Recording
    statistics: CountStatistics
    requirements: CheckRequirements
    split: Split | None

    @cached_property
    def families(self) -> NDArray[np.str_]:
        """The family of each unit, [N]."""
        return self.requirements.family_of(self.recording.n_units)

    @cached_property
    def needs_counts(self) -> NDArray[np.bool_]:
        """Which units' families are of spike counts, [N]."""
        return self.requirements.needs_counts(self.recording.n_units)

    @property
    def bin_width_ms(self) -> float:
        return self.recording.bin_width_s * 1000

    def of_units(self, chosen: NDArray[np.bool_]) -> CheckContext:
        """The same of these units alone."""
        recording = self.recording.take_units(np.flatnonzero(chosen))
        split = self.split
        families = tuple(self.families[chosen].tolist())
        return CheckContext(
            recording=recording,
            statistics=count_statistics(recording.counts),
            requirements=replace(self.requirements, families=families, split=None),
            split=None if split is None else replace(split, is_encoded=split.is_encoded[chosen]),
        )

    @property
    def n_missing(self) -> int:
        """Missing entries; what lies beyond the end of a trial is none."""
        recording = self.recording
        n_beyond = recording.n_trials * recording.n_bins - int(recording.bins_of_trials.sum())
        return self.statistics.n_missing - n_beyond * recording.n_units

    @property
    def missing_fraction(self) -> float:
        """Share of the trials' own entries that are missing."""
        return (
            self.n_missing
            / max(int(self.recording.bins_of_trials.sum()), 1)
            / (self.recording.n_units)
        )

    def own_bins(self) -> NDArray[np.bool_]:
        """Which bins belong to their trial, [B, L, 1]."""
        place = np.arange(self.recording.n_bins)
        return np.asarray(place < self.recording.bins_of_trials[:, None])[:, :, None]

    def unit_ids(self, units: NDArray[np.bool_] | NDArray[np.int64]) -> list[object]:
        """Ids of the units of a mask or of positions."""
        ids: list[object] = self.recording.unit_ids[units].tolist()
        return ids

    def trial_ids(self, trials: NDArray[np.bool_] | NDArray[np.int64]) -> list[object]:
        """Ids of the trials of a mask or of positions."""
        ids: list[object] = self.recording.trial_ids[trials].tolist()
        return ids

    def place(self, trial: int, time: int, unit: int) -> str:
        """Where a value is, in words, with the user's own ids."""
        return (
            f"trial {self.recording.trial_ids[trial]}, bin {time}, "
            f"unit {self.recording.unit_ids[unit]}"
        )
