"""What every check receives."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.check.estimate import FitPlan
from lfads_torch.data.check.statistics import CountStatistics
from lfads_torch.data.recording import Recording, Split

__all__ = ["CheckContext", "CheckRequirements"]

COUNT_OBSERVATIONS = ("poisson", "negative_binomial", "bernoulli", "zero_inflated_poisson")


@dataclass(frozen=True, kw_only=True)
class CheckRequirements:
    """What the recording must serve for."""

    observation: str = "poisson"
    split: Split | None = None  # None: the recording's own, or that of a fit's default fractions
    plan: FitPlan = field(default_factory=FitPlan)

    @property
    def needs_counts(self) -> bool:
        """Whether the observation model is one of whole numbers of at least 0."""
        return self.observation in COUNT_OBSERVATIONS


@dataclass(frozen=True, kw_only=True)
class CheckContext:
    """The recording, one pass of statistics over it, and what it must serve for."""

    recording: Recording
    statistics: CountStatistics
    requirements: CheckRequirements
    split: Split | None

    @property
    def bin_width_ms(self) -> float:
        return self.recording.bin_width_s * 1000

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
