"""Memory of this machine that a process may still take."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["USABLE_SHARE", "allowed_bytes", "free_bytes"]

USABLE_SHARE = 0.6  # of what is free: estimates are right within a factor, and others live here
_MEMORY = Path("/proc/meminfo")


def free_bytes() -> int | None:
    """What is free or can be freed at once, such as copies of files; None where nobody says."""
    available = _said_by_linux()
    if available is not None:
        return available
    names = getattr(os, "sysconf_names", {})  # Windows has none
    if "SC_AVPHYS_PAGES" not in names or "SC_PAGE_SIZE" not in names:
        return None
    return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))


def allowed_bytes(memory_gb: float) -> float | None:
    """What may be taken: `memory_gb`, or for 0 a share of what is free; None: not known."""
    if memory_gb:
        return memory_gb * 1e9
    free = free_bytes()
    return None if free is None else USABLE_SHARE * free


def _said_by_linux() -> int | None:
    if not _MEMORY.is_file():
        return None
    for line in _MEMORY.read_text(encoding="ascii").splitlines():
        name, _, amount = line.partition(":")
        if name == "MemAvailable":
            return int(amount.split()[0]) * 1024
    return None
