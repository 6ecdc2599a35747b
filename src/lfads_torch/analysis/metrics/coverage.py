"""How often the truth lies inside the bands that the posterior spread of the rates suggests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.metrics.arrays import Numbers, as_three_axes, need_finite, need_shape
from lfads_torch.errors import DataError, SettingsError

__all__ = ["BandCoverage", "band_coverage"]


@dataclass(frozen=True, kw_only=True)
class BandCoverage:
    """Share of true rates inside one nominal band, from counts per trial.

    A share below the nominal one says that the spread over posterior samples understates the
    error; it is no confidence interval.
    """

    limits: ClassVar[tuple[float, float]] = (0.0, 1.0)

    nominal: float
    n_inside: NDArray[np.float64]  # [B]
    n_entries: NDArray[np.float64]  # [B]

    @property
    def n_trials(self) -> int:
        return len(self.n_inside)

    @property
    def value(self) -> float:
        return float(self.resample(np.ones((1, self.n_trials)))[0])

    def resample(self, weights: Numbers) -> NDArray[np.float64]:
        """The share with each trial counted as often as `weights` [S, B] says, [S]."""
        w = np.asarray(weights, dtype=np.float64)
        n_entries = w @ self.n_entries
        is_known = n_entries > 0
        return np.where(is_known, (w @ self.n_inside) / np.where(is_known, n_entries, 1), np.nan)


def band_coverage(
    rates: Numbers,
    rate_posterior_std: Numbers,
    *,
    true_rates: Numbers,
    levels: Sequence[float] = (0.5, 0.9),
) -> list[BandCoverage]:
    """Coverage of normal bands `rate +- z * std` at each nominal level; all in spikes/s.

    Entries with NaN in `true_rates` are left out. A spread of 0 covers only what is exact.
    """
    from scipy.special import ndtri

    truth = as_three_axes("true rates", true_rates)
    present = np.isfinite(truth)
    for name, values in (("rates", rates), ("rate_posterior_std", rate_posterior_std)):
        need_shape(name, values, truth.shape)
        need_finite(name, values, present)
    if not present.any() or (np.asarray(rate_posterior_std)[present] < 0).any():
        raise DataError(
            "coverage needs at least one known true rate and a rate_posterior_std of at least 0; "
            f"{int(present.sum())} true rates are known."
        )
    if not all(0 < level < 1 for level in levels):
        raise SettingsError(f"nominal levels are {list(levels)}; each must lie between 0 and 1.")
    error = np.abs(np.where(present, truth - rates, np.inf))
    spread = np.where(present, rate_posterior_std, 0.0)
    return [
        BandCoverage(
            nominal=level,
            n_inside=(error <= ndtri(0.5 + level / 2) * spread).sum(axis=(1, 2)).astype(np.float64),
            n_entries=present.sum(axis=(1, 2)).astype(np.float64),
        )
        for level in levels
    ]
