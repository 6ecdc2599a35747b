"""Signals that become units beside those that spike: EMG, calcium, field potentials.

Axes: `B` trial, `L` bin, `N` unit, `D` dimension of a signal.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.averaging import average_in_bins, bins_with_samples
from lfads_torch.data.binning import Window
from lfads_torch.data.formats.continuous import Continuous
from lfads_torch.data.formats.series import UnitSignal
from lfads_torch.errors import DataError

__all__ = ["MixedUnits", "sampled_bins", "with_unit_signals"]


@dataclass(frozen=True, kw_only=True)
class MixedUnits:
    """Counts of all units, what they are called, and of which family each is."""

    counts: NDArray[Any]  # [B, L, N]
    unit_ids: NDArray[Any]  # [N]
    observation: NDArray[np.str_] | None  # [N]; "": as the settings say
    notes: list[dict[str, Any]]  # JSON values, one of each signal


def with_unit_signals(
    spikes: NDArray[Any],
    continuous: Continuous,
    times: NDArray[np.float64],
    window: Window,
    *,
    present: NDArray[np.bool_],
) -> MixedUnits:
    """The counts of units that spike, then each signal averaged in the bins.

    A bin without a sample is missing, as are those that are not `present` [B, L]: beyond a trial's
    end, or not recorded as the file or the user state it of all units.
    """
    signals = continuous.unit_signals
    if not signals:
        return MixedUnits(counts=spikes, unit_ids=continuous.unit_ids, observation=None, notes=[])
    made = [_averaged(each, times, window, present) for each in signals]
    kind = np.result_type(spikes, np.float32)
    ids = [str(unit) for unit in continuous.unit_ids.tolist()]
    families = [""] * len(ids)
    for each in signals:
        ids += each.unit_ids
        families += [each.family] * len(each.unit_ids)
    _need_own_ids(ids)
    return MixedUnits(
        counts=np.concatenate([spikes.astype(kind), *(each.astype(kind) for each in made)], axis=2),
        unit_ids=np.array(ids),
        observation=np.array(families),
        notes=[_note(each, values, present) for each, values in zip(signals, made, strict=True)],
    )


def sampled_bins(
    continuous: Continuous, times: NDArray[np.float64], window: Window
) -> NDArray[np.bool_]:
    """Which bins hold a sample of any signal that becomes units, [B, L]."""
    found = np.zeros((len(times), window.n_bins), dtype=np.bool_)
    for each in continuous.unit_signals:
        with _naming(each):
            found |= bins_with_samples(each.signal.values, each.signal.times, times, window)
    return found


@contextmanager
def _naming(each: UnitSignal) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(f"signals {each.name}: {error}") from None


def _averaged(
    each: UnitSignal, times: NDArray[np.float64], window: Window, present: NDArray[np.bool_]
) -> NDArray[np.float64]:
    with _naming(each):
        values = average_in_bins(each.signal.values, each.signal.times, times, window)
    values[~present] = np.nan
    if np.isnan(values).all():
        first, last = each.signal.times[[0, -1]]
        raise DataError(
            f"signals {each.name}: no bin of any trial holds a sample. Its samples go from "
            f"{first:g} to {last:g} s, the trials from {times.min() + window.start_s:g} to "
            f"{times.max() + window.stop_s:g} s; both must be in seconds on one clock."
        )
    return values


def _note(
    each: UnitSignal, values: NDArray[np.float64], present: NDArray[np.bool_]
) -> dict[str, Any]:  # JSON values
    without = np.isnan(values).any(axis=2) & present
    return {
        "name": each.name,
        "units": each.unit_ids,
        "observation": each.family,
        "sample_interval_s": float(np.median(np.diff(each.signal.times))),
        "share_of_bins_without_sample": float(without.sum() / max(1, present.sum())),
    }


def _need_own_ids(ids: list[str]) -> None:
    doubled = sorted({unit for unit in ids if ids.count(unit) > 1})
    if doubled:
        raise DataError(
            f"units and signals share the ids {doubled[:5]}; give the signals other names in the "
            "file."
        )
