"""Whether other work ran on the machine beside a timing, which then says little.

A thread that shares its core waits for it, and finds its caches emptied: the first shows in times
of the clock alone, the second in processor time too. So what the processors did for anything but
this process and those it started is measured over the timed part, in cores. Linux alone tells.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

__all__ = ["OtherWork", "add_option", "require_quiet"]

MOST_CORES = 0.15  # what a desktop at rest stays below
_PROC = Path("/proc")
_NOT_BUSY = {3, 4, 8, 9}  # idle, waiting for a disk; guests, who are in user and nice already


@dataclass(frozen=True)
class OtherWork:
    """A measurement under way; `begin` starts it."""

    clock_s: float
    busy_s: float | None  # None: this system does not tell
    own_s: float

    @classmethod
    def begin(cls) -> OtherWork:
        return cls(time.perf_counter(), _busy_s(), _own_s())

    def cores(self) -> float | None:
        """That others held on average until now; None where the system does not tell."""
        now = OtherWork.begin()
        if self.busy_s is None or now.busy_s is None:
            return None
        others = now.busy_s - self.busy_s - (now.own_s - self.own_s)
        return round(max(others, 0.0) / (now.clock_s - self.clock_s), 2)


def add_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--although-loaded", action="store_true",
        help="time beside other work too; the result says how much there was",
    )  # fmt: skip


def require_quiet(*, allowed: bool, cores: float | None = None, seconds: float = 2.0) -> None:
    """End the program where others held more than `MOST_CORES`, unless that is allowed.

    Without `cores`, of a timed part, it looks at the machine for some seconds: before one begins.
    """
    if allowed:
        return
    if cores is None:
        watch = OtherWork.begin()
        time.sleep(seconds)
        cores = watch.cores()
    if cores is not None and cores > MOST_CORES:
        sys.exit(
            f"other work holds {cores:g} cores of this machine ({MOST_CORES:g} are allowed), so "
            "that times would say little and nothing is written. End it, or add --although-loaded."
        )


def _busy_s() -> float | None:
    """Seconds that all processors have worked, with what a hypervisor took from them."""
    try:
        first = (_PROC / "stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
    except OSError:
        return None
    busy = sum(int(ticks) for n, ticks in enumerate(first) if n not in _NOT_BUSY)
    return busy / os.sysconf("SC_CLK_TCK")


def _own_s() -> float:
    """Seconds of this process and all below it, with those that have ended."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for path in _PROC.glob("[0-9]*/stat"):
        try:
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has ended meanwhile
        parents[int(path.parent.name)] = int(fields[1])
        ticks[int(path.parent.name)] = sum(map(int, fields[11:15]))
    return sum(ticks[each] for each in ticks if _is_ours(each, parents)) / os.sysconf("SC_CLK_TCK")


def _is_ours(process: int, parents: dict[int, int]) -> bool:
    while process > 1:
        if process == os.getpid():
            return True
        process = parents.get(process, 0)
    return False
