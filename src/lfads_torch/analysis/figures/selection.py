"""Which trials and units a figure shows: those the user named, or a fair handful."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.figures import aligned
from lfads_torch.analysis.figures.averages import condition_means, modulation, smoothed
from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs
from lfads_torch.errors import DataError

__all__ = ["chosen_trials", "chosen_units", "modulated_units", "positions_of"]


def chosen_trials(inputs: FigureInputs, choice: FigureChoice, n_trials: int) -> NDArray[np.int64]:
    """Positions in `rates.nc` of the trials named, or of a few of the reported set.

    The few go over the conditions evenly; nothing about the rates decides, so the figure does not
    flatter the model.
    """
    ids = aligned.text_of(aligned.opened_rates(inputs), "trial_id")
    if choice.trials:
        return positions_of(choice.trials, ids, "trial")
    of_set = np.flatnonzero(aligned.trial_sets(inputs) == aligned.reported_set(inputs))
    labels = aligned.condition_labels(inputs)
    if labels is None:
        return of_set[_evenly(len(of_set), n_trials)]
    names = aligned.condition_names(labels[of_set])
    shown = [names[row] for row in _evenly(len(names), n_trials)]
    first = [of_set[labels[of_set] == name][0] for name in shown]
    others = [row for row in of_set if row not in set(first)]
    return np.array((first + others)[:n_trials], dtype=np.int64)


def chosen_units(inputs: FigureInputs, choice: FigureChoice, n_units: int) -> NDArray[np.int64]:
    """Positions of the units named, or of the best-modulated ones, one of them held out."""
    ids = aligned.text_of(aligned.opened_rates(inputs), "unit_id")
    if choice.units:
        return positions_of(choice.units, ids, "unit")
    order, seen = modulated_units(inputs), aligned.is_encoded(inputs)
    best = list(_of_every_family(inputs, order)[:n_units])
    held_out = [unit for unit in order if not seen[unit]]
    if held_out and n_units > 1 and seen[best].all():
        best[-1] = held_out[0]
    return np.array(best, dtype=np.int64)


def _of_every_family(inputs: FigureInputs, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """The units in turn from each family, so that none is left out where there are several."""
    families = aligned.families(inputs)[order]
    place = np.zeros(len(order), dtype=np.int64)
    for family in dict.fromkeys(families.tolist()):
        own = families == family
        place[own] = np.arange(int(own.sum()))
    return order[np.argsort(place, kind="stable")]


def modulated_units(inputs: FigureInputs) -> NDArray[np.int64]:
    """Units, the most modulated first: by the counts, or by the rates where there are none."""
    labels, sets = aligned.condition_labels(inputs), aligned.trial_sets(inputs)
    used = np.flatnonzero(sets == "train") if (sets == "train").any() else np.arange(len(sets))
    if aligned.why_no_counts(inputs) is None:
        values = aligned.counts(inputs, used)
    else:
        values = aligned.rates_of(inputs, used)
    groups = np.full(len(used), "all") if labels is None else labels[used]
    means = condition_means(values, groups, [str(name) for name in np.unique(groups)])
    score = modulation(smoothed(means, aligned.bin_width_s(inputs)))
    return np.argsort(-score, kind="stable")


def positions_of(wanted: Sequence[Any], ids: NDArray[np.str_], kind: str) -> NDArray[np.int64]:
    """Where these ids are; an unknown one is an error that names the nearest."""
    position = {name: row for row, name in enumerate(ids)}
    for item in wanted:
        if str(item) not in position:
            near = difflib.get_close_matches(str(item), list(position), n=1, cutoff=0.0)
            raise DataError(
                f"{kind} {str(item)!r} is not in rates.nc, which has {len(ids)} {kind}s "
                f"({ids[0]} to {ids[-1]}); the nearest is {near[0] if near else ids[0]!r}."
            )
    return np.array([position[str(item)] for item in wanted], dtype=np.int64)


def _evenly(available: int, wanted: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, available - 1, min(available, wanted)).astype(np.int64))
