"""The scores of a run as rows of a table.

`scores.json` holds them under `scores`: a list of mappings with `name`, `value`, and where known
`set`, `low`, `high`, `level`, `n_trials`, `unit`, `note`, `used_for_selection`. A mapping from
name to such a mapping, or to a number, is read too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["ScoreRow", "are_all_used_for_selection", "highlights", "score_rows"]

SET_NAMES = {"train": "train", "valid": "validation", "test": "test", "new": "new recording"}
_HEADINGS = ("format", "format_version", "version", "run", "set", "settings", "provenance")


@dataclass(frozen=True, kw_only=True)
class ScoreRow:
    """One score in words; the figures already rounded to what can be read from them."""

    name: str
    set_name: str
    value: str
    interval: str
    n_trials: str
    note: str
    used_for_selection: bool
    caution: str = ""  # the part of the note that goes wherever the value goes


def score_rows(scores: Mapping[str, Any]) -> list[ScoreRow]:  # JSON values of scores.json
    """A row per score, in the order of the file."""
    overall = scores.get("set")
    return [_row(name, entry, overall) for name, entry in _entries(scores)]


def highlights(rows: Sequence[ScoreRow], n_rows: int = 4) -> list[ScoreRow]:
    """The few to show on top: those of a set on which nothing was selected come first."""
    known = [row for row in rows if row.value != "-"]
    return sorted(known, key=lambda row: row.used_for_selection)[:n_rows]


def are_all_used_for_selection(rows: Sequence[ScoreRow]) -> bool:
    """Whether every score is of trials that chose the best epoch, so that once is enough."""
    known = [row for row in rows if row.value != "-"]
    return bool(known) and all(row.used_for_selection for row in known)


def _entries(scores: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    listed = scores.get("scores", scores)
    if isinstance(listed, Mapping):
        pairs = [(name, value) for name, value in listed.items() if name not in _HEADINGS]
    else:
        pairs = [(str(entry.get("name", "?")), entry) for entry in listed]
    for name, value in pairs:
        if isinstance(value, Mapping):
            if "value" in value:
                yield str(value.get("name", name)), value
            else:  # grouped, e.g. by set
                for inner, entry in value.items():
                    grouped = entry if isinstance(entry, Mapping) else {"value": entry}
                    if "value" in grouped:
                        yield inner, {"set": name if name in SET_NAMES else None, **grouped}
        elif value is None or isinstance(value, (int, float)):
            yield name, {"value": value}


def _row(name: str, entry: Mapping[str, Any], overall_set: Any) -> ScoreRow:
    set_name = str(entry.get("set") or overall_set or "not stated")
    is_selected = bool(entry.get("used_for_selection", set_name in ("valid", "validation")))
    low, high = _bounds(entry)
    level = float(entry.get("level", 0.95))
    interval = f"{_text(low)} to {_text(high)} ({level:.0%})" if low is not None else ""
    unit = str(entry.get("unit") or "")
    n_trials = entry.get("n_trials")
    return ScoreRow(
        name=name.replace("_", " "),
        set_name=SET_NAMES.get(set_name, set_name),
        value=f"{_text(entry.get('value'))} {unit}".strip(),
        interval=interval,
        n_trials="" if n_trials is None else str(n_trials),
        note=str(entry.get("note") or entry.get("reason") or ""),
        used_for_selection=is_selected,
        caution=str(entry.get("caution") or ""),
    )


def _bounds(entry: Mapping[str, Any]) -> tuple[Any, Any]:
    interval = entry.get("interval")
    if isinstance(interval, Mapping):
        return interval.get("low"), interval.get("high")
    if isinstance(interval, (list, tuple)) and len(interval) == 2:
        return interval[0], interval[1]
    return entry.get("low"), entry.get("high")


def _text(value: Any) -> str:  # a JSON number or null
    if value is None or not math.isfinite(float(value)):
        return "-"
    return f"{float(value):.4g}" if abs(float(value)) >= 100 else f"{float(value):.3f}"
