"""The masked score: every encoded entry is predicted once from the others.

K complementary masks share out the encoded entries. The model sees the recording K times, each time
without one mask's entries, and every entry is scored only where it was hidden. No held-out units
are needed, and passing the input through earns nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.metrics.arrays import Numbers, Truths, as_three_axes, need_shape
from lfads_torch.analysis.metrics.bits_per_spike import BitsPerSpike, bits_per_spike
from lfads_torch.errors import DataError, SettingsError

__all__ = ["complementary_masks", "masked_bits_per_spike", "masked_rates"]

# Counts [B, T, N] with NaN where hidden, and the mask [B, T, N] -> rates [B, T, N] per bin.
RatesFromVisible = Callable[[NDArray[np.float64], Truths], Numbers]


def complementary_masks(
    n_trials: int,
    n_masks: int,
    *,
    is_encoded: Truths,
    is_encoded_bin: Truths,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Which mask hides each entry, 0 to K-1, and -1 where it is never encoded, [B, T, N].

    Within each trial the masks differ by at most one entry, and entries are drawn at random.
    """
    n_entries = int(is_encoded.sum() * is_encoded_bin.sum())
    if not 2 <= n_masks <= n_entries or n_trials < 1:
        raise SettingsError(
            f"{n_masks} masks for {n_trials} trials of {n_entries} encoded entries each: at least "
            "2 masks, at most one per entry, and at least one trial are needed; 5 masks are usual."
        )
    shares = np.tile(np.arange(n_entries) % n_masks, (n_trials, 1))
    hidden_by = np.full((n_trials, len(is_encoded_bin), len(is_encoded)), -1)
    hidden_by[:, is_encoded_bin[:, None] & is_encoded] = rng.permuted(shares, axis=1)
    return hidden_by


def masked_rates(
    counts: Numbers, hidden_by: NDArray[np.int64], rates_from_visible: RatesFromVisible
) -> NDArray[np.float64]:
    """Each entry's rate from the pass in which it was hidden; NaN where it is never encoded.

    `rates_from_visible` gets the counts with NaN where they are hidden, and the mask. A model that
    was trained with coordinated dropout should scale what is left by K / (K - 1).
    """
    y = as_three_axes("counts", counts)
    need_shape("masks", hidden_by, y.shape)
    assembled = np.full(y.shape, np.nan)
    for mask in range(int(hidden_by.max()) + 1):
        is_hidden = hidden_by == mask
        rates = np.asarray(rates_from_visible(np.where(is_hidden, np.nan, y), is_hidden))
        if rates.shape != y.shape:
            raise DataError(
                f"the model gave rates of shape {rates.shape} for counts of shape {y.shape}; the "
                "same trials, bins and units are needed. Leave bins that are not generated out."
            )
        assembled[is_hidden] = rates[is_hidden]
    return assembled


def masked_bits_per_spike(
    counts: Numbers,
    rates_from_visible: RatesFromVisible,
    *,
    is_encoded: Truths,
    is_encoded_bin: Truths,
    rng: np.random.Generator,
    n_masks: int = 5,
) -> BitsPerSpike:
    """Bits per spike of the encoded entries, each predicted while hidden, pooled over the masks."""
    y = as_three_axes("counts", counts)
    need_shape("is_encoded", is_encoded, (y.shape[2],))
    need_shape("is_encoded_bin", is_encoded_bin, (y.shape[1],))
    hidden_by = complementary_masks(
        len(y), n_masks, is_encoded=is_encoded, is_encoded_bin=is_encoded_bin, rng=rng
    )
    rates = masked_rates(y, hidden_by, rates_from_visible)
    score = bits_per_spike(np.where(hidden_by >= 0, y, np.nan), rates)
    return replace(score, label=f"masked ({n_masks} masks)")
