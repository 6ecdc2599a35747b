"""Bits per spike: how much better than a constant rate the counts are predicted.

`(NLL_null - NLL_model) / total spikes / ln 2`, pooled over trials, bins and units (Pei et al. 2021,
Neural Latents Benchmark). Co-smoothing, forward prediction and the encoded entries are the same
score on different entries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.metrics.arrays import Numbers, Truths, as_three_axes, need_shape
from lfads_torch.errors import DataError

__all__ = [
    "BitsPerSpike",
    "Selection",
    "bits_per_spike",
    "bits_per_spike_over_training_mean",
    "forward_entries",
    "held_out_entries",
    "poisson_nll",
    "seen_entries",
]

# Counts [B, T, N] and predictions [B, T, N, ...] -> nats per entry [B, T, N].
NegativeLogLikelihood = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The units and bins that a score is about, and what to call it."""

    label: str
    is_unit: Truths  # [N]
    is_bin: Truths  # [T]


@dataclass(frozen=True, kw_only=True)
class BitsPerSpike:
    """Sums per trial, from which the pooled score and its resamplings follow."""

    label: str
    null: str  # "evaluated mean", "training mean" or "given"
    nll_model: NDArray[np.float64]  # [B], nats
    nll_null: NDArray[np.float64]  # [B], nats
    spikes: NDArray[np.float64]  # [B]
    n_entries: int

    @property
    def n_trials(self) -> int:
        return len(self.spikes)

    @property
    def value(self) -> float:
        return float(self.resample(np.ones((1, self.n_trials)))[0])

    def resample(self, weights: Numbers) -> NDArray[np.float64]:
        """The score with each trial counted as often as `weights` [S, B] says, [S].

        The null stays the one of the original trials. NaN where a resampling has no spike.
        """
        w = np.asarray(weights, dtype=np.float64)
        spikes = w @ self.spikes
        bits = w @ (self.nll_null - self.nll_model) / np.log(2)
        return np.where(spikes > 0, bits / np.where(spikes > 0, spikes, 1.0), np.nan)


def held_out_entries(is_encoded: Truths, is_encoded_bin: Truths) -> Selection | None:
    """Co-smoothing: held-out units in encoded bins; `None` where no unit is held out."""
    return _selection("co-smoothing", ~is_encoded, is_encoded_bin)


def forward_entries(is_encoded: Truths, is_encoded_bin: Truths) -> Selection | None:
    """All units in forward bins; `None` where every bin is encoded."""
    return _selection("forward", np.ones_like(is_encoded), ~is_encoded_bin)


def seen_entries(is_encoded: Truths, is_encoded_bin: Truths) -> Selection | None:
    """What the encoder saw. A model that passes its input through wins this score."""
    return _selection("seen by the encoder", is_encoded, is_encoded_bin)


def _selection(label: str, is_unit: Truths, is_bin: Truths) -> Selection | None:
    if not (is_unit.any() and is_bin.any()):
        return None
    return Selection(label=label, is_unit=is_unit, is_bin=is_bin)


