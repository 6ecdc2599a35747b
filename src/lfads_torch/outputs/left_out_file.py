"""`leave_one_out.json`: sessions left out of their model in turn, beside their runs' folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lfads_torch.outputs.json_record import RecordFormat
from lfads_torch.outputs.typed_record import typed_record

__all__ = ["LEFT_OUT", "WAITING", "LeftOut", "LeftOutRecord", "read_left_out", "write_left_out"]

LEFT_OUT = "leave_one_out.json"
FORMAT = RecordFormat(name="lfads-torch leave-one-out", version=1, title="sessions left out")
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
    FORMAT.write(path, record)


def read_left_out(path: Path) -> LeftOutRecord:
    """The record. Raises RunError where it is damaged, FormatError where it is newer."""
    return FORMAT.read(path, lambda content: typed_record(LeftOutRecord, content))
