"""What a file is, by its first bytes; and the errors of files that can't be opened at all."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Literal

from lfads_torch.errors import FormatError

__all__ = ["FileKind", "file_kind", "need_readable_file", "what_cannot_be_read"]

FileKind = Literal[
    "hdf5", "matlab_hdf5", "matlab", "npz", "npy", "zip", "pickle", "text", "unknown"
]

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
HEAD_BYTES = 4096

WHAT_TO_DO = (
    "Readable are HDF5, npz, npy and MATLAB files; from Python give the array itself to "
    "recording_from_arrays or LFADS.fit."
)


def need_readable_file(path: Path) -> None:
    """Raise FormatError unless the path is a file that can be opened and is not empty."""
    if path.is_dir():
        raise FormatError(f"{path} is a folder; the path of one file is needed.{_run_hint(path)}")
    try:
        with path.open("rb") as file:
            is_empty = not file.read(1)
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file. {_neighbour_hint(path)}") from None
    except PermissionError:
        raise FormatError(
            f"{path}: permission denied. The file exists, but this user may not read it; "
            "change its permissions or copy it."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise FormatError(f"{path}: can't be opened ({error}). Check the path.") from None
    if is_empty:
        raise FormatError(f"{path}: the file is empty (0 bytes); write or copy it again.")


def file_kind(path: Path) -> FileKind:
    """The kind of a file from its content; the name plays no part."""
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if head.startswith(b"MATLAB 7.3 MAT-file"):
        return "matlab_hdf5"
    if head.startswith(b"MATLAB 5.0 MAT-file"):
        return "matlab"
    # HDF5 may start after a user block of 512, 1024, 2048, ... bytes.
    if any(head[at:].startswith(HDF5_SIGNATURE) for at in (0, 512, 1024, 2048)):
        return "hdf5"
    if head.startswith(b"\x93NUMPY"):
        return "npy"
    if head.startswith(b"PK"):
        return _kind_of_zip(path)
    if head[:1] == b"\x80" and head[1:2] in {b"\x02", b"\x03", b"\x04", b"\x05"}:
        return "pickle"
    return "text" if _is_text(head) else "unknown"


def what_cannot_be_read(path: Path, kind: FileKind) -> str:
    """A message for a file that no reader takes: what it is and what to do."""
    found = {
        "pickle": "is a Python pickle, whatever its name says. Pickles can run code when they are "
        "loaded, so they never are; load it yourself and save the arrays with numpy.savez.",
        "text": f"is a text file, not a recording. {WHAT_TO_DO}",
        "zip": "is a zip archive without NumPy arrays in it. If it is a checkpoint of lfads-torch, "
        f"`lfads import` takes it. {WHAT_TO_DO}",
        "unknown": f"is not of a known kind. {WHAT_TO_DO}",
    }
    return f"{path}: the file " + found.get(
        kind, f"has a layout that no reader knows. {WHAT_TO_DO}"
    )


def _kind_of_zip(path: Path) -> FileKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return "npz"  # a broken archive is far more often an npz; its reader explains what is wrong
    return "npz" if any(name.endswith(".npy") for name in names) else "zip"


def _is_text(head: bytes) -> bool:
    if b"\x00" in head:
        return False
    try:
        # The last character may be cut in the middle, which is no sign of binary content.
        head[: max(1, len(head) - 3)].decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _run_hint(path: Path) -> str:
    if (path / "run.json").exists():
        return " This one is a run; give the recording it was fitted to."
    return ""


def _neighbour_hint(path: Path) -> str:
    import difflib

    folder = path.parent
    if not folder.is_dir():
        return f"The folder {folder} does not exist either."
    close = difflib.get_close_matches(path.name, sorted(p.name for p in folder.iterdir()), n=1)
    return f"Did you mean {folder / close[0]}?" if close else "Check the path."
