"""What a fit would take from a file that others wrote, and what it must be told."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lfads_torch.counted import counted
from lfads_torch.data.check.axes import check_axes
from lfads_torch.data.check.context import CheckContext, CheckRequirements
from lfads_torch.data.check.statistics import count_statistics
from lfads_torch.data.formats.assemble import (
    bin_width_in,
    counts_in,
    recording_from_stored,
)
from lfads_torch.data.formats.axes import in_our_order
from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.formats.choose import reader_name
from lfads_torch.data.formats.containers import open_stored
from lfads_torch.data.formats.stored import StoredArrays, below
from lfads_torch.data.recording import Recording
from lfads_torch.errors import LfadsError

__all__ = ["outlook"]

GENERAL = {"arrays", "matlab"}  # readers that must find out what an array is
MOST_VALUES = 100_000_000  # of a file of which more than the names and shapes is read
SESSION_COUNTS = ("counts", "spikes", "spike_counts")


def outlook(path: Path) -> dict[str, str]:
    """Texts by name: counts, bin width, labels and the rest; or why it can't be read.

    The file is read as a fit reads it that is told nothing, unless it is very large.
    """
    try:
        reader = reader_name(path)
        if reader not in GENERAL:
            return {"reader": f"{reader}, which knows what each array is"}
        with open_stored(path) as stored:
            n_values = sum(int(np.prod(each.shape)) for each in stored.arrays.values())
            if n_values > MOST_VALUES:
                return {
                    "nothing_yet": f"{n_values:,} values are more than this listing reads "
                    f"({MOST_VALUES:,}); `lfads check {path}` reads them and says what it takes"
                }
            return _of_session(stored) or _of_trials(in_our_order(stored, None), reader)
    except LfadsError as error:
        return {"nothing_yet": str(error).removeprefix(f"{path}: ")}


def _of_session(stored: StoredArrays) -> dict[str, str]:
    """Of spike times or counts without trials; {} where there are trials."""
    has_times = any(
        name == "spike_times" or below(name, "spike_times") is not None for name in stored.arrays
    )
    two_axes = [n for n in SESSION_COUNTS if n in stored.arrays and _n_axes(stored, n) == 2]
    if not has_times and not two_axes:
        return {}
    events = [n for n in stored.arrays if n == "event_times" or below(n, "event_times") is not None]
    found = {
        "session": "spike times"
        if has_times
        else f"counts {two_axes[0]} {list(stored.arrays[two_axes[0]].shape)} as [bin, unit]; "
        "--axes unit,bin if they are [unit, bin]",
        "events": ", ".join(events) or "none of a name that is known; --event NAME, or --chop",
        "next": f"lfads prepare {stored.path} --out TRIALS.h5 --bin-width SECONDS, and either "
        "--event NAME --window BEGIN END or --chop SECONDS",
    }
    if not has_times:
        width = stored.scalar("bin_width_s")
        missing = "not in the file: --source-bin-width SECONDS"
        found["bin_width_s"] = missing if width is None else f"{width:g}"
    return found


def _n_axes(stored: StoredArrays, name: str) -> int:
    return len(stored.arrays[name].shape)


def _of_trials(stored: StoredArrays, reader: str) -> dict[str, str]:
    name, reason = counts_in(stored, ReadOptions())
    width = bin_width_in(stored, name)
    recording = recording_from_stored(
        stored, ReadOptions(bin_width_s=1.0 if width is None else None), reader
    )
    n_trials, n_bins, n_units = recording.counts.shape
    sizes = f"{counted(n_trials, 'trial')}, {counted(n_bins, 'bin')}, {counted(n_units, 'unit')}"
    return {
        "counts": f"{name}: {sizes} ({reason}); --counts NAME, --axes for another order",
        "bin_width_s": "not in the file: --bin-width SECONDS" if width is None else f"{width:g}",
        **_axes(recording),
        **_labels(stored, recording, name),
        "behaviour": _or_none([*recording.behaviour], "--behaviour"),
        "external_inputs": _or_none(
            [] if recording.external_inputs is None else ["external_inputs"], "--external-inputs"
        ),
        "left_aside": ", ".join(_left_aside(stored, recording, name)) or "nothing",
    }


def _axes(recording: Recording) -> dict[str, str]:
    """A warning where the order of the axes looks wrong."""
    context = CheckContext(
        recording=recording,
        statistics=count_statistics(recording.counts),
        requirements=CheckRequirements(),
        split=None,
    )
    said = [f"{each.message} {each.remedy}" for each in check_axes(context)]
    return {"axes": said[0]} if said else {}


def _labels(stored: StoredArrays, recording: Recording, counts: str) -> dict[str, str]:
    """Condition and ids, and which arrays have the length to be them."""
    of_trials = ", ".join(_lists(stored, recording.n_trials, counts))
    of_units = ", ".join(_lists(stored, recording.n_units, counts))
    fits = {
        "trial": f" (one entry per trial: {of_trials})" if of_trials else "",
        "unit": f" (one entry per unit: {of_units})" if of_units else "",
    }
    condition = recording.condition
    return {
        "condition": f"none: --condition NAME{fits['trial']}"
        if condition is None
        else counted(len(np.unique(condition)), "label"),
        **{
            f"{kind}_ids": f"{kind}_ids"
            if f"{kind}_ids" in stored.arrays
            else f"0 to {n - 1}: --{kind}-ids NAME{fits[kind]}"
            for kind, n in (("trial", recording.n_trials), ("unit", recording.n_units))
        },
    }


def _lists(stored: StoredArrays, length: int, counts: str) -> list[str]:
    """Arrays that are a list of this length."""
    return [
        name
        for name, array in stored.arrays.items()
        if name != counts and array.kind != "unreadable"
        if int(np.prod(array.shape)) == length and sum(n != 1 for n in array.shape) <= 1
    ]


def _or_none(names: list[str], option: str) -> str:
    return ", ".join(names) or f"none: {option} NAME"


def _left_aside(stored: StoredArrays, recording: Recording, counts: str) -> list[str]:
    """Arrays of three axes or unreadable ones, of which nothing is taken."""
    taken = {counts, "external_inputs", *recording.behaviour}
    return [
        array.described()
        for name, array in stored.arrays.items()
        if name not in taken and (len(array.shape) >= 2 or array.kind == "unreadable")
    ]
