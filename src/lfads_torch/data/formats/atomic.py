"""Writing a file so that it is there whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from lfads_torch.errors import OutputError

__all__ = ["replace_file"]


def replace_file(path: Path, content: bytes | memoryview) -> None:
    """Write `content` beside the target under another name, flush it to the disk, rename it.

    A reader sees the old file or the new one, also after a crash. Any failure (full disk, folder
    that can't be written) gives OutputError, removes the temporary file and leaves an earlier
    file of that name as it was.
    """
    path = Path(path)
    partial = path.parent / f".{path.name}.{secrets.token_hex(4)}.partial"
    try:
        try:
            _write_through(partial, content)
            os.replace(partial, path)
        except BaseException:  # also Ctrl-C: nothing half-written stays, then it goes on its way
            with contextlib.suppress(OSError):
                partial.unlink()
            raise
        _flush_folder(path.parent)
    except OSError as error:
        raise OutputError(
            f"{path}: could not be written ({error.strerror or error}). {_remedy(path)} "
            "Nothing was left behind."
        ) from error


def _write_through(path: Path, content: bytes | memoryview) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    if os.name != "posix":  # Windows can't open a folder; its rename is durable by itself
        return
    with contextlib.suppress(OSError):  # some network file systems refuse it; the file is complete
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _remedy(path: Path) -> str:
    if path.is_dir():
        return "The path is a folder; give the name of a file."
    if not path.parent.exists():
        return f"The folder {path.parent} does not exist; create it first."
    if not path.parent.is_dir():
        return f"{path.parent} is not a folder."
    return "Free some space, or choose a folder where you may write."
