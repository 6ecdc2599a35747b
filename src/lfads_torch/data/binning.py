"""Spike times and continuous signals -> bins of trials cut around events.

Axes: `B` trial (event), `L` bin, `N` unit, `S` sample of a signal, `D` dimension. All times are in
seconds on one clock. A bin holds its left edge and not its right one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.recording import Recording
from lfads_torch.data.unit_families import COUNT_OBSERVATIONS, SIGNAL_OBSERVATIONS
from lfads_torch.errors import DataError

__all__ = [
    "Window", "bin_spike_times", "checked_samples", "edge_tolerance_s", "rebin", "resample",
]  # fmt: skip

# Times that went through a subtraction miss an edge by some rounding errors; a spike that lies this
# part of a bin before an edge counts as on it. At 30 kHz samples are 1/30 of a 1 ms bin apart.
EDGE_TOLERANCE_BINS = 1e-6
WHOLE_TOLERANCE_BINS = 1e-6


@dataclass(frozen=True, kw_only=True)
class Window:
    """A trial around its event: from `start_s` (negative: before it) to `stop_s`, in whole bins."""

    start_s: float
    stop_s: float
    bin_width_s: float

    def __post_init__(self) -> None:
        if not np.isfinite(self.bin_width_s) or self.bin_width_s <= 0:
            raise DataError(
                f"the bin width is {self.bin_width_s} s; a positive width in seconds is needed."
            )
        length_s = self.stop_s - self.start_s
        if not np.isfinite(length_s) or length_s <= 0:
            raise DataError(
                f"the window goes from {self.start_s:g} to {self.stop_s:g} s; its end must come "
                "after its beginning."
            )
        n_bins = length_s / self.bin_width_s
        if round(n_bins) < 1 or abs(n_bins - round(n_bins)) > WHOLE_TOLERANCE_BINS * max(1, n_bins):
            nearest = self.start_s + max(1, round(n_bins)) * self.bin_width_s
            raise DataError(
                f"the window from {self.start_s:g} to {self.stop_s:g} s is {n_bins:g} bins of "
                f"{self.bin_width_s:g} s; a whole number of bins is needed. The nearest end is "
                f"{nearest:g} s."
            )

    @property
    def n_bins(self) -> int:
        return round((self.stop_s - self.start_s) / self.bin_width_s)

    def centres(self, event_times: NDArray[np.float64]) -> NDArray[np.float64]:
        """The middle of each bin on the clock of the events, [B, L]."""
        offsets = self.start_s + (np.arange(self.n_bins) + 0.5) * self.bin_width_s
        return event_times[:, None] + offsets


def bin_spike_times(
    spike_times: Sequence[NDArray[Any]], event_times: NDArray[Any], window: Window
) -> NDArray[np.unsignedinteger[Any]]:
    """Spikes per bin, [B, L, N], in the smallest unsigned type that holds them.

    Spike times of a unit need not be in order; a unit may have none. Windows may overlap: a spike
    counts in each of them. Bin b of an event holds `b <= (t - event - start) / width < b + 1`; a
    spike closer before an edge than a millionth of a bin (or than times of that size resolve)
    counts as on the edge, so 0.3 - 0.1 falls into the bin that begins at 0.2.
    """
    events = np.asarray(event_times, dtype=np.float64)
    _need_finite("event_times", events)
    counts = np.zeros((len(events), window.n_bins, len(spike_times)), dtype=np.int64)
    for unit, times in enumerate(spike_times):
        ordered = np.sort(np.asarray(times, dtype=np.float64).reshape(-1))
        _need_finite(f"spike times of unit {unit}", ordered)
        counts[:, :, unit] = _bin_one_unit(ordered, events, window)
    return counts.astype(np.min_scalar_type(int(counts.max(initial=0))))


def edge_tolerance_s(bin_width_s: float, times: NDArray[Any]) -> float:
    """How close to an edge a time counts as on it: what rounding of times of that size leaves."""
    largest = float(np.abs(times).max(initial=0.0))
    return EDGE_TOLERANCE_BINS * bin_width_s + 4 * float(np.spacing(largest))


def resample(
    signal: NDArray[Any],
    sample_times: NDArray[Any],
    at: NDArray[np.float64],
    *,
    largest_gap_s: float | None = None,
) -> NDArray[np.float64]:
    """A signal [S, D] at other times `at` [B, L] by linear interpolation, [B, L, D].

    NaN stays: a time between two samples of which one is NaN gives NaN, one exactly on a sample
    gives that sample. So do times outside the samples, and times in a gap between samples wider
    than `largest_gap_s` (None: four times the median distance). Nothing is extrapolated.
    """
    values, times = checked_samples(signal, sample_times)
    return _interpolated(values, times, np.asarray(at, dtype=np.float64), largest_gap_s)


def checked_samples(
    signal: NDArray[Any], sample_times: NDArray[Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Values [S, D] and times [S] of a signal; DataError unless the times are finite and rise."""
    values = np.asarray(signal, dtype=np.float64)
    times = np.asarray(sample_times, dtype=np.float64).reshape(-1)
    if values.ndim == 1:
        values = values[:, None]
    if values.ndim != 2 or len(values) != len(times):
        raise DataError(
            f"the signal has shape {values.shape}, its times {times.shape}; one time per sample "
            "[sample, dimension] is needed."
        )
    _need_finite("sample times", times)
    if len(times) < 2 or (np.diff(times) <= 0).any():
        raise DataError(
            f"the {len(times)} sample times do not rise throughout; at least two rising times are "
            "needed. Sort the samples, and drop doubled ones."
        )
    return values, times


