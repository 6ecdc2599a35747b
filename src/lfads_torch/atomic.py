"""Files that appear whole or not at all, and failures to write told in one sentence.

A file is written under a temporary name beside its target, flushed to the disk and renamed; until
then an older file of that name stays as it was, also when the process is killed.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lfads_torch.errors import LfadsError, OutputError

__all__ = [
    "atomic_path",
    "output_error",
    "require_writable_folder",
    "require_writable_place",
    "write_bytes",
    "write_text",
]

PART_SUFFIX = ".part"
MIB = 2**20
DAY_S = 86400.0

# errno -> what was found, what to do
REMEDIES: dict[int, tuple[str, str]] = {
    errno.ENOSPC: (
        "there is no space left on the disk",
        "Free some space, or write to a folder on another disk.",
    ),
    errno.EACCES: (
        "there is no permission to write there",
        "Choose a folder of your own, or have its permissions changed; on Windows also close "
        "every program that has the file open.",
    ),
    errno.EROFS: (
        "the file system there is read-only",
        "Choose a folder on a disk that can be written to.",
    ),
    errno.ENOENT: (
        "its folder does not exist",
        "Check the spelling, or make the folder first.",
    ),
    errno.ENOTDIR: (
        "a part of the path is a file, not a folder",
        "Choose a path whose folders are folders.",
    ),
    errno.EISDIR: (
        "a folder of that name exists",
        "Choose the name of a file, for example one inside that folder.",
    ),
    errno.EFBIG: (
        "the file grew larger than the file system or your limit (`ulimit -f`) allows",
        "Write to another disk, or raise the limit.",
    ),
    errno.ENAMETOOLONG: ("the name is too long", "Choose a shorter name."),
    errno.EIO: ("the disk or the network drive failed", "Choose a folder on another disk."),
}
SAME_REMEDY = {
    errno.EPERM: errno.EACCES,
    errno.EDQUOT if hasattr(errno, "EDQUOT") else errno.ENOSPC: errno.ENOSPC,
}


def output_error(target: Path, error: BaseException) -> OutputError:
    """The error for a user: the path, why it could not be written, and what to do."""
    number = _errno_of(error)
    number = SAME_REMEDY.get(number, number)
    found, remedy = REMEDIES.get(
        number, (str(error) or type(error).__name__, "Choose another folder or disk.")
    )
    if number == errno.ENOSPC:
        found += _free_space_text(target)
    return OutputError(
        f"{target}: cannot be written, {found}. {remedy} Nothing half-written is left."
    )


@contextmanager
def atomic_path(target: str | os.PathLike[str], *, has_one_writer: bool = False) -> Iterator[Path]:
    """A temporary path beside `target` to write to; it takes the target's place at the end.

    On an exception the temporary file is removed and the target stays as it was; a failure to
    write becomes an OutputError, any other exception passes. A symbolic link is followed, so
    that the file it names is replaced and not the link. What a killed process left of the same
    target goes after a day; with `has_one_writer` (a lock keeps all others out) at once.
    """
    shown = Path(target)
    final = Path(os.path.realpath(shown))
    _require_file_name(shown, final)
    _remove_leftovers(final, older_than_s=0.0 if has_one_writer else DAY_S)
    part = _part_path(final)
    try:
        yield part
        _flush_to_disk(part)
        _replace(part, final)
        _flush_folder(final.parent)
    except Exception as error:
        if _is_about(error, part, final):
            raise output_error(shown, error) from error
        raise
    finally:
        _remove_if_there(part)


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file whole or not at all, with line feeds on every system."""
    with atomic_path(target) as part, part.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def write_bytes(target: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Write a binary file whole or not at all."""
    with atomic_path(target) as part, part.open("wb") as file:
        file.write(content)


def require_writable_folder(folder: str | os.PathLike[str], *, create: bool = False) -> Path:
    """Check, by writing, that files can be made in a folder; with `create` make it first."""
    path = Path(folder)
    try:
        if create:
            path.mkdir(parents=True, exist_ok=True)
        probe = path / f".writable-{secrets.token_hex(4)}{PART_SUFFIX}"
        try:
            probe.write_bytes(b"1")
        finally:
            _remove_if_there(probe)
    except FileExistsError as error:
        raise output_error(path, NotADirectoryError(errno.ENOTDIR, "")) from error
    except OSError as error:
        raise output_error(path, error) from error
    return path


def require_writable_place(target: str | os.PathLike[str]) -> None:
    """Check before computing that a file can be written there; a folder that lacks is made."""
    shown = Path(target)
    final = Path(os.path.realpath(shown))
    if final.exists():
        _require_file_name(shown, final)
    require_writable_folder(final.parent, create=True)


def _errno_of(error: BaseException) -> int:
    """HDF5 (errors of any class) and safetensors tell the number only inside their message."""
    number = getattr(error, "errno", None)
    if isinstance(number, int):
        return number
    told = re.search(r"(?:errno = |os error )(\d+)", str(error))
    return int(told.group(1)) if told else 0


def _is_about(error: Exception, part: Path, final: Path) -> bool:
    """Whether a failure concerns this output; the body may also have failed to read an input."""
    if isinstance(error, LfadsError):
        return False
    named = getattr(error, "filename", None)
    if named is not None:
        return str(named) in (str(part), str(final), str(final.parent))
    return _errno_of(error) != 0


def _require_file_name(shown: Path, final: Path) -> None:
    if final.is_dir():
        raise output_error(shown, IsADirectoryError(errno.EISDIR, ""))
    if not final.parent.is_dir():
        above_is_file = any(parent.is_file() for parent in final.parents)
        raise output_error(shown, OSError(errno.ENOTDIR if above_is_file else errno.ENOENT, ""))
    if final.exists() and not final.is_file():
        raise OutputError(
            f"{shown}: cannot be written, it is a device or a pipe and not a file. "
            "Choose the name of a file."
        )


def _part_path(final: Path) -> Path:
    # The target's suffix comes last, for libraries that look at it or append their own.
    stem = final.name[:100]
    name = f".{stem}.{os.getpid()}-{secrets.token_hex(4)}{PART_SUFFIX}{final.suffix}"
    return final.with_name(name)


def _remove_leftovers(final: Path, *, older_than_s: float) -> None:
    """Remove what a killed process left of the same target, once it has this age."""
    pattern = re.compile(
        rf"\.{re.escape(final.name[:100])}\.\d+-[0-9a-f]{{8}}{PART_SUFFIX}{re.escape(final.suffix)}"
    )
    try:
        # Age decides, not the process number: the folder may be shared between machines.
        old = [
            entry.path
            for entry in os.scandir(final.parent)
            if pattern.fullmatch(entry.name) and time.time() - entry.stat().st_mtime >= older_than_s
        ]
    except OSError:
        return
    for path in old:
        _remove_if_there(Path(path))


def _flush_to_disk(path: Path) -> None:
    with path.open("r+b") as file:  # Windows flushes only what is open for writing
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder, and records the rename itself
        return
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems refuse it; the rename has happened all the same
    finally:
        os.close(descriptor)


def _replace(part: Path, final: Path, *, attempts: int = 20) -> None:
    for attempt in range(attempts):
        try:
            os.replace(part, final)
            return
        except PermissionError:
            # On Windows a virus scanner or a reader may hold the target for a moment.
            if os.name != "nt" or attempt + 1 == attempts:
                raise
            time.sleep(0.05)


def _remove_if_there(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # the first failure is the one to report


def _free_bytes(path: Path) -> int | None:
    for folder in (path, *path.absolute().parents):
        if folder.is_dir():
            try:
                return shutil.disk_usage(folder).free
            except OSError:
                return None
    return None


def _free_space_text(path: Path) -> str:
    free = _free_bytes(path)
    return "" if free is None else f" ({free / MIB:,.0f} MiB free)"
