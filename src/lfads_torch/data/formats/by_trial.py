"""Whether a file's counts are read whole or stay in it, and what stands for them there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.formats.base import ReadOptions
from lfads_torch.data.free_memory import allowed_bytes
from lfads_torch.data.trials_in_file import FileState, Piece, TrialsInFile, native_type

__all__ = ["trials_in_file", "why_by_trial"]

BYTES_ON_DEVICE = 4  # of each count beside the file's own type, as a fit holds them
LEAST_BYTES = 2**27  # that may be read at once however little is allowed: blocks of statistics
_LARGE_READ = 2**22  # bytes of the file that are unpacked to have one trial


def why_by_trial(
    options: ReadOptions,
    n_values: int,
    n_bytes: int,
    *,
    trials_per_chunk: int,
    bytes_per_trial: int,
) -> str | None:
    """Why counts stay in the file, in words; None where they are read whole.

    `n_bytes` are those of counts, and of what is as large beside them, in memory; the file packs
    `trials_per_chunk` into one chunk, each of `bytes_per_trial`.
    """
    if options.read_by == "memory":
        return None
    allowed = allowed_bytes(options.memory_gb)
    needed = n_bytes + BYTES_ON_DEVICE * n_values
    said = None
    if options.read_by == "trial":
        said = "data.read_by=trial"
    elif allowed is not None and needed > allowed:
        whose = "run.memory_gb allows" if options.memory_gb else "60 % of the free memory is"
        said = f"whole they would take {needed / 1e9:.3g} GB, and {whose} {allowed / 1e9:.3g} GB"
    if (
        said is not None
        and trials_per_chunk > 1
        and trials_per_chunk * bytes_per_trial > _LARGE_READ
    ):
        said += (
            f" (the file packs {trials_per_chunk} trials into one chunk, so that reading one reads "
            "all of them: slow; h5repack with chunks of whole trials mends it)"
        )
    return said


def trials_in_file(
    path: Path,
    pieces: Sequence[Piece],
    dtypes: Sequence[np.dtype[Any]],
    *,
    options: ReadOptions,
    reason: str,
    extent: tuple[int, int] | None = None,
) -> NDArray[Any]:
    """All trials of these datasets, joined, in the type that reading them whole would give.

    `extent`: bins and units of the whole; None: of the largest dataset.
    """
    longest = extent or tuple(max(piece.shape[axis] for piece in pieces) for axis in (1, 2))
    kinds = [native_type(dtype) for dtype in dtypes]
    if any(piece.shape[1:] != longest for piece in pieces):
        kinds.append(np.dtype(np.float32))  # of what is missing
    if any(piece.divisors for piece in pieces):
        kinds.append(np.dtype(np.float64))
    allowed = allowed_bytes(options.memory_gb)
    found = TrialsInFile(
        path=path.resolve(),  # the working folder may change before it is read
        pieces=tuple(pieces),
        dtype=np.result_type(*kinds),
        trials=np.arange(sum(piece.shape[0] for piece in pieces)),
        bins=np.arange(longest[0]),
        units=np.arange(longest[1]),
        most_bytes=np.inf if allowed is None else max(allowed, LEAST_BYTES),
        reason=reason,
        state=FileState.of(path),
    )
    # It reads like an array to everything that goes by blocks of trials; the rest is refused.
    return cast("NDArray[Any]", found)
