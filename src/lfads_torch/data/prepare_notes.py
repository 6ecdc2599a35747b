"""What `lfads prepare` did to a session, in words: what was left out, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lfads_torch.counted import counted
from lfads_torch.data.check.lengths import lengths_in_milliseconds
from lfads_torch.data.recording import Recording

__all__ = ["prepared_lines"]

LISTED = 8
Notes = Mapping[str, Any]  # JSON values, of provenance["prepared"]


def prepared_lines(recording: Recording) -> list[str]:
    """One line for each thing that the counts do not show by themselves."""
    notes = recording.provenance.get("prepared")
    if notes is None:
        return []
    return [
        *_signals(notes),
        *_recorded(notes),
        *_left_out(notes),
        *_without_conditions(notes),
        *_short_stretches(recording, notes),
        *_missing(recording, notes),
        *_unobserved(notes),
        *_moved(recording, notes),
        *_too_long(recording),
        *_units_first(recording),
    ]


def _recorded(notes: Notes) -> list[str]:
    words = notes.get("recorded")
    if words is None:
        return []
    by_spikes = "spike" in words
    lines = [
        f"recorded: {words}"
        + ("; say when it ran with --recorded BEGIN END if that is wrong" if by_spikes else "")
    ]
    of_signals = notes.get("recorded_signals")
    return lines if of_signals is None else [*lines, f"recorded, of signals: {of_signals}"]


def _signals(notes: Notes) -> list[str]:
    lines = []
    for each in notes.get("signals", ()):
        n_units, share = len(each["units"]), each["share_of_bins_without_sample"]
        line = (
            f"signals: {each['name']}, {counted(n_units, 'unit')} of "
            f"{each['observation']}, averages in bins of samples {each['sample_interval_s']:g} s "
            "apart"
        )
        if share:
            line += f"; {share:.1%} of bins have no sample and are missing"
        if each["sample_interval_s"] > 1.001 * notes["bin_width_s"]:  # rates come with rounding
            line += " (bins are narrower than samples are apart)"
        lines.append(line)
    return lines


def _left_out(notes: Notes) -> list[str]:
    left_out: Mapping[str, Sequence[Any]] = notes.get("left_out", {})
    if not left_out:
        return []
    n_left_out = sum(len(ids) for ids in left_out.values())
    lines = [f"left out: {n_left_out} of {counted(notes['n_trials_found'], 'trial')}"]
    return lines + [f"  {len(ids)} {why}: {_listed(ids)}" for why, ids in left_out.items()]


def _without_conditions(notes: Notes) -> list[str]:
    unfit: Mapping[str, int] = notes.get("conditions_of_another_size", {})
    lines = [
        f"conditions: {name!r} has {n} entries and there are "
        f"{counted(notes['n_trials_found'], 'trial')}, so "
        "it is left out; one label per trial is needed"
        for name, n in unfit.items()
    ]
    without = notes.get("trials_without_condition", ())
    if not without:
        return lines
    return [
        *lines,
        f"conditions: left out of all trials, for {len(without)} have none: {_listed(without)}; "
        "--condition NAME takes the trials that have one",
    ]


def _short_stretches(recording: Recording, notes: Notes) -> list[str]:
    n_bins = notes.get("n_bins_in_short_stretches", 0)
    if not n_bins:
        return []
    return [
        f"left out: {notes['n_short_stretches']} stretches between gaps, "
        f"{n_bins * recording.bin_width_s:g} s together, that are too short for a chop (--shortest)"
    ]


def _missing(recording: Recording, notes: Notes) -> list[str]:
    n_bins, lines = notes.get("n_missing_bins", 0), []
    if n_bins:
        trials = notes["trials_with_missing_bins"]
        share = n_bins / recording.bins_of_trials.sum()
        lines.append(
            f"missing: {counted(n_bins, 'bin')} ({share:.1%}) in which nothing was recorded, of "
            f"{counted(len(trials), 'trial')}: {_listed(trials)}"
        )
    if notes.get("n_bins_of_signals_alone"):
        lines.append(
            f"missing: {notes['n_bins_of_signals_alone']} bins of all units that spike, where "
            "signals alone were recorded"
        )
    if notes.get("n_spikes_in_missing_bins"):
        lines.append(
            f"missing: {notes['n_spikes_in_missing_bins']} spikes lie in bins that were not, or "
            "not wholly, recorded, and are left out with them"
        )
    return lines


def _unobserved(notes: Notes) -> list[str]:
    units = notes.get("units_with_unobserved_entries", ())
    if not units:
        return []
    return [
        f"missing: {notes['n_unobserved_entries']} bins of "
        f"{counted(len(units), 'unit')} that were not "
        f"observed all the time: {_listed(units)}"
    ]


def _moved(recording: Recording, notes: Notes) -> list[str]:
    lines = []
    moved = notes.get("largest_move_of_event_s", 0.0)
    if moved > 1e-6 * recording.bin_width_s:
        lines.append(f"moved: events go to the nearest edge of a bin, by up to {moved:g} s")
    start_moved = notes.get("move_of_session_start_s", 0.0)
    if start_moved > 1e-6 * recording.bin_width_s:
        lines.append(f"moved: chops begin at the next edge of a bin, {start_moved:g} s later")
    if notes.get("n_overlapping_trials"):
        lines.append(
            f"shared: {notes['n_overlapping_trials']} trials share time with an earlier one, which "
            "leaks from training to validation (--overlap drop, or a shorter window)"
        )
    return lines


def _too_long(recording: Recording) -> list[str]:
    found = lengths_in_milliseconds(recording)
    if found is None:
        return []
    return [
        f"warning: {found}; --window, --chop and --bin-width are in seconds (5 ms is 0.005), and "
        "so are the times in the file"
    ]


def _units_first(recording: Recording) -> list[str]:
    n_bins = recording.n_trials * recording.n_bins
    if recording.n_units <= n_bins:
        return []
    return [
        f"warning: {counted(recording.n_units, 'unit')} and only {counted(n_bins, 'bin')} in all "
        "trials; if the counts are [unit, bin] in the file, say --axes unit,bin"
    ]


def _listed(ids: Sequence[Any]) -> str:
    words = ", ".join(str(each) for each in ids[:LISTED])
    return words + (f" and {len(ids) - LISTED} more" if len(ids) > LISTED else "")
