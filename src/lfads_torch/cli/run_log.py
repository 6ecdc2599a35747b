"""`log.txt` of a run: what was said, each line with its time."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from lfads_torch.outputs.run_folder import RunFolder
from lfads_torch.outputs.run_record import now_text

__all__ = ["RunLog"]


class RunLog:
    """Appends lines to a run's log; keeps them back until the run is begun.

    What is said before training may be followed by a refusal, and the folder may then be another
    run's. A run that begins writes its `run.json` anew, which is how this is known.
    """

    def __init__(self, folder: Path) -> None:
        self._run = RunFolder(folder)
        self._before = self._mark()
        self._waiting: list[str] = []

    def write(self, text: str) -> None:
        """Add a line, now or as soon as the run is begun."""
        self._waiting.append(f"{now_text()} {text}\n")
        if self._mark() == self._before:
            return
        # The log is a convenience: a full disk stops the run where it matters, at its results.
        with suppress(OSError), self._run.log_path.open("a", encoding="utf-8") as file:
            file.writelines(self._waiting)
            self._waiting.clear()

    def _mark(self) -> tuple[int, int] | None:
        try:
            found = self._run.record_path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns
