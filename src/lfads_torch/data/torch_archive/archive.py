"""A file that `torch.save` has written since PyTorch 1.6: a zip with one pickle and raw numbers.

`PREFIX/data.pkl` describes the content, `PREFIX/data/KEY` holds the numbers of each storage,
`PREFIX/byteorder` says how (little endian where it is missing). Older files are one pickle after
another and are refused, for where their numbers lie is known only to who runs them.
"""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lfads_torch.data.torch_archive.pickle_machine import PickleError, read_pickle
from lfads_torch.data.torch_archive.stored_tensor import StoredTensor, size_of
from lfads_torch.errors import FormatError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["TorchArchive", "open_archive"]

_PICKLE, _BYTE_ORDER = "data.pkl", "byteorder"
_LARGEST_PICKLE = 64 * 2**20
_BROKEN = (OSError, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError)


@dataclass(frozen=True)
class TorchArchive:
    """The content of a file: `value` holds records (see `records.py`) in place of objects."""

    path: Path
    prefix: str
    is_big_endian: bool
    value: Any  # any value of a pickle
    names: Counter[str]  # every name that the pickle holds, and how often

    def array(self, tensor: StoredTensor) -> NDArray[Any]:
        """The numbers of a tensor, as a copy; bfloat16 as float32. Raises FormatError.

        Only what the tensor spans is read, after its place has been checked against the file.
        """
        n_spanned = self._checked_span(tensor)
        content = self._read(tensor, n_spanned)
        stored = _numbers(content, tensor.kind, is_big_endian=self.is_big_endian)
        if 0 in tensor.shape:
            return np.zeros(tensor.shape, stored.dtype)
        strides = [each * stored.itemsize for each in tensor.stride]
        seen = np.lib.stride_tricks.as_strided(stored, tensor.shape, strides, writeable=False)
        return seen.copy()

    def _checked_span(self, tensor: StoredTensor) -> int:
        """Numbers from the tensor's first to its last one."""
        n = 1
        for size in tensor.shape:
            n *= size
        if n == 0:
            return 0
        span = sum(
            (size - 1) * step for size, step in zip(tensor.shape, tensor.stride, strict=True)
        )
        if tensor.offset + span + 1 > tensor.n_stored or n > tensor.n_stored:
            raise FormatError(
                f"{self.path}: a tensor of shape {tensor.shape} needs more numbers than its "
                f"storage has ({tensor.n_stored}). The file is damaged or was changed: copy it "
                "again."
            )
        return span + 1

    def _read(self, tensor: StoredTensor, n_spanned: int) -> bytes:
        size, name = size_of(tensor.kind), f"{self.prefix}data/{tensor.key}"
        if n_spanned == 0:
            return b""
        try:
            with zipfile.ZipFile(self.path) as file:
                entry = file.getinfo(name)
                if entry.compress_type != zipfile.ZIP_STORED:
                    raise FormatError(
                        f"{self.path}: {name} is compressed, which torch.save never does. Give "
                        "the file as it was written."
                    )
                with file.open(entry) as stored:
                    stored.seek(tensor.offset * size)
                    content = stored.read(n_spanned * size)
        except KeyError:
            raise FormatError(
                f"{self.path}: the numbers {name} are missing; the file is incomplete. Copy it "
                "again."
            ) from None
        except _BROKEN as error:
            raise _damaged(self.path, error) from error
        if len(content) < n_spanned * size:
            raise _damaged(self.path, f"{name} holds {len(content)} bytes too few")
        return content


def open_archive(path: Path) -> TorchArchive:
    """Read what the file describes; no code in it is run. Raises FormatError."""
    _need_zip(path)
    try:
        with zipfile.ZipFile(path) as file:
            names = file.namelist()
            prefix = _prefix(names)
            if prefix is None:
                raise FormatError(
                    f"{path}: is a zip without {_PICKLE}; torch.save has not written it. Needed "
                    "is a checkpoint (.ckpt) of lfads-torch."
                )
            if any(name.startswith(f"{prefix}code/") for name in names):
                raise FormatError(
                    f"{path}: holds a compiled program (TorchScript), whose weights have other "
                    "names. Give the checkpoint (.ckpt) that training has written."
                )
            pickle = _bounded(file, prefix + _PICKLE, path)
            has_order = prefix + _BYTE_ORDER in names
            order = file.open(prefix + _BYTE_ORDER).read(16) if has_order else b"little"
    except _BROKEN as error:
        raise _damaged(path, error) from error
    try:
        content = read_pickle(pickle)
    except PickleError as error:
        raise _damaged(path, f"its description {_PICKLE}: {error}") from error
    return TorchArchive(path, prefix, order.strip() == b"big", content.value, content.names)


def _bounded(file: zipfile.ZipFile, name: str, path: Path) -> bytes:
    with file.open(name) as stored:
        content = stored.read(_LARGEST_PICKLE + 1)
    if len(content) > _LARGEST_PICKLE:
        raise FormatError(
            f"{path}: its description {_PICKLE} has more than {_LARGEST_PICKLE // 2**20} MiB; that "
            "of a checkpoint has some hundred kB. The file was changed, or is of another kind."
        )
    return content


def _prefix(names: list[str]) -> str | None:
    """The folder within the zip that holds everything; None where there is no such pickle."""
    found = [name for name in names if name == _PICKLE or name.endswith(f"/{_PICKLE}")]
    return min(found, key=len).removesuffix(_PICKLE) if found else None


def _numbers(content: bytes, kind: str, *, is_big_endian: bool) -> NDArray[Any]:
    order: Literal[">", "<"] = ">" if is_big_endian else "<"
    if kind == "bfloat16":
        # The upper half of a float32.
        upper = np.frombuffer(content, np.dtype(np.uint16).newbyteorder(order)).astype(np.uint32)
        return (upper << np.uint32(16)).view(np.float32)
    stored = np.frombuffer(content, np.dtype(kind).newbyteorder(order))
    return stored.astype(stored.dtype.newbyteorder("="))


def _need_zip(path: Path) -> None:
    if path.is_dir():
        raise FormatError(f"{path}: is a folder; the path of one checkpoint (.ckpt) is needed.")
    try:
        with path.open("rb") as file:
            head = file.read(2)
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror}). Check the path.") from error
    if head.startswith(b"\x80"):
        raise FormatError(
            f"{path}: is a bare pickle, as torch.save wrote it before PyTorch 1.6; its numbers "
            "cannot be found without running it, so it is not read. Where you trust it, load it "
            "with that PyTorch and save it again with a newer one: torch.save writes a zip then."
        )
    if head != b"PK":
        raise FormatError(
            f"{path}: is no file of torch.save. Needed is a checkpoint (.ckpt) of lfads-torch."
        )


def _damaged(path: Path, error: object) -> FormatError:
    return FormatError(
        f"{path}: cannot be read ({error}). The file is damaged or incomplete: copy it again."
    )
