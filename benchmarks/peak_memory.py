"""The largest memory that this process has held."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

__all__ = ["begin_anew", "peak_mb"]

_STATUS = Path("/proc/self/status")
_FORGET = Path("/proc/self/clear_refs")


def peak_mb() -> float:
    """In MB of 10^6 bytes.

    Linux's own figure where there is one, for `getrusage` of a new program begins with the memory
    of the process that started it.
    """
    if _STATUS.exists():
        lines = _STATUS.read_text().splitlines()
        (line,) = (line for line in lines if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024e-6
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size * (1e-6 if sys.platform == "darwin" else 1024e-6)


def begin_anew() -> None:
    """Forget the peak so far, where Linux lets a process do so."""
    if _FORGET.exists():
        _FORGET.write_text("5")  # proc(5): the peak becomes the present size
