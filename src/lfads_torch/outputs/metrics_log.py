"""The history of a run: one line of JSON per epoch in `metrics.jsonl`.

Lines are only ever added, so that a run can be watched while it trains. A line torn by a kill in
the middle of writing is passed over when reading and cut off before the next line is added.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lfads_torch.atomic import atomic_path, output_error
from lfads_torch.errors import RunError
from lfads_torch.outputs.json_text import json_text

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["MetricsLog"]

Row = dict[str, Any]  # JSON values: "epoch" and "step" numbers, terms lists over members


@dataclass(frozen=True)
class MetricsLog:
    """`metrics.jsonl` of one run; `path` need not exist yet."""

    path: Path

    def append(self, row: Mapping[str, object]) -> None:
        """Add one line. Non-finite numbers become `null`; if the disk is full nothing is added.

        The line survives a kill of the process. A failure of the machine may cost the last
        lines, which a resumed run writes again.
        """
        line = (json_text(row) + "\n").encode()
        try:
            descriptor = os.open(
                self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666
            )
            with open(descriptor, "r+b", buffering=0) as file:
                end = _end_of_whole_lines(file)
                file.truncate(end)
                file.seek(end)
                try:
                    _write_all(file, line)
                except OSError:
                    file.truncate(end)
                    raise
        except OSError as error:
            raise output_error(self.path, error) from error

    def read(self) -> list[Row]:
        """All rows, oldest first; a torn last line is left out, no file means no rows."""
        try:
            text = self.path.read_bytes()
        except FileNotFoundError:
            return []
        *lines, _torn = text.split(b"\n")
        return [self._row(line, number) for number, line in enumerate(lines, start=1)]

    def columns(self) -> dict[str, NDArray[np.float64]]:
        """Each quantity over epochs, [epoch] or [epoch, member], NaN where a row has `null`.

        A quantity that some rows lack is NaN there; what is not numeric is left out.
        """
        import numpy as np

        rows = self.read()
        names = list(dict.fromkeys(name for row in rows for name in row))
        columns = {}
        for name in names:
            width = max((len(v) for row in rows if isinstance(v := row.get(name), list)), default=0)
            empty = [None] * width if width else None
            try:
                values = np.array([row.get(name, empty) for row in rows], dtype=np.float64)
            except (TypeError, ValueError):
                continue
            columns[name] = values
        return columns

    def truncate_after(self, epoch: int) -> None:
        """Keep the rows up to and with `epoch`, as a run resumed from there needs it; atomic."""
        rows = self.read()
        if not self.path.exists():
            return
        with atomic_path(self.path) as part, part.open("wb") as file:
            for row in rows:
                if row["epoch"] <= epoch:
                    file.write((json_text(row) + "\n").encode())

    def _row(self, line: bytes, number: int) -> Row:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or not isinstance(row.get("epoch"), int):
            raise RunError(
                f"{self.path}, line {number}: {line[:60].decode(errors='replace')!r} is not a row "
                "of metrics; a JSON object with a whole number `epoch` is needed. The file was "
                "changed or the disk is damaged: restore it, or remove that line."
            )
        return row


def _end_of_whole_lines(file: Any) -> int:  # an unbuffered binary file, io.FileIO
    """Position after the last line feed; searched backwards, so that a long file costs nothing."""
    end = int(file.seek(0, os.SEEK_END))
    while end > 0:
        start = max(0, end - 4096)
        file.seek(start)
        found = file.read(end - start).rfind(b"\n")
        if found >= 0:
            return start + int(found) + 1
        end = start
    return 0


def _write_all(file: Any, line: bytes) -> None:  # io.FileIO, which may write a part only
    while line:
        line = line[file.write(line) :]
