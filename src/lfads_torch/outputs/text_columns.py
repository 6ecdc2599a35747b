"""Columns of text files: numbers as text, and a file in stretches of its first axis."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

__all__ = ["beside", "blocks_of", "texts"]

BLOCK_BYTES = 2**25


def beside(path: Path) -> Path:
    """Where the lines of factors go, beside those of rates."""
    return path.with_name(f"{path.stem}_factors{path.suffix or '.csv'}")


def blocks_of(n_rows: int, n_bytes: int) -> Iterator[slice]:
    """Stretches of the first axis that take about 32 MiB each."""
    step = max(1, int(n_rows * BLOCK_BYTES / max(1, n_bytes)))
    return (slice(start, min(n_rows, start + step)) for start in range(0, n_rows, step))


def texts(values: NDArray[Any]) -> list[str]:
    """Numbers with as many digits as their type has; NaN as an empty field."""
    if values.dtype.kind != "f":
        return [str(value) for value in values.tolist()]
    digits = 9 if values.dtype.itemsize <= 4 else 15
    return ["" if value != value else f"{value:.{digits}g}" for value in values.tolist()]
