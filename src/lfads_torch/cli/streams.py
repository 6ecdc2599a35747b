"""What goes to stdout (results) and to stderr (everything said on the way)."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

__all__ = ["aligned", "print_json", "replace_unknown_characters", "say"]


def replace_unknown_characters() -> None:
    """Print `?` for what the terminal's encoding lacks, instead of ending with an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def say(text: str) -> None:
    """A line on stderr."""
    print(text, file=sys.stderr, flush=True)


def print_json(value: object) -> None:
    """Strict JSON on stdout: no NaN, records as objects."""
    from lfads_torch.outputs.json_text import json_text

    print(json_text(value, indent=2))


def aligned(rows: Sequence[Sequence[str]], *, gap: int = 2) -> str:
    """Rows of cells in columns of equal width; the last column is as long as it wants."""
    n_columns = max((len(row) for row in rows), default=0)
    widths = [
        max((len(row[n]) for row in rows if n < len(row)), default=0) for n in range(n_columns)
    ]
    lines = (
        (" " * gap).join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
