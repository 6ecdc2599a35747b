"""Sets in blocks of time with gaps between them, for trials that follow each other or overlap.

Axes: `B` trial. Trials that share bins, or lie so close that what happened in one goes on in the
other, must not be in different sets: else a score tells what the model has seen already.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.recording import TEST, TRAIN, UNUSED, VALID, Recording
from lfads_torch.errors import DataError

__all__ = ["BlockShares", "blocks_of_session", "sets_from_blocks", "trial_spans"]

TRIALS_PER_BLOCK = 10
FEWEST_BLOCKS, MOST_BLOCKS = 5, 50


@dataclass(frozen=True, kw_only=True)
class BlockShares:
    """How a session is divided."""

    valid_fraction: float
    test_fraction: float
    n_blocks: int = 0  # 0: blocks of about ten trials, 5 to 50 of them
    gap_bins: int = 0  # between trials of different sets; 0: the longest trial's length


def trial_spans(recording: Recording) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First bin and one past the last of each trial in the session, both [B].

    Trials of which it is not known where they lie are taken to follow each other as in the file.
    """
    sizes = recording.bins_of_trials
    if recording.chops is not None:
        return recording.chops.start_bins, recording.chops.start_bins + sizes
    stops = np.cumsum(sizes)
    return stops - sizes, stops


def blocks_of_session(
    recording: Recording, shares: BlockShares, rng: np.random.Generator
) -> NDArray[np.str_]:
    """The set of each trial, [B].

    The session is cut into blocks of equal length; those that validate or test are spread evenly
    over it, and `rng` draws where they begin and which of them test. Trials across the border of
    such a block, or closer to it than the gap, are unused.
    """
    starts, stops = trial_spans(recording)
    n_session_bins, longest = int(stops.max()), int((stops - starts).max())
    n_blocks = shares.n_blocks or int(
        np.clip(n_session_bins // (TRIALS_PER_BLOCK * longest), FEWEST_BLOCKS, MOST_BLOCKS)
    )
    set_of_block = _spread(n_blocks, shares, rng)
    edges = np.linspace(0, n_session_bins, n_blocks + 1).round().astype(np.int64)
    set_of_bin = np.repeat(set_of_block, np.diff(edges))
    return sets_from_blocks(starts, stops, set_of_bin, gap_bins=shares.gap_bins or longest)


def sets_from_blocks(
    starts: NDArray[np.int64],
    stops: NDArray[np.int64],
    set_of_bin: NDArray[np.str_],
    *,
    gap_bins: int,
) -> NDArray[np.str_]:
    """The set of each trial, given that of each bin of the session; unused where it cannot be both.

    Test trials are chosen first, then validation trials that keep the gap from them, then training
    trials that keep it from both.
    """
    trial_set = np.full(len(starts), UNUSED, dtype="<U6")
    is_taken = np.zeros(len(set_of_bin), dtype=bool)
    for name in (TEST, VALID, TRAIN):
        is_closed = (set_of_bin != name) | is_taken
        n_closed = np.concatenate([[0], np.cumsum(is_closed)])
        fits = n_closed[stops] == n_closed[starts]
        trial_set[fits] = name
        for start, stop in zip(starts[fits], stops[fits], strict=True):
            is_taken[max(start - gap_bins, 0) : stop + gap_bins] = True
    return trial_set


def _spread(n_blocks: int, shares: BlockShares, rng: np.random.Generator) -> NDArray[np.str_]:
    """The set of each block."""
    n_valid = max(1, round(shares.valid_fraction * n_blocks))
    n_test = max(1, round(shares.test_fraction * n_blocks)) if shares.test_fraction > 0 else 0
    n_held = n_valid + n_test
    if n_held >= n_blocks:
        raise DataError(
            f"{n_blocks} blocks: {n_valid} for validation and {n_test} for test leave none to "
            "train on. Raise split.n_blocks, or lower split.valid_fraction and split.test_fraction."
        )
    spacing = n_blocks / n_held
    first = rng.uniform(0, spacing)
    positions = np.floor(first + spacing * np.arange(n_held)).astype(int)
    set_of_block = np.full(n_blocks, TRAIN, dtype="<U6")
    held = np.array([VALID] * n_valid + [TEST] * n_test)
    set_of_block[np.minimum(positions, n_blocks - 1)] = rng.permutation(held)
    return set_of_block