def rebin(
    recording: Recording, factor: int, *, combine: Literal["sum", "mean"] | None = None
) -> Recording:
    """The recording in bins `factor` times as wide.

    Counts are added up, or averaged if so asked; a bin with a missing part is missing. Units of
    a signal, by the family that the recording says, average what is there of a bin that lies
    wholly in its trial. Units of a family that is not ours need `combine`. Behaviour, inputs,
    rates and latents are averaged. The number of bins, and that of encoded bins, must be a multiple
    of `factor`. `extra` stays as it is.
    """
    _need_divisible(recording, factor)
    if factor == 1:
        return recording
    wide: dict[str, Any] = {  # fields of Recording: arrays or None
        name: None if (values := getattr(recording, name)) is None else _averaged(values, factor)
        for name in ("external_inputs", "true_rates", "true_latents", "true_inputs")
    }
    split, ends = recording.split, recording.n_trial_bins
    if recording.chops is not None:
        raise DataError(
            "trials chopped from a continuous session keep the bins of the session; chop it anew "
            "in wider bins (`lfads prepare --bin-width`)."
        )
    return replace(
        recording,
        n_trial_bins=None if ends is None else _whole_bins(ends, factor),
        counts=_of_families(recording, factor, combine),
        bin_width_s=recording.bin_width_s * factor,
        behaviour={n: _averaged(values, factor) for n, values in recording.behaviour.items()},
        split=split and replace(split, n_encoded_bins=split.n_encoded_bins // factor),
        provenance={
            **recording.provenance,
            "rebinned": {"factor": factor, "counts": combine or "sum"},
        },
        **wide,
    )


def _whole_bins(ends: NDArray[np.int64], factor: int) -> NDArray[np.int64]:
    """Wide bins of each trial; one of which a part lies beyond the trial's end is missing."""
    if ends.min() < factor:
        raise DataError(
            f"the shortest trial has {ends.min()} bins, fewer than the {factor} that are joined to "
            "one; leave such trials out, or join fewer."
        )
    return ends // factor


def _bin_one_unit(
    times: NDArray[np.float64], events: NDArray[np.float64], window: Window
) -> NDArray[np.int64]:
    """Counts [B, L] of rising times: the spikes near each window, then their bin."""
    largest = max(np.abs(times).max(initial=0.0), np.abs(events).max(initial=0.0))
    tolerance = EDGE_TOLERANCE_BINS + 4 * float(np.spacing(largest)) / window.bin_width_s
    first = np.searchsorted(times, events + (window.start_s - window.bin_width_s))
    last = np.searchsorted(times, events + (window.stop_s + window.bin_width_s))
    n_near = last - first
    trial = np.repeat(np.arange(len(events)), n_near)
    near = np.arange(len(trial)) + np.repeat(first - (np.cumsum(n_near) - n_near), n_near)
    since_start = (times[near] - events[trial]) - window.start_s
    position = np.floor(since_start / window.bin_width_s + tolerance).astype(np.int64)
    inside = (position >= 0) & (position < window.n_bins)
    flat = np.bincount(
        trial[inside] * window.n_bins + position[inside], minlength=len(events) * window.n_bins
    )
    return flat.reshape(len(events), window.n_bins).astype(np.int64)


def _interpolated(
    values: NDArray[np.float64],
    times: NDArray[np.float64],
    at: NDArray[np.float64],
    largest_gap_s: float | None,
) -> NDArray[np.float64]:
    gap = 4 * float(np.median(np.diff(times))) if largest_gap_s is None else largest_gap_s
    right = np.clip(np.searchsorted(times, at, side="right"), 1, len(times) - 1)
    left = right - 1
    distance = times[right] - times[left]
    weight = ((at - times[left]) / distance)[..., None]
    weight = np.where(
        np.abs(weight - np.round(weight)) < EDGE_TOLERANCE_BINS, np.round(weight), weight
    )
    between = (1 - weight) * values[left] + weight * values[right]
    # A NaN neighbour with weight 0 would still make the sum NaN.
    result = np.where(weight == 0, values[left], np.where(weight == 1, values[right], between))
    on_sample = (weight == 0) | (weight == 1)
    outside = (at < times[0]) | (at > times[-1])
    too_far = (distance > gap)[..., None] & ~on_sample
    return np.where(outside[..., None] | too_far, np.nan, result)


def _need_divisible(recording: Recording, factor: int) -> None:
    if factor < 1 or factor != int(factor):
        raise DataError(
            f"bins can't be joined by {factor}; a whole number of at least 1 is needed."
        )
    n_bins = recording.n_bins
    n_encoded = n_bins if recording.split is None else recording.split.n_encoded_bins
    if n_bins % factor or n_encoded % factor:
        possible = [k for k in range(1, n_bins + 1) if n_bins % k == 0 and n_encoded % k == 0]
        raise DataError(
            f"{n_bins} bins ({n_encoded} encoded) can't be joined by {factor}: the last one would "
            f"be cut. Possible factors: {', '.join(map(str, possible))}."
        )


def _of_families(
    recording: Recording, factor: int, combine: Literal["sum", "mean"] | None
) -> NDArray[Any]:
    families = recording.observation
    if families is None or combine == "mean":
        return _combined(recording.counts, factor, combine or "sum")
    if combine is None:
        _need_known_families(recording)
    is_signal = np.isin(families, SIGNAL_OBSERVATIONS)
    wide = _combined(recording.counts, factor, "sum")
    if not is_signal.any():
        return wide
    wide = wide.astype(np.result_type(wide, np.float32), copy=False)
    signals = _mean_of_present(recording.counts[:, :, is_signal], factor)
    is_whole = np.arange(wide.shape[1]) < (recording.bins_of_trials // factor)[:, None]
    wide[:, :, is_signal] = np.where(is_whole[:, :, None], signals, np.nan)
    return wide


def _need_known_families(recording: Recording) -> None:
    """Whether values of a family of the user's are counts or a signal, only the user knows."""
    families = np.asarray(recording.observation)
    is_other = ~np.isin(families, ("", *COUNT_OBSERVATIONS, *SIGNAL_OBSERVATIONS))
    if is_other.any():
        raise DataError(
            f"{int(is_other.sum())} units, the first is {recording.unit_ids[is_other][0]}, are of "
            f"the family {families[is_other][0]}, which is not one of ours: nothing says whether "
            "their values are added up or averaged in wider bins. Say it: --combine sum "
            "(signals of our families are averaged all the same), or --combine mean for all units."
        )


def _mean_of_present(values: NDArray[Any], factor: int) -> NDArray[np.float64]:
    """Means of what is there; signals sampled more slowly than the bins have many without."""
    parts = values.reshape(values.shape[0], -1, factor, values.shape[2]).astype(np.float64)
    n_present = (~np.isnan(parts)).sum(axis=2)
    total = np.nansum(parts, axis=2)
    return np.where(n_present > 0, total / np.maximum(n_present, 1), np.nan)


def _combined(counts: NDArray[Any], factor: int, combine: Literal["sum", "mean"]) -> NDArray[Any]:
    if combine == "mean":
        return _averaged(counts, factor)
    parts = counts.reshape(counts.shape[0], -1, factor, counts.shape[2])
    if counts.dtype.kind == "f":
        return np.asarray(parts.sum(axis=2, dtype=counts.dtype))
    whole = np.asarray(parts.sum(axis=2, dtype=np.int64))
    if whole.min() < 0:
        return whole
    smallest = np.min_scalar_type(int(whole.max()))
    return np.asarray(whole.astype(np.promote_types(counts.dtype, smallest)))


def _averaged(values: NDArray[Any], factor: int) -> NDArray[Any]:
    kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float32)
    parts = values.reshape(values.shape[0], -1, factor, values.shape[2])
    return np.asarray(parts.mean(axis=2, dtype=np.float64).astype(kind))


def _need_finite(what: str, times: NDArray[np.float64]) -> None:
    wrong = ~np.isfinite(times)
    if wrong.any():
        raise DataError(
            f"{what}: {int(wrong.sum())} of {times.size} are not finite, the first at position "
            f"{int(np.flatnonzero(wrong)[0])}; times in seconds are needed."
        )
