"""`leave_one_out.json`: sessions left out of their model in turn, beside their runs' folders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lfads_torch.atomic import write_text
from lfads_torch.errors import FormatError, RunError
from lfads_torch.outputs.json_text import json_text, plain

__all__ = ["LEFT_OUT", "WAITING", "LeftOut", "LeftOutRecord", "read_left_out", "write_left_out"]

LEFT_OUT = "leave_one_out.json"
FORMAT, FORMAT_VERSION = "lfads-torch leave-one-out", 1
WAITING = "waiting"  # of a session whose runs are not all there


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """One session: the runs that it takes, and its scores once they are there."""

    session: str
    runs: Mapping[str, str]  # without, added and, if asked for, alone -> folder beside the file
    status: str = WAITING
    reason: str | None = None  # why it failed or was interrupted
    updates: Mapping[str, int] = field(default_factory=dict)  # of each of these runs
    set: str | None = None  # trials that the scores are of
    scores: tuple[Mapping[str, Any], ...] = ()  # name, unit, added, and what it is compared with


@dataclass(frozen=True, kw_only=True)
class LeftOutRecord:
    """All sessions that are left out in turn, and their scores together."""

    command: tuple[str, ...] = ()
    run: str | None = None  # the run of all sessions; None: files were given
    n_trials: int | None = None  # few-shot
    # settings, added_overrides, read_options and splits (a hash per session); empty: not stored
    begun_with: Mapping[str, Any] = field(default_factory=dict)
    sessions: tuple[LeftOut, ...] = ()
    pooled: tuple[Mapping[str, Any], ...] = ()  # as `scores`; empty until all are finished

    def having(self, n: int, **values: object) -> LeftOutRecord:
        """With these values of the n-th session."""
        sessions = list(self.sessions)
        sessions[n] = replace(sessions[n], **values)  # type: ignore[arg-type]  # the caller's names
        return replace(self, sessions=tuple(sessions))


def write_left_out(path: Path, record: LeftOutRecord) -> None:
    """Write the file whole or not at all."""
    heading = {"format": FORMAT, "format_version": FORMAT_VERSION}
    write_text(path, json_text({**heading, **plain(record)}, indent=2) + "\n")


def read_left_out(path: Path) -> LeftOutRecord:
    """The record. Raises RunError where it is damaged, FormatError where it is newer."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}")
        if content["format_version"] > FORMAT_VERSION:
            raise FormatError(
                f"{path}: format_version is {content['format_version']}; this lfads-torch reads "
                f"{FORMAT_VERSION}. Update lfads-torch to read a newer one."
            )
        return LeftOutRecord(
            command=tuple(content["command"]),
            run=content["run"],
            n_trials=content["n_trials"],
            begun_with=dict(content.get("begun_with", {})),
            sessions=tuple(
                LeftOut(**{**each, "scores": tuple(each["scores"])}) for each in content["sessions"]
            ),
            pooled=tuple(content["pooled"]),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise RunError(
            f"{path}: cannot be read ({error}); the record of sessions left out is needed. The "
            "file was changed or the disk is damaged: restore it from a copy."
        ) from error