def poisson_nll(counts: NDArray[np.float64], rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Full Poisson negative log-likelihood, nats per entry; rates are expected counts per bin.

    A rate of exactly 0 is taken as 1e-9, as the benchmark does, so that one spike costs 21 nats
    instead of everything.
    """
    from scipy.special import gammaln, xlogy

    floored = np.where(rates == 0, 1e-9, rates)
    return np.asarray(floored - xlogy(counts, floored) + gammaln(counts + 1))


def bits_per_spike(
    counts: Numbers,
    rates: Numbers,
    *,
    selection: Selection | None = None,
    null_rates: Numbers | None = None,
    negative_log_likelihood: NegativeLogLikelihood = poisson_nll,
) -> BitsPerSpike:
    """Bits per spike of `rates` (expected counts per bin) for `counts` [B, T, N], NaN left out.

    The null is each unit's mean over the selected entries of these very trials, the benchmark's
    definition, unless `null_rates` (broadcastable to the rates) are given. Another observation
    family comes as `negative_log_likelihood`; its predictions may carry further axes behind
    [B, T, N], and then it needs its null in the same form. Units without spikes count: the model
    pays for the spikes it predicts.
    """
    y, p, label = _selected(counts, rates, selection)
    present = np.isfinite(y)
    spikes = np.where(present, y, 0.0)
    _need_usable(label, spikes, p, present, negative_log_likelihood is poisson_nll)
    if null_rates is None:
        if p.ndim != 3:
            raise DataError(
                f"{label}: predictions have shape {p.shape}, more than one number per entry, so "
                "the mean count is no null model for them. Give `null_rates` in the same form."
            )
        null = spikes.sum(axis=(0, 1)) / np.maximum(present.sum(axis=(0, 1)), 1)
    else:
        null = _select_null(null_rates, p, selection, np.shape(rates))
    nll = {
        name: np.where(present, negative_log_likelihood(spikes, prediction), 0.0)
        for name, prediction in (("model", p), ("null", np.broadcast_to(null, p.shape)))
    }
    return BitsPerSpike(
        label=label,
        null="evaluated mean" if null_rates is None else "given",
        nll_model=nll["model"].sum(axis=(1, 2)),
        nll_null=nll["null"].sum(axis=(1, 2)),
        spikes=spikes.sum(axis=(1, 2)),
        n_entries=int(present.sum()),
    )


def bits_per_spike_over_training_mean(
    counts: Numbers, rates: Numbers, *, train_counts: Numbers, selection: Selection | None = None
) -> BitsPerSpike:
    """The same score with each unit's mean over the training trials as the null.

    Not the benchmark's figure: this null does not know the evaluated trials, so the score is a
    little higher. A unit that is silent in training counts as 1e-9 spikes per bin.
    """
    train = as_three_axes("training counts", train_counts)
    need_shape("training counts", train, (None, *np.shape(counts)[1:]))
    if selection is not None:
        train = train[:, selection.is_bin]
    present = np.isfinite(train)
    total = np.where(present, train, 0.0).sum(axis=(0, 1))
    mean = total / np.maximum(present.sum(axis=(0, 1)), 1)
    score = bits_per_spike(counts, rates, selection=selection, null_rates=mean)
    return replace(score, null="training mean")


def _selected(
    counts: Numbers, rates: Numbers, selection: Selection | None
) -> tuple[NDArray[np.float64], NDArray[np.float64], str]:
    y = as_three_axes("counts", counts)
    p = np.asarray(rates, dtype=np.float64)
    if p.shape[:3] != y.shape:
        raise DataError(
            f"rates have shape {p.shape} and counts {y.shape}; both need the same trials, bins and "
            "units. Where the first bins are not generated, leave them out of the counts too."
        )
    if selection is None:
        return y, p, "all entries"
    need_shape("selected units", selection.is_unit, (y.shape[2],))
    need_shape("selected bins", selection.is_bin, (y.shape[1],))
    bins, units = selection.is_bin, selection.is_unit
    return y[:, bins][:, :, units], p[:, bins][:, :, units], selection.label


def _select_null(
    null_rates: Numbers,
    p: NDArray[np.float64],
    selection: Selection | None,
    shape: tuple[int, ...],
) -> NDArray[np.float64]:
    try:
        null = np.broadcast_to(np.asarray(null_rates, dtype=np.float64), shape)
    except ValueError:
        raise DataError(
            f"null_rates have shape {np.shape(null_rates)}; a shape that broadcasts to {shape} is "
            "needed: one value per unit, or the shape of the rates."
        ) from None
    if selection is None:
        return null
    return np.asarray(null[:, selection.is_bin][:, :, selection.is_unit])


def _need_usable(
    label: str, spikes: NDArray[np.float64], p: NDArray[np.float64], present: Truths, is_rate: bool
) -> None:
    if not spikes.sum() > 0:
        raise DataError(
            f"{label}: the {int(present.sum())} scored entries hold no spike, so bits per spike is "
            "undefined. Score more trials or units."
        )
    shown = present.reshape(present.shape + (1,) * (p.ndim - 3))
    wrong = shown & ~(np.isfinite(p) & ((p >= 0) | (not is_rate)))
    if wrong.any():
        first = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise DataError(
            f"{label}: {int(wrong.sum())} predictions are not usable, the first is {p[first]:g} at "
            f"trial {first[0]}, bin {first[1]}, unit {first[2]} of the selection. Finite values"
            f"{', at least 0 expected counts per bin,' if is_rate else ''} are needed wherever "
            "counts are present."
        )
