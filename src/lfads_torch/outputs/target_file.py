"""Where a command may write its file: not over what it reads, nor over a file of another kind.

What lies there is told by its content, never by its name; docs/formats.md has the layouts.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from lfads_torch.atomic import require_writable_place
from lfads_torch.data.formats.ours import FORMAT as RECORDING_FORMAT
from lfads_torch.data.split_file import FORMAT as SPLIT_FORMAT
from lfads_torch.errors import FormatError, LfadsError, OutputError
from lfads_torch.outputs.file_kind import first_bytes, found_kind, hdf5_attributes, is_hdf5
from lfads_torch.outputs.inspect import describe
from lfads_torch.outputs.merged_file import FORMAT as MERGED_FORMAT
from lfads_torch.outputs.rates_file import FORMAT as RATES_FORMAT

__all__ = [
    "EXPORTS", "FIGURE", "MERGED", "PREPARED", "RATES", "RECORDING", "SETTINGS", "SPLIT",
    "SYNTHETIC", "kind_at", "prepare_target",
]  # fmt: skip

RATES, MERGED = "rates file", "file of merged rates"
PREPARED, SYNTHETIC = "recording that was prepared", "synthetic recording"
RECORDING = "recording of lfads-torch"  # of any other origin
SPLIT, SETTINGS, FIGURE = "split file", "settings file", "picture"
EXPORTS = {"mat": "MATLAB export of rates", "npz": "NumPy export of rates",
           "csv": "text export of rates"}  # fmt: skip

_OURS = {RATES_FORMAT: RATES, MERGED_FORMAT: MERGED}


def prepare_target(target: Path, kind: str, *, inputs: Iterable[Path] = ()) -> Path:
    """Call before anything is computed: the target may be written, and its folder is there.

    `inputs` are the files that the command reads. An earlier file of the same `kind` may be
    replaced, and so may an empty file. OutputError says what else lies there, or why nothing can
    be written; a folder that is missing is made, unless an input is missing too.
    """
    sources = list(inputs)
    for source in sources:
        if _is_same(target, source):
            raise OutputError(
                f"{target}: is what this command reads, and would be lost. Nothing was written: "
                "name another file (--out)."
            )
    if target.is_file() and target.stat().st_size and (found := kind_at(target)) != kind:
        told = f"a {found}" if found else _told(target)
        raise OutputError(
            f"{target}: is there already and is {told}; only an earlier {kind} is replaced. "
            "Nothing was written: name another file (--out), or remove this one first."
        )
    if all(source.exists() for source in sources):  # else no folder is made for nothing
        require_writable_place(target)
    return target


def kind_at(path: Path) -> str:
    """Which kind of file that a command of ours writes lies here; "" for any other."""
    start = first_bytes(path, 1024)
    if is_hdf5(path):
        return _of_hdf5(path)
    if start.startswith(b"PK\x03\x04"):
        return EXPORTS["npz"] if _is_npz_export(path) else ""
    if start.startswith(b"MATLAB 5.0"):
        return EXPORTS["mat"] if _is_mat_export(path) else ""
    if start.startswith((b"\x89PNG", b"%PDF")) or b"<svg" in start or b"<!DOCTYPE svg" in start:
        return FIGURE
    if _is_csv_export(start):
        return EXPORTS["csv"]
    return _of_text(path)


def _told(path: Path) -> str:
    try:
        return found_kind(path)
    except FormatError:
        return "a file that cannot be read"


def _is_same(target: Path, source: Path) -> bool:
    try:
        return os.path.samefile(target, source)
    except OSError:  # one of them is not there
        return os.path.realpath(target) == os.path.realpath(source)


def _of_hdf5(path: Path) -> str:
    try:
        attributes = hdf5_attributes(path)
    except FormatError:  # damaged, and so nothing that may be taken for ours
        return ""
    kind = str(attributes.get("format", ""))
    if kind != RECORDING_FORMAT:
        return _OURS.get(kind, "")
    origin = _parsed(str(attributes.get("provenance", "")))
    if "prepared" in origin or "passed_through" in origin:
        return PREPARED
    return SYNTHETIC if origin.get("source") == "synthetic" else RECORDING


def _of_text(path: Path) -> str:
    try:
        what = describe(path)
    except LfadsError:
        return ""
    if what.get("format") == SPLIT_FORMAT:
        return SPLIT
    return SETTINGS if what["what"] == "settings" else ""


def _is_npz_export(path: Path) -> bool:
    try:
        with np.load(path, allow_pickle=False) as archive:
            attributes = archive["attributes"] if "attributes" in archive.files else None
            return attributes is not None and _parsed(str(attributes)).get("format") in _OURS
    except (OSError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error):
        return False


def _is_mat_export(path: Path) -> bool:
    from scipy.io import whosmat
    from scipy.io.matlab import MatReadError

    try:
        return {"rates", "unit_id", "attributes"} <= {str(name) for name, *_ in whosmat(path)}
    except (  # what scipy says of damaged files
        OSError, ValueError, TypeError, KeyError, NotImplementedError, MatReadError, zlib.error,
    ):  # fmt: skip
        return False


def _is_csv_export(start: bytes) -> bool:
    """The first lines of `lfads export --to csv`: of rates, or of factors."""
    names = start.split(b"\n", 1)[0].decode(errors="replace").strip().split(",")
    if "time" not in names or not {"trial_id", "bin_set"} & set(names):
        return False
    return {"unit_id", "rates"} <= set(names) or "factor_0" in names


def _parsed(text: str) -> dict[str, object]:
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
