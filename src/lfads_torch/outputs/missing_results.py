"""Which of the results that come after training a run lacks, and why they could not be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from lfads_torch.errors import LfadsError
from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import FINISHED
from lfads_torch.plugin_fault import failure_reason

__all__ = ["WRITTEN_LAST", "missing_results", "noting_faults", "results_command"]

WRITTEN_LAST = ("rates.nc", "scores.json", "report.html")  # each is made from those before it
_JOINT = ("scores.json", "report.html")


def missing_results(run: RunFolder) -> tuple[str, ...]:
    """Which of the results a run, or any of its sessions, lacks."""
    sessions = run.read_record().sessions.values()
    names = [f"{place}/{name}" for place in sessions for name in WRITTEN_LAST]
    names += _JOINT if sessions else WRITTEN_LAST
    return tuple(name for name in names if not (run.path / name).is_file())


def results_command(run: RunFolder) -> str:
    """What writes the results that a run lacks, or failed to write; "" where there are none."""
    record = run.read_record()
    if record.status != FINISHED:
        return ""
    is_needed = missing_results(run) or record.results_error
    return f"lfads report {run.path}" if is_needed else ""


@contextmanager
def noting_faults(run: RunFolder) -> Iterator[None]:
    """Around the writing of results: the record says why it failed, until it has succeeded."""
    try:
        yield
    except BaseException as error:  # Ctrl-C and a full disk too leave results unwritten
        with suppress(LfadsError, OSError):
            _note(run, _reason(error))
        raise
    _note(run, None)


def _reason(error: BaseException) -> str:
    if isinstance(error, LfadsError):
        return str(error)
    return "stopped" if isinstance(error, KeyboardInterrupt | SystemExit) else failure_reason(error)


def _note(run: RunFolder, reason: str | None) -> None:
    record = run.read_record()
    if record.results_error != reason:
        run.write_record(replace(record, results_error=reason))
