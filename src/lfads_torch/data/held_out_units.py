"""Which units to hide from the encoder: over the whole range of rates, twins together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lfads_torch.counted import counted
from lfads_torch.data.count_correlation import count_correlation
from lfads_torch.data.recording import Recording
from lfads_torch.errors import SettingsError

__all__ = ["NEAR_DUPLICATE_CORRELATION", "choose_held_out_units", "units_that_belong_together"]

VALUES_AT_ONCE = 2**22
NEAR_DUPLICATE_CORRELATION = 0.8  # of counts, bin against bin


def choose_held_out_units(
    recording: Recording, fraction: float, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], list[str]]:
    """`is_encoded` [N] with `round(fraction * N)` units held out, and notes for the record.

    Units are ordered by mean count and cut into as many strata as are to be held out; one of each
    is drawn. Units that belong together (one electrode, or near-duplicates) are drawn together, so
    that a held-out unit can't be read off its twin; they enter the order with their mean rate.
    """
    is_encoded = np.ones(recording.n_units, dtype=bool)
    if fraction == 0:
        return is_encoded, []
    n_wanted = _n_wanted(recording.n_units, fraction)
    group = units_that_belong_together(recording)
    sizes = np.bincount(group)
    candidates = np.flatnonzero(sizes <= n_wanted)
    if not len(candidates):
        raise SettingsError(
            f"split.held_out_fraction {fraction:g} of {recording.n_units} units is {n_wanted}, but "
            "units of one electrode and near-duplicates stay together, in groups of at least "
            f"{sizes.min()}. Set it to at least {sizes.min() / recording.n_units:.2g}."
        )
    for chosen in _draw_over_rates(_mean_counts(recording), group, n_wanted=n_wanted, rng=rng):
        is_encoded[group == chosen] = False
    notes = []
    if (sizes > 1).any():
        notes.append(
            f"{int((sizes > 1).sum())} groups of units (one electrode, or near-duplicates) stayed "
            "together"
        )
    if (n_held_out := int((~is_encoded).sum())) < n_wanted:
        notes.append(f"{n_held_out} units are held out, not {n_wanted}: groups stay together")
    return is_encoded, notes


def units_that_belong_together(
    recording: Recording, correlation: float = NEAR_DUPLICATE_CORRELATION
) -> NDArray[np.int64]:
    """Group of each unit, 0, 1, ... in order of first appearance, [N].

    Two units belong together if they share an electrode (`unit_groups`) or the correlation of
    their counts is over the threshold; so do units linked through others.
    """
    linked = count_correlation(recording.counts) > correlation
    if recording.unit_groups is not None:
        linked |= recording.unit_groups[:, None] == recording.unit_groups[None, :]
    group = np.full(recording.n_units, -1, dtype=np.int64)
    n_groups = 0
    for unit in range(recording.n_units):
        if group[unit] >= 0:
            continue
        reached = [unit]
        group[unit] = n_groups
        while reached:
            fresh = np.flatnonzero(linked[reached.pop()] & (group < 0))
            group[fresh] = n_groups
            reached.extend(fresh.tolist())
        n_groups += 1
    return group


def _n_wanted(n_units: int, fraction: float) -> int:
    n_wanted = round(fraction * n_units)
    if n_wanted == 0:
        raise SettingsError(
            f"split.held_out_fraction {fraction:g} of {counted(n_units, 'unit')} is less than one "
            f"unit. Set it to 0, or to at least {1 / n_units:.2g}."
        )
    if n_wanted >= n_units:
        raise SettingsError(
            f"split.held_out_fraction {fraction:g} holds out all {counted(n_units, 'unit')}; the "
            "encoder needs at least one to see. Lower it."
        )
    return n_wanted


def _mean_counts(recording: Recording) -> NDArray[np.float64]:
    total, n_present = np.zeros(recording.n_units), np.zeros(recording.n_units)
    size = max(1, VALUES_AT_ONCE // (recording.n_bins * recording.n_units))
    for start in range(0, recording.n_trials, size):
        counts = np.asarray(recording.counts[start : start + size])
        finite = np.isfinite(counts)
        total += np.where(finite, counts, 0).sum(axis=(0, 1), dtype=np.float64)
        n_present += finite.sum(axis=(0, 1))
    return np.asarray(total / np.maximum(n_present, 1))


def _draw_over_rates(
    mean_count: NDArray[np.float64],
    group: NDArray[np.int64],
    *,
    n_wanted: int,
    rng: np.random.Generator,
) -> list[int]:
    """Groups with together at most `n_wanted` units, spread over the order of rates."""
    sizes = np.bincount(group)
    by_rate = np.argsort(np.bincount(group, mean_count) / sizes, kind="stable")
    n_strata = max(1, round(n_wanted / sizes.mean()))
    chosen: list[int] = []
    n_left = n_wanted
    strata = np.array_split(by_rate, n_strata)
    # One of each stratum first; what groups that were too large leave open, from anywhere.
    pools = [strata[place] for place in rng.permutation(len(strata))] + [by_rate] * n_wanted
    for pool in pools:
        fitting = [int(one) for one in pool if sizes[one] <= n_left and one not in chosen]
        if fitting:
            chosen.append(fitting[int(rng.integers(len(fitting)))])
            n_left -= int(sizes[chosen[-1]])
        if n_left == 0:
            break
    return chosen
