"""Averages of several sessions over the same conditions, bin by bin.

Axes: `C` condition, `E` encoded bin, `N` encoded unit of one session.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.metrics.smoothing import smooth_over_time
from lfads_torch.data.recording import Recording, Split
from lfads_torch.errors import DataError

__all__ = ["SessionAverages", "choose_kind", "require_alignment", "session_averages"]

Kind = Literal["conditions", "trial_average"]


@dataclass(frozen=True, kw_only=True)
class SessionAverages:
    """Smoothed counts per bin of one session, averaged over its training trials."""

    session: str
    conditions: tuple[str, ...]  # `("all trials",)` for the average trial
    values: NDArray[np.float64]  # [C, E, N], less the mean
    mean: NDArray[np.float64]  # [N], over conditions and bins
    is_encoded: NDArray[np.bool_]  # of all units of the session: those that are N here


def require_alignment(recordings: Sequence[Recording]) -> None:
    """Raise DataError unless bins and their place relative to the event agree over sessions."""
    first = recordings[0]
    for other in recordings[1:]:
        for what, one, two, remedy in (
            ("bins wide, s", first.bin_width_s, other.bin_width_s, "Bin the spikes again"),
            ("bins per trial", first.n_bins, other.n_bins, "Cut the trials to one window"),
            ("start, s from the event", first.start_s, other.start_s, "Align them to one event"),
        ):
            if abs(one - two) > 1e-6 * max(1.0, abs(one)):
                raise DataError(
                    f"{first.session} and {other.session} do not agree in {what}: {one:g} and "
                    f"{two:g}. Sessions of one model need the same. {remedy} (`lfads prepare`)."
                )


def choose_kind(recordings: Sequence[Recording], asked: str) -> tuple[Kind, str]:
    """How to average, and why where it was left open (`auto`).

    Raises DataError where averages over conditions are asked for and sessions have not the same.
    """
    reason = _why_no_conditions(recordings)
    if asked == "trial_average":
        return "trial_average", ""
    if reason is None:
        return "conditions", ""
    if asked == "auto":
        return "trial_average", reason
    raise DataError(
        f"{reason}. Averages over conditions need the same ones in the training trials of every "
        "session: label them alike, or set sessions.initialisation to trial_average or random."
    )


def session_averages(recording: Recording, kind: Kind, *, smoothing_ms: float) -> SessionAverages:
    """Of training trials, encoded units and encoded bins alone; missing entries are passed over.

    What is missing in all trials of a condition is the unit's mean.
    """
    split = _split(recording)
    train = split.trials("train")
    counts = recording.counts[train][:, : split.n_encoded_bins, split.is_encoded].astype(float)
    labels = (
        _labels(recording, train) if kind == "conditions" else np.full(len(train), "all trials")
    )
    names = tuple(np.unique(labels).tolist())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an entry that is missing in all trials
        means = np.stack([np.nanmean(counts[labels == name], axis=0) for name in names])
        smooth = smooth_over_time(means, smoothing_ms * 1e-3, bin_width_s=recording.bin_width_s)
        mean = np.nan_to_num(np.nanmean(smooth, axis=(0, 1)))
    return SessionAverages(
        session=recording.session,
        conditions=names,
        values=np.nan_to_num(smooth - mean),
        mean=mean,
        is_encoded=split.is_encoded,
    )


def _why_no_conditions(recordings: Sequence[Recording]) -> str | None:
    known: tuple[str, set[str]] | None = None
    for recording in recordings:
        if recording.condition is None:
            return f"{recording.session} has no conditions"
        own = set(_labels(recording, _split(recording).trials("train")).tolist())
        if known is not None and own != known[1]:
            odd = sorted(own ^ known[1])
            return (
                f"{known[0]} and {recording.session} differ in their conditions ({len(known[1])} "
                f"and {len(own)}; only one of them has {', '.join(odd[:3])})"
            )
        known = known or (recording.session, own)
    return None


def _labels(recording: Recording, positions: NDArray[np.int64]) -> NDArray[np.str_]:
    assert recording.condition is not None  # callers have looked
    return np.asarray(recording.condition[positions]).astype(np.str_)


def _split(recording: Recording) -> Split:
    if recording.split is None:
        raise DataError(f"{recording.session}: the recording carries no split; split it first.")
    return recording.split
