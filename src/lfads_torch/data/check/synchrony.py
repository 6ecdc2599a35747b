"""Bins in which far more units fire than just before and after: artefacts, not neural activity."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.check.context import CheckContext
from lfads_torch.data.check.report import Finding, listed

__all__ = ["check_synchronous_bins", "synchronous_bins"]

STANDARD_DEVIATIONS = 6.0  # of a count of units that fire independently
ARTEFACT_S = 0.006  # longer volleys may be physiological
NEIGHBOURS_BINS = 10
VALUES_AT_ONCE = 2**22


def check_synchronous_bins(context: CheckContext) -> list[Finding]:
    """Bins of artefact, with the bin's position where most fall on the same one."""
    if not context.statistics.is_spike_counts:
        return []
    active = context.statistics.n_active_units
    size = max(1, VALUES_AT_ONCE // active.shape[1])
    parts = [
        synchronous_bins(
            active[start : start + size],
            n_units=context.recording.n_units,
            bin_width_s=context.recording.bin_width_s,
        )
        for start in range(0, len(active), size)
    ]
    found = np.concatenate(parts)
    n_found = int(found.sum())
    if n_found == 0:
        return []
    trials = np.flatnonzero(found.any(axis=1))
    per_bin = found.sum(axis=0)
    place = int(per_bin.argmax())
    where = f", {int(per_bin[place])} of them in bin {place}" if per_bin[place] > 1 else ""
    return [
        Finding(
            severity="warning",
            code="synchronous_bins",
            message=f"In {n_found} bins of {len(trials)} trials far more units fire together than "
            f"in the bins around them{where} (trials "
            f"{listed(context.trial_ids(trials), at_most=5)}).",
            remedy="Look for stimulation, movement or electrical artefacts there; set these bins "
            "to NaN (missing), or leave the trials out.",
        )
    ]


def synchronous_bins(
    n_active_units: NDArray[np.integer[Any]], *, n_units: int, bin_width_s: float
) -> NDArray[np.bool_]:
    """Bins with many more active units than their surroundings, [B, L].

    A bin counts if its number of active units is 6 standard deviations (binomial) over each of: the
    mean of the bins within ten, and the bins just beyond an artefact's length (6 ms) on both
    sides; and if it is at least 5 units and a fifth of all. A population burst is wider than
    that, and does not count.
    """
    n_bins = n_active_units.shape[1]
    reach = max(1, math.ceil(ARTEFACT_S / bin_width_s))
    if n_bins < 2 * reach + 3:
        return np.zeros(n_active_units.shape, dtype=bool)
    active = n_active_units.astype(np.float64)
    around = _mean_around(active, NEIGHBOURS_BINS + reach)
    before = np.pad(active, ((0, 0), (reach, 0)))[:, :n_bins]
    after = np.pad(active, ((0, 0), (0, reach)))[:, reach:]
    usual = np.maximum(around, np.maximum(before, after))
    threshold = usual + STANDARD_DEVIATIONS * np.sqrt(usual * (1.0 - usual / n_units) + 1.0)
    return np.asarray((active > threshold) & (active >= max(5.0, 0.2 * n_units)))


def _mean_around(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Mean over the bins within `reach`, the bin itself left out, [B, L]."""
    n_bins = values.shape[1]
    sums = np.pad(values.cumsum(axis=1), ((0, 0), (1, 0)))
    first = np.maximum(np.arange(n_bins) - reach, 0)
    last = np.minimum(np.arange(n_bins) + reach + 1, n_bins)
    return np.asarray((sums[:, last] - sums[:, first] - values) / (last - first - 1))
