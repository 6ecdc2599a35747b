"""Trials that stay in their HDF5 file and are read when they are needed.

Axes: `B` trial, `L` bin, `N` unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.data.formats.hdf5_arrays import open_hdf5
from lfads_torch.errors import DataError

__all__ = ["FileState", "Piece", "TrialsInFile", "in_file", "in_memory", "native_type"]

BYTES_OF_BLOCK = 2**25
_CHUNK_CACHE_BYTES = 2**26


@dataclass(frozen=True, kw_only=True)
class Piece:
    """One dataset [B, L, N] of a file. What it lacks beside others in bins and units is NaN."""

    name: str | None  # None: the file has none of these trials, which are NaN
    shape: tuple[int, int, int]
    divisors: tuple[float, ...] = ()  # values are divided by these, one after the other


@dataclass(frozen=True, kw_only=True)
class FileState:
    """What tells that a file was written anew or put in the place of another.

    The device is left out: a network folder that is mounted again may have another number.
    """

    inode: int
    n_bytes: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> FileState:
        found = path.stat()
        return cls(inode=found.st_ino, n_bytes=found.st_size, changed_ns=found.st_mtime_ns)


@dataclass(frozen=True, kw_only=True)
class TrialsInFile:
    """An array [B, L, N] whose values are read from a file, as far as they are asked for.

    Indexing with slices, masks or positions of an axis gives another one and reads nothing; one
    trial, by its number, is read. `np.asarray` and `astype` read what is left of it, in sorted
    runs of trials, and raise DataError where that is more than `most_bytes`. The file is opened
    for every reading, so that no process holds it; one that is not the same any more is refused.
    """

    path: Path
    pieces: tuple[Piece, ...]  # joined along trials
    dtype: np.dtype[Any]
    trials: NDArray[np.int64]  # [B], positions among the joined trials
    bins: NDArray[np.int64]  # [L]
    units: NDArray[np.int64]  # [N]
    most_bytes: float
    reason: str  # why the values stay in the file, for the log
    state: FileState  # of the file when its sizes were read

    @property
    def shape(self) -> tuple[int, int, int]:
        return len(self.trials), len(self.bins), len(self.units)

    @property
    def ndim(self) -> int:
        return 3

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.trials)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        """Trial by trial, [L, N]; read in blocks."""
        for block in self.blocks():
            yield from block

    def __getitem__(self, key: Any) -> Any:  # of one trial an array, else a TrialsInFile
        keys = key if isinstance(key, tuple) else (key,)
        if any(each is Ellipsis for each in keys):
            place = next(n for n, each in enumerate(keys) if each is Ellipsis)
            keys = (*keys[:place], *[slice(None)] * (4 - len(keys)), *keys[place + 1 :])
        if len(keys) > 3 or any(np.ndim(each) > 1 for each in keys if not isinstance(each, slice)):
            raise DataError(f"{self.path}: {self._whole()} {_TO_DO}")
        if isinstance(keys[0], int | np.integer):
            trial = self._taken("trials", [int(keys[0])])
            return np.asarray(trial)[0][keys[1:]] if len(keys) > 1 else np.asarray(trial)[0]
        found = self
        for name, each in zip(("trials", "bins", "units"), keys, strict=False):
            found = found._taken(name, each)
        return found

    def __array__(
        self, dtype: np.dtype[Any] | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        if copy is False:
            raise ValueError("values in a file cannot be had without a copy")
        values = self._read()
        return values if dtype is None else values.astype(dtype, copy=False)

    def astype(self, dtype: Any, **_: Any) -> NDArray[Any]:  # as NumPy's
        return self._read().astype(dtype, copy=False)

    def blocks(self, n_trials: int = 0) -> Iterator[NDArray[Any]]:
        """All trials in order, so many at once; 0: about 32 MiB."""
        size = n_trials or max(1, BYTES_OF_BLOCK // max(self.nbytes // max(len(self), 1), 1))
        for start in range(0, len(self), size):
            yield self[start : start + size]._read(is_limited=False)

    def _taken(self, name: str, chosen: Any) -> TrialsInFile:
        return replace(self, **{name: getattr(self, name)[chosen]})

    def _read(self, *, is_limited: bool = True) -> NDArray[Any]:
        if is_limited and self.nbytes > self.most_bytes:
            raise DataError(f"{self.path}: {self._whole()} {_TO_DO}")
        order = np.argsort(self.trials, kind="stable")
        values = np.empty(self.shape, dtype=self.dtype)
        first = 0
        self._require_same_file()
        with open_hdf5(self.path, rdcc_nbytes=_CHUNK_CACHE_BYTES) as file:
            for piece in self.pieces:
                inside = order[
                    (self.trials[order] >= first) & (self.trials[order] < first + piece.shape[0])
                ]
                wanted = self.trials[inside] - first
                for places, run in _runs(inside, wanted):
                    if piece.name is None:
                        values[places] = np.nan
                    else:
                        values[places] = self._cut(_loaded(file[piece.name], piece, run), piece)
                first += piece.shape[0]
        self._require_same_file()  # what was read while another program wrote is no use
        return values

    def _require_same_file(self) -> None:
        try:
            is_same = FileState.of(self.path) == self.state
        except OSError as error:
            raise DataError(
                f"{self.path}: the file cannot be reached any more ({error.strerror}), and its "
                "counts are read by trial. Put it back, and start again or go on with `lfads "
                "resume`."
            ) from error
        if not is_same:
            raise DataError(
                f"{self.path}: the file has changed since it was first read, and its counts are "
                "read by trial: what comes of it would mix two recordings. Leave the file as it "
                "is while it is used; start again, or put the old one back and go on with "
                "`lfads resume`."
            )

    def _cut(self, values: NDArray[Any], piece: Piece) -> NDArray[Any]:
        """Bins and units of whole trials; NaN where the piece has none."""
        n_bins = max(self.bins.max(initial=-1) + 1, piece.shape[1])
        n_units = max(self.units.max(initial=-1) + 1, piece.shape[2])
        if (n_bins, n_units) != piece.shape[1:]:
            wider = np.full((len(values), n_bins, n_units), np.nan, dtype=self.dtype)
            wider[:, : piece.shape[1], : piece.shape[2]] = values
            values = wider
        if len(self.bins) < n_bins or (np.diff(self.bins) != 1).any():
            values = values[:, self.bins]
        if len(self.units) < n_units or (np.diff(self.units) != 1).any():
            values = values[:, :, self.units]
        return values

    def _whole(self) -> str:
        needed, most = self.nbytes / 1e9, self.most_bytes / 1e9
        return (
            f"this needs {len(self)} trials in memory at once ({needed:.3g} GB; {most:.3g} GB may "
            f"be taken), but they are read by trial: {self.reason}."
        )


_TO_DO = (
    "Allow more (run.memory_gb), or read all of it (data.read_by=memory), take fewer trials, or "
    "leave out what needs them together (docs/continuous.md, Recordings larger than memory)."
)


def native_type(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """This machine's byte order, which torch needs; floats as single or double."""
    if dtype.kind == "f" and dtype.itemsize not in (4, 8):
        return np.dtype(np.float32 if dtype.itemsize < 4 else np.float64)
    return dtype.newbyteorder("=")


def in_file(values: object) -> TrialsInFile | None:
    """Values that stay in their file; None for an array."""
    return values if isinstance(values, TrialsInFile) else None


def in_memory(values: Any) -> Any:  # an array, values in a file, or None
    """The values as an array, read where they are in a file."""
    found = in_file(values)
    return values if found is None else np.asarray(found)


def _runs(
    places: NDArray[np.int64], wanted: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Sorted positions cut where they do not follow each other."""
    ends = np.flatnonzero(np.diff(wanted) != 1) + 1
    for run, of_run in zip(np.split(places, ends), np.split(wanted, ends), strict=True):
        if len(run):
            yield run, of_run


def _loaded(dataset: Any, piece: Piece, run: NDArray[np.int64]) -> NDArray[Any]:  # of h5py
    values = np.asarray(dataset[int(run[0]) : int(run[-1]) + 1])
    values = values.astype(native_type(values.dtype), copy=False)
    for divisor in piece.divisors:
        values = values / divisor
    return values
