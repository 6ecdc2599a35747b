"""One pass over the counts that gathers what the checks need, with bounded memory.

Axes: `B` trial, `L` bin, `N` unit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["CountStatistics", "OddValues", "UnitStatistics", "count_statistics"]

VALUES_AT_ONCE = 2**22


@dataclass(frozen=True, kw_only=True)
class OddValues:
    """How many values of one wrong kind there are, and the first of them."""

    n_values: int = 0
    trial: int = 0
    bin: int = 0
    unit: int = 0
    value: float = 0.0


@dataclass(frozen=True, kw_only=True)
class UnitStatistics:
    """What tells the kind of a unit's signal, over its present and finite values, each [N]."""

    n_values: NDArray[np.int64]
    n_negative: NDArray[np.int64]
    n_fractional: NDArray[np.int64]
    n_zero: NDArray[np.int64]
    largest: NDArray[np.float64]  # -inf without a value
    mean: NDArray[np.float64]
    variance: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class CountStatistics:
    """Sums over present entries; missing (NaN) and infinite ones are left out of every sum."""

    infinite: OddValues
    negative: OddValues
    fractional: OddValues
    n_missing: int  # NaN
    units: UnitStatistics
    sums: NDArray[np.float64]  # [B, N], over bins
    n_present: NDArray[np.int64]  # [B, N], bins
    n_active_units: NDArray[np.integer[Any]]  # [B, L], units with a value above 0
    smallest: float
    largest: float

    @property
    def is_spike_counts(self) -> bool:
        """Whole numbers of at least 0 throughout."""
        return self.negative.n_values == 0 and self.fractional.n_values == 0

    @property
    def is_all_zero(self) -> bool:
        return self.smallest == 0 and self.largest == 0

    def unit_means(self, trials: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Mean value per bin of each unit over these trials, 0 where nothing is present, [N]."""
        chosen = slice(None) if trials is None else trials
        present = self.n_present[chosen].sum(axis=0)
        return np.asarray(self.sums[chosen].sum(axis=0) / np.maximum(present, 1))

    def trial_means(self) -> NDArray[np.float64]:
        """Mean value per bin and unit of each trial, 0 where nothing is present, [B]."""
        return np.asarray(self.sums.sum(axis=1) / np.maximum(self.n_present.sum(axis=1), 1))


def count_statistics(counts: NDArray[Any]) -> CountStatistics:
    """Statistics of counts [B, L, N]."""
    n_trials, n_bins, n_units = counts.shape
    sums = np.zeros((n_trials, n_units))
    n_present = np.zeros((n_trials, n_units), dtype=np.int64)
    # The smallest type that will do: there is one number for each bin of the recording.
    n_active = np.zeros((n_trials, n_bins), dtype=np.min_scalar_type(n_units))
    infinite, negative, fractional = OddValues(), OddValues(), OddValues()
    n_missing, smallest, largest = 0, np.inf, -np.inf
    gathered = _UnitSums(n_units)
    n_trials_at_once = max(1, VALUES_AT_ONCE // (n_bins * n_units))
    for start in range(0, n_trials, n_trials_at_once):
        block = counts[start : start + n_trials_at_once].astype(np.float64)
        rows = slice(start, start + len(block))
        finite = np.isfinite(block)
        present = np.where(finite, block, 0.0)
        gathered.add(present, finite)
        infinite = _add(infinite, np.isinf(block), block, start)
        negative = _add(negative, present < 0, block, start)
        fractional = _add(fractional, present != np.floor(present), block, start)
        n_missing += int(np.isnan(block).sum())
        if finite.any():
            smallest = min(smallest, float(block[finite].min()))
            largest = max(largest, float(block[finite].max()))
        sums[rows] = present.sum(axis=1)
        n_present[rows] = finite.sum(axis=1)
        n_active[rows] = (present > 0).sum(axis=2)
    has_values = bool(np.isfinite(smallest))
    return CountStatistics(
        infinite=infinite,
        negative=negative,
        fractional=fractional,
        n_missing=n_missing,
        units=gathered.statistics(),
        sums=sums,
        n_present=n_present,
        n_active_units=n_active,
        smallest=smallest if has_values else 0.0,
        largest=largest if has_values else 0.0,
    )


class _UnitSums:
    """Sums over trials and bins that grow block by block."""

    def __init__(self, n_units: int) -> None:
        self._counted = np.zeros((4, n_units), dtype=np.int64)
        self._sums = np.zeros((2, n_units))
        self._largest = np.full(n_units, -np.inf)

    def add(self, present: NDArray[np.float64], finite: NDArray[np.bool_]) -> None:
        """Values [B, L, N], 0 where they are not finite."""
        kinds = (finite, present < 0, present != np.floor(present), finite & (present == 0))
        self._counted += np.stack([kind.sum(axis=(0, 1)) for kind in kinds])
        with np.errstate(over="ignore"):  # of absurd values, which are said elsewhere
            self._sums += np.stack([present.sum(axis=(0, 1)), (present**2).sum(axis=(0, 1))])
        largest = np.where(finite, present, -np.inf).max(axis=(0, 1))
        self._largest = np.maximum(self._largest, largest)

    def statistics(self) -> UnitStatistics:
        n_values, n_negative, n_fractional, n_zero = self._counted
        mean, square = self._sums / np.maximum(n_values, 1)
        with np.errstate(over="ignore", invalid="ignore"):
            variance = np.nan_to_num(np.maximum(square - mean**2, 0.0), nan=np.inf)
        return UnitStatistics(
            n_values=n_values, n_negative=n_negative, n_fractional=n_fractional, n_zero=n_zero,
            largest=self._largest, mean=mean, variance=variance,
        )  # fmt: skip


def _add(
    before: OddValues, wrong: NDArray[np.bool_], block: NDArray[np.float64], first_trial: int
) -> OddValues:
    n_wrong = int(wrong.sum())
    if n_wrong == 0:
        return before
    n_values = before.n_values + n_wrong
    if before.n_values:
        return OddValues(
            n_values=n_values, trial=before.trial, bin=before.bin, unit=before.unit,
            value=before.value,
        )  # fmt: skip
    trial, time, unit = (int(place[0]) for place in np.nonzero(wrong))
    value = float(block[trial, time, unit])
    return OddValues(n_values=n_values, trial=first_trial + trial, bin=time, unit=unit, value=value)
