"""Memory that a step frees stays with the process until training ends, for the next step."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["freed_memory_kept"]

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # names of the parameters in the C library's malloc.h
_KEPT_UP_TO, _USUAL = 2**31 - 1, 32 * 2**20


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Within, the C library keeps what is freed; at the end all goes back to the system.

    A step frees and asks for the same large arrays again and again. By default the GNU C library
    returns arrays of more than 32 MB at once, and the system clears every page when it is touched
    anew: a fifth of a step of eight members. Other systems are left as they are.
    """
    library = _gnu_library()
    if library is None:
        yield
        return
    library.mallopt(_MMAP_THRESHOLD, _KEPT_UP_TO)
    library.mallopt(_TRIM_THRESHOLD, _KEPT_UP_TO)
    try:
        yield
    finally:
        library.mallopt(_MMAP_THRESHOLD, _USUAL)
        library.mallopt(_TRIM_THRESHOLD, _USUAL)
        library.malloc_trim(ctypes.c_size_t(0))


def _gnu_library() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    is_gnu = hasattr(library, "mallopt") and hasattr(library, "malloc_trim")
    return library if is_gnu else None
