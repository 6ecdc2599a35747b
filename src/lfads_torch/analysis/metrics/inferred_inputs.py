"""How much the inferred inputs carry, and whether their largest moment meets a known pulse.

An inferred input is what the generator could not predict. The controller sees the next bin and the
future, so an input may lead its event; sign, rotation and scale are arbitrary, which is why only
the whitened magnitude over all dimensions is timed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.metrics.arrays import Numbers, as_three_axes, need_finite, need_shape
from lfads_torch.errors import DataError, SettingsError

__all__ = [
    "AutoregressivePrior",
    "InputContent",
    "PulseTiming",
    "control_fraction",
    "input_content",
    "largest_input_time",
    "lead_lag_histogram",
    "pulse_timing",
    "whitened_magnitude",
]


@dataclass(frozen=True, kw_only=True)
class AutoregressivePrior:
    """`u_t ~ N(a u_{t-1}, v)`, `a = exp(-1 / tau)`, `u_1 ~ N(0, v / (1 - a^2))`, per dimension.

    A time constant of 0 bins is the independent normal prior with variance v.
    """

    time_constant_bins: NDArray[np.float64]  # [U]
    variance: NDArray[np.float64]  # [U], of the step (v)

    def __post_init__(self) -> None:
        need_shape("prior variances", self.variance, self.time_constant_bins.shape)
        if not ((self.time_constant_bins >= 0).all() and (self.variance > 0).all()):
            raise DataError(
                f"the prior has time constants {self.time_constant_bins} bins and variances "
                f"{self.variance}; at least 0 bins and variances above 0 are needed."
            )

    @property
    def coefficient(self) -> NDArray[np.float64]:
        """a, [U]."""
        tau = self.time_constant_bins
        return np.where(tau > 0, np.exp(-1 / np.where(tau > 0, tau, 1.0)), 0.0)

    @property
    def stationary_variance(self) -> NDArray[np.float64]:
        """v / (1 - a^2), [U]."""
        return np.asarray(self.variance / (1 - self.coefficient**2))


@dataclass(frozen=True, kw_only=True)
class InputContent:
    """Per dimension: nats per trial, and variance over that of the prior."""

    kl: NDArray[np.float64]  # [U], nats per trial: sum over bins, mean over trials
    kl_per_trial: NDArray[np.float64]  # [B, U]
    variance_ratio: NDArray[np.float64]  # [U], variance of the posterior mean / prior's stationary
    along: str  # "sample": along the generator's own samples; "factorised": bins as independent


def input_content(
    mean: Numbers, std: Numbers, prior: AutoregressivePrior, *, sample: Numbers | None = None
) -> InputContent:
    """KL of the inferred inputs from their prior, and how far they move, per dimension.

    `mean` and `std` [B, T, U] are the posterior's, `sample` the inputs that the generator saw. With
    it the divergence is the step-wise one of the loss, unbiased:
    `1/2 [log(v/s_t^2) + ((m_t - a u_{t-1})^2 + s_t^2)/v - 1]`, with v1 and no past at the first
    bin. Without it, bins count as independent ("factorised": u_{t-1} is averaged over its own mean
    and std), which is wrong by nats where means follow the sampled past.
    """
    m, s = as_three_axes("inferred input means", mean), as_three_axes("inferred input stds", std)
    need_shape("inferred input stds", s, m.shape)
    need_shape("prior variances", prior.variance, (m.shape[2],))
    if not (np.isfinite(m).all() and (np.isfinite(s) & (s > 0)).all()):
        raise DataError("inferred input means must be finite, and their stds finite and above 0.")
    past, past_variance = (m, s**2) if sample is None else (np.asarray(sample), np.zeros_like(s))
    need_shape("inferred input samples", past, m.shape)
    a, v, v1 = prior.coefficient, prior.variance, prior.stationary_variance
    step_variance = np.broadcast_to(v, m.shape).copy()
    step_variance[:, 0] = v1
    square = m**2
    square[:, 1:] = (m[:, 1:] - a * past[:, :-1]) ** 2 + a**2 * past_variance[:, :-1]
    kl = 0.5 * (np.log(step_variance / s**2) + (square + s**2) / step_variance - 1)
    return InputContent(
        kl=kl.sum(axis=1).mean(axis=0),
        kl_per_trial=kl.sum(axis=1),
        variance_ratio=m.var(axis=(0, 1)) / v1,
        along="factorised" if sample is None else "sample",
    )


def whitened_magnitude(
    mean: Numbers,
    prior: AutoregressivePrior,
    *,
    whiten: Literal["stationary", "innovations"] = "stationary",
) -> NDArray[np.float64]:
    """Length of the prior-whitened input over dimensions, [trial, bin].

    "stationary", which pulses are timed by, only divides by sqrt(v1), and keeps the slow part.
    "innovations" are independent and of unit variance under the prior: `u_1 / sqrt(v1)`, then
    `(u_t - a u_{t-1}) / sqrt(v)`.
    """
    u = as_three_axes("inferred input means", mean)
    need_shape("prior variances", prior.variance, (u.shape[2],))
    need_finite("inferred input means", u, np.ones(u.shape, dtype=np.bool_))
    white = u / np.sqrt(prior.stationary_variance)
    if whiten == "innovations":
        white[:, 1:] = (u[:, 1:] - prior.coefficient * u[:, :-1]) / np.sqrt(prior.variance)
    elif whiten != "stationary":
        raise SettingsError(f'whiten is {whiten!r}; "stationary" or "innovations" is needed.')
    return np.asarray(np.sqrt((white**2).sum(axis=2)))


def largest_input_time(magnitude: Numbers, *, time_s: Numbers) -> NDArray[np.float64]:
    """Centre of the bin of largest magnitude [trial, bin], s, [trial]; the first of equals."""
    need_shape("magnitudes", magnitude, (None, len(time_s)))
    return np.asarray(np.asarray(time_s, dtype=np.float64)[np.argmax(magnitude, axis=1)])


@dataclass(frozen=True, kw_only=True)
class PulseTiming:
    """Share of pulse trials whose largest input lies within the tolerance, beside chance."""

    limits: ClassVar[tuple[float, float]] = (0.0, 1.0)

    tolerance_s: float
    error_s: NDArray[np.float64]  # [B], largest input minus pulse; negative: the input leads
    chance_uniform: float  # of a bin drawn at random
    chance_permuted: float  # of the pulse times of other trials: expectation over permutations
    n_without_pulse: int  # trials left out

    @property
    def n_trials(self) -> int:
        return len(self.error_s)

    @property
    def is_within(self) -> NDArray[np.bool_]:
        return _within(self.error_s, self.tolerance_s)

    @property
    def value(self) -> float:
        return float(self.is_within.mean())

    def resample(self, weights: Numbers) -> NDArray[np.float64]:
        """The share with each trial counted as often as `weights` [S, B] says, [S]."""
        w = np.asarray(weights, dtype=np.float64)
        total = w.sum(axis=1)
        return np.where(total > 0, (w @ self.is_within) / np.where(total > 0, total, 1), np.nan)


def pulse_timing(
    magnitude: Numbers, *, time_s: Numbers, pulse_time_s: Numbers, tolerance_s: float = 0.03
) -> PulseTiming:
    """Time the largest input of each trial against its pulse; NaN marks trials without a pulse.

    Times [bin] and [trial] are relative to the same event; bins are timed by their centre.
    `chance_permuted` is exact: a random permutation gives a trial each pulse time equally often.
    """
    pulses = np.asarray(pulse_time_s, dtype=np.float64)
    largest = largest_input_time(magnitude, time_s=time_s)
    need_shape("pulse times", pulses, largest.shape)
    has_pulse = np.isfinite(pulses)
    if not has_pulse.any() or tolerance_s < 0:
        raise DataError(
            f"{int(has_pulse.sum())} of {len(pulses)} trials have a pulse time and the tolerance "
            f"is {tolerance_s} s; at least one pulse and a tolerance of at least 0 s are needed."
        )
    pulses, largest = pulses[has_pulse], largest[has_pulse]
    return PulseTiming(
        tolerance_s=tolerance_s,
        error_s=largest - pulses,
        chance_uniform=control_fraction(np.asarray(time_s), pulses, tolerance_s=tolerance_s),
        chance_permuted=control_fraction(largest, pulses, tolerance_s=tolerance_s),
        n_without_pulse=int((~has_pulse).sum()),
    )


def control_fraction(
    control_time_s: Numbers, pulse_time_s: Numbers, *, tolerance_s: float = 0.03
) -> float:
    """Share of all pairs of a control time and a pulse time that lie within the tolerance.

    With the largest-input times of a recording without pulses this is the pulse-free control.
    """
    difference = np.subtract.outer(np.asarray(control_time_s), np.asarray(pulse_time_s))
    return float(_within(difference, tolerance_s).mean())


def lead_lag_histogram(
    timing: PulseTiming, *, bin_width_s: float, limit_s: float = 0.2
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Edges (s) and counts of largest input minus pulse; both ends also hold what lies beyond.

    Edges lie half a bin off zero, so that an exact hit falls in the middle of the central bin.
    """
    n_each_side = max(1, round(limit_s / bin_width_s))
    edges = np.asarray((np.arange(-n_each_side, n_each_side + 2) - 0.5) * bin_width_s, dtype=float)
    centres = np.clip(timing.error_s, edges[0] + bin_width_s / 2, edges[-1] - bin_width_s / 2)
    counts, _ = np.histogram(centres, bins=edges)
    return edges, counts.astype(np.int64)


def _within(difference_s: NDArray[np.float64], tolerance_s: float) -> NDArray[np.bool_]:
    # A nanosecond of slack: 0.53 - 0.50 exceeds 0.03 in floating point.
    return np.asarray(np.abs(difference_s) <= tolerance_s + 1e-9)
