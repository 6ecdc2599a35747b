"""Whether the axes of the counts look exchanged: units differ in their rates, trials and bins less.

In recordings the standard deviation of mean counts over units is of the order of their mean; over
trials and over bins it is a few times smaller. Which axis an array means can't be known from that,
so it is only said.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.check.context import CheckContext
from lfads_torch.data.check.report import Finding

__all__ = ["check_axes"]

QUARTILE = 0.6745  # of the normal distribution, in standard deviations
FEWEST = 8  # entries of an axis from which its spread is believed
UNIT_SPREAD, TIMES_THAT_OF_UNITS = 0.35, 2.5
OTHER_ORDERS = {
    "trial": ("unit,bin,trial", "unit,trial,bin"),
    "bin": ("trial,unit,bin", "bin,unit,trial"),
}


def check_axes(context: CheckContext) -> list[Finding]:
    """A warning where mean counts differ far more along another axis than along that of units."""
    statistics = context.statistics
    if not statistics.is_spike_counts or min(context.recording.counts.shape) < FEWEST:
        return []
    spread = {
        "trial": _rough_spread(statistics.sums.sum(axis=1), statistics.n_present.sum(axis=1)),
        "bin": _rough_spread(*_of_bins(context)),
        "unit": _spread(statistics.sums.sum(axis=0), statistics.n_present.sum(axis=0)),
    }
    of_units = spread.pop("unit")
    axis = max(spread, key=spread.__getitem__)
    if spread[axis] < max(UNIT_SPREAD, TIMES_THAT_OF_UNITS * of_units):
        return []
    shape = " x ".join(map(str, context.recording.counts.shape))
    return [
        Finding(
            severity="warning",
            code="axes_look_exchanged",
            message=f"The counts were taken as trial x bin x unit = {shape}, but mean counts "
            f"differ by {spread[axis]:.0%} along the axis taken for {axis}s and by {of_units:.0%} "
            "along that for units, as if the units lay there.",
            remedy="If the array has another order, say it, such as "
            f"{' or '.join(f'--axes {order}' for order in OTHER_ORDERS[axis])} (axes of "
            "ReadOptions; an array in Python: counts.transpose(...)). If this one is right, go on.",
        )
    ]


def _of_bins(context: CheckContext) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Active units of each bin over all trials, and how many entries there were, [L] each."""
    n_trials = context.own_bins().sum(axis=(0, 2))
    n_active = context.statistics.n_active_units.sum(axis=0, dtype=np.float64)
    return n_active, n_trials * context.recording.n_units


def _spread(sums: NDArray[np.float64], n_values: NDArray[np.int64]) -> float:
    """Standard deviation of means over their median, [K] -> 1, by quartiles.

    A few odd entries, such as trials with artefacts, do not count. What counting alone makes is
    taken off.
    """
    means, of_counting = _means(sums, n_values)
    if len(means) < FEWEST or not np.median(means) > 0:
        return 0.0
    low, high = np.percentile(means, [25, 75])
    return _relative((high - low) / (2 * QUARTILE), of_counting, means)


def _rough_spread(sums: NDArray[np.float64], n_values: NDArray[np.int64]) -> float:
    """The same of what differs from one entry to the next, as units do.

    Drift over trials and the course of rates over bins do not count.
    """
    means, of_counting = _means(sums, n_values)
    if len(means) < FEWEST or not np.median(means) > 0:
        return 0.0
    step = float(np.median(np.abs(np.diff(means))))
    rough = _relative(step / (np.sqrt(2) * QUARTILE), of_counting, means)
    return min(rough, _spread(sums, n_values))


def _means(
    sums: NDArray[np.float64], n_values: NDArray[np.int64]
) -> tuple[NDArray[np.float64], float]:
    """Mean of each entry that has values, and the variance of one by counting alone."""
    chosen = n_values > 0
    means = sums[chosen] / n_values[chosen]
    if not len(means):
        return means, 0.0
    return means, float(np.median(means) / np.median(n_values[chosen]))


def _relative(deviation: float, of_counting: float, means: NDArray[np.float64]) -> float:
    return float(np.sqrt(max(deviation**2 - of_counting, 0.0)) / np.median(means))
