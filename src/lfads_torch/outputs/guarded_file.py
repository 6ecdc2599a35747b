"""A file for HDF5 to write to that survives a full disk.

When a write fails, the HDF5 library (1.14 and 2.0) keeps the file's identifiers open and ends the
process with a segmentation fault at exit. So HDF5 writes through this object, which never fails:
from the first failure on it keeps the bytes in memory, and the writer, which looks at `failure`
after every step, stops and closes.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

__all__ = ["GuardedFile"]


class GuardedFile(io.RawIOBase):
    """A new binary file for `h5py.File` or `h5netcdf.File`; `failure` is the first failed write."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = path.open("w+b", buffering=0)
        self._position = 0
        self._end = 0
        self._kept: list[tuple[int, bytes]] = []  # offset, what the disk did not take
        self.failure: OSError | None = None

    def raise_failure(self) -> None:
        """Raise the first failure to write, if there was one."""
        if self.failure is not None:
            raise self.failure

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._end}[whence]
        self._position = start + offset
        return self._position

    def readinto(self, buffer: Any) -> int:  # a writable buffer of any kind
        view = memoryview(buffer).cast("B")
        length = max(0, min(len(view), self._end - self._position))
        view = view[:length]
        view[:] = bytes(length)
        self._file.seek(self._position)
        self._file.readinto(view)
        for offset, kept in self._kept:
            first = max(offset, self._position)
            last = min(offset + len(kept), self._position + length)
            if first < last:
                here = slice(first - self._position, last - self._position)
                view[here] = kept[first - offset : last - offset]
        self._position += length
        return length

    def write(self, content: Any) -> int:  # a buffer of any kind
        view = memoryview(content).cast("B")
        if self.failure is None:
            try:
                self._write_through(view)
            except OSError as error:
                self.failure = error
        if self.failure is not None:
            self._kept.append((self._position, bytes(view)))
        self._position += len(view)
        self._end = max(self._end, self._position)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        self._end = self._position if size is None else size
        if self.failure is None:
            try:
                self._file.truncate(self._end)
            except OSError as error:
                self.failure = error
        return self._end

    def close(self) -> None:
        if not self.closed:
            try:
                self._file.close()
            except OSError as error:
                self.failure = self.failure or error
        super().close()

    def _write_through(self, view: memoryview) -> None:
        self._file.seek(self._position)
        while len(view):
            view = view[self._file.write(view) :]
