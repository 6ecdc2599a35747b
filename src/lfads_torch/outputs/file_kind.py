"""What a file is, told from its first bytes and never from its name; nothing in it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lfads_torch.errors import FormatError

__all__ = ["HDF5_SIGNATURE", "found_kind", "hdf5_attributes", "is_hdf5", "is_safetensors"]

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
SIGNATURES = (
    (
        b"PK\x03\x04",
        "a zip archive (npz, xlsx, a PyTorch file: `lfads import` takes lfads-torch's)",
    ),
    (b"\x93NUMPY", "a NumPy array file"),
    (b"MATLAB 5.0", "a MATLAB file"),
    (b"\x89PNG", "a PNG image"),
    (b"%PDF", "a PDF document"),
    (b"CDF", "a netCDF 3 file"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"<!DOCTYPE", "an HTML page"),
    (b"<html", "an HTML page"),
)
# A pickle opens with its protocol: \x80 and a number from 2 to 5.
PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))


def found_kind(path: Path) -> str:
    """What was found at a path, in words for an error message."""
    start = first_bytes(path)
    if not start:
        return "an empty file"
    if start.startswith(PICKLES):
        return "a pickle, which is never loaded because it can run code"
    if is_hdf5(path):
        return _hdf5_kind(path)
    if is_safetensors(path):
        return "a safetensors file"
    for signature, kind in SIGNATURES:
        if start.startswith(signature):
            return kind
    return "a text file" if _is_text(start) else "a binary file of a kind not known here"


def first_bytes(path: Path, length: int = 512) -> bytes:
    """The start of a file; FormatError when there is none or it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(length)
    except FileNotFoundError as error:
        raise FormatError(f"{path}: there is no such file. Check the spelling.") from error
    except (IsADirectoryError, PermissionError) as error:
        what = "is a folder" if path.is_dir() else "cannot be opened: no permission"
        raise FormatError(f"{path}: {what}; a file that can be read is needed.") from error
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error}).") from error


def is_hdf5(path: Path) -> bool:
    """Whether an HDF5 signature stands at the start or after a user block (as in MATLAB 7.3)."""
    with path.open("rb") as file:
        for offset in (0, 512, 1024, 2048):
            file.seek(offset)
            if file.read(len(HDF5_SIGNATURE)) == HDF5_SIGNATURE:
                return True
    return False


def is_safetensors(path: Path) -> bool:
    """Whether the file opens with the length of a JSON header that fits in it."""
    start = first_bytes(path, 9)
    length = int.from_bytes(start[:8], "little")
    return len(start) == 9 and start[8:] == b"{" and 2 <= length <= path.stat().st_size - 8


def hdf5_attributes(path: Path) -> dict[str, Any]:  # values as h5py gives them
    """Attributes of an HDF5 file's root, text as str; {} for a file of another kind."""
    first_bytes(path)
    if not is_hdf5(path):
        return {}
    import h5py

    try:
        with h5py.File(path, "r") as file:
            return {name: _plain(value) for name, value in file.attrs.items()}
    except (OSError, RuntimeError, KeyError) as error:
        raise FormatError(
            f"{path}: an HDF5 file that cannot be read ({error}). It is truncated or damaged: "
            "copy it again, or write it again."
        ) from error


def _hdf5_kind(path: Path) -> str:
    import h5py

    attributes = hdf5_attributes(path)
    if "format" in attributes:
        return f"an HDF5 file with the format {attributes['format']!r}"
    with h5py.File(path, "r") as file:
        names = sorted(file)
    shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return f"an HDF5 file with {shown}" if names else "an empty HDF5 file"


def _plain(value: Any) -> Any:  # an attribute: text, bytes, a NumPy scalar or array
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if hasattr(value, "tolist"):
        # netCDF keeps every number as an array of one.
        return value.item() if value.size == 1 else value.tolist()
    return str(value) if type(value).__module__ == "h5py" else value


def _is_text(start: bytes) -> bool:
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return error.start > len(start) - 4  # a letter cut in two at the end
    return b"\x00" not in start
