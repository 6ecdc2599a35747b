"""One process per run folder: a lock file that says who trains there.

The file holds process, computer and start, and is touched every 20 s. On the same computer a lock
is stale when its process is gone; on another one (a cluster's shared disk) when it has not been
touched for 2 minutes, told by the clock of that disk and not by ours.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from lfads_torch.atomic import PART_SUFFIX, output_error
from lfads_torch.errors import RunError

__all__ = ["LockHolder", "hold_lock", "living_holder"]

BEAT_S = 20.0
STALE_AFTER_S = 120.0


@dataclass(frozen=True)
class LockHolder:
    """Who holds a lock.

    `process_start` tells a process from a later one of the same number, `process_space` one
    container from another of the same computer; both are None where Linux's /proc is not.
    """

    pid: int
    host: str
    token: str
    process_start: str | None = None
    process_space: str | None = None


@contextmanager
def hold_lock(path: Path, *, wait_s: float = 0.0) -> Iterator[None]:
    """Hold the lock file `path` while the body runs.

    Raises RunError when another living process holds it, after waiting up to `wait_s` seconds for
    it to end or to go stale (a job that a cluster starts again elsewhere wants about 150 s).
    """
    mine = _this_process()
    deadline = time.monotonic() + wait_s
    while (holder := _try_to_take(path, mine)) is not None:
        if time.monotonic() >= deadline:
            raise RunError(_held_message(path, holder))
        time.sleep(min(1.0, max(0.05, wait_s)))
    ended = threading.Event()
    beat = threading.Thread(target=_keep_fresh, args=(path, ended), daemon=True)
    beat.start()
    try:
        yield
    finally:
        ended.set()
        beat.join()
        if _read(path) == mine:
            path.unlink(missing_ok=True)


def living_holder(path: Path) -> LockHolder | None:
    """Who holds the lock now; None when nobody does or the lock is stale."""
    holder = _read(path)
    return None if holder is None or _is_stale(path, holder) else holder


def _this_process() -> LockHolder:
    pid = os.getpid()
    return LockHolder(
        pid, socket.gethostname(), secrets.token_hex(8), _start_of(pid), _process_space()
    )


def _try_to_take(path: Path, mine: LockHolder) -> LockHolder | None:
    """None when the lock is ours now, else who holds it."""
    try:
        _write_new(path, mine)
        return None
    except FileExistsError:
        pass
    except OSError as error:
        raise output_error(path, error) from error
    holder = _read(path) or LockHolder(0, "", "")
    if not _is_stale(path, holder) or not _remove_stale(path, holder):
        return holder
    return _try_to_take(path, mine)


def _write_new(path: Path, holder: LockHolder) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(holder), file)
    except OSError:
        path.unlink(missing_ok=True)
        raise


def _read(path: Path) -> LockHolder | None:
    """None when there is no lock or it is not readable (yet)."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return LockHolder(
            int(content["pid"]),
            str(content["host"]),
            str(content["token"]),
            content.get("process_start"),
            content.get("process_space"),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _is_stale(path: Path, holder: LockHolder) -> bool:
    if (holder.host, holder.process_space) == (socket.gethostname(), _process_space()):
        return not _is_alive(holder)
    return _age_s(path) > STALE_AFTER_S


def _remove_stale(path: Path, holder: LockHolder) -> bool:
    """Remove a stale lock unless another process has just replaced it by its own."""
    aside = path.with_name(f".{path.name}-{secrets.token_hex(4)}{PART_SUFFIX}")
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    moved = _read(aside)
    if moved is not None and moved != holder:
        # Two processes met at the same stale lock: the other one was quicker, give it back.
        if not path.exists():
            os.rename(aside, path)
        return False
    aside.unlink(missing_ok=True)
    return True


def _age_s(path: Path) -> float:
    probe = path.with_name(f".{path.name}-{secrets.token_hex(4)}{PART_SUFFIX}")
    try:
        probe.write_bytes(b"")
        now = probe.stat().st_mtime
        return now - path.stat().st_mtime
    except FileNotFoundError:
        return float("inf")
    except OSError:
        return 0.0
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def _keep_fresh(path: Path, ended: threading.Event) -> None:
    while not ended.wait(BEAT_S):
        try:
            os.utime(path)
        except OSError:
            continue  # a network drive may be away for a moment


def _is_alive(holder: LockHolder) -> bool:
    if not _process_exists(holder.pid):
        return False
    start = _start_of(holder.pid)
    return holder.process_start is None or start is None or start == holder.process_start


def _process_exists(pid: int) -> bool:
    if pid <= 0:
        return False
    if os.name == "nt":
        return _process_exists_on_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # it exists and belongs to somebody else
    return True


def _process_exists_on_windows(pid: int) -> bool:
    # os.kill would end the process there.
    import ctypes

    query_limited_information, still_active = 0x1000, 259
    kernel = ctypes.windll.kernel32  # type: ignore[attr-defined]  # exists on Windows only
    handle = kernel.OpenProcess(query_limited_information, False, pid)
    if not handle:
        access_denied = 5
        return bool(kernel.GetLastError() == access_denied)
    code = ctypes.c_ulong()
    known = kernel.GetExitCodeProcess(handle, ctypes.byref(code))
    kernel.CloseHandle(handle)
    return not known or code.value == still_active


def _start_of(pid: int) -> str | None:
    """Boot of the computer and start of the process in clock ticks; "ended" for a zombie."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    state, *rest = line.rpartition(")")[2].split()  # the name may hold blanks and brackets
    return "ended" if state in "ZX" else f"{boot}-{rest[18]}"


def _process_space() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return None


def _held_message(path: Path, holder: LockHolder) -> str:
    who = f"process {holder.pid} on {holder.host}" if holder.pid else "another process"
    return (
        f"{path.parent}: {who} is training into this run folder. Wait for it to end, or choose "
        "another folder (--out; run_folder in Python). If it is surely gone, delete "
        f"{path.name!r} in that folder."
    )
