"""What files of arrays hold that are no netCDF: exports of rates, and .npz and .mat of others."""

from __future__ import annotations

import json
import zipfile
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lfads_torch.data.formats.outlook import outlook
from lfads_torch.errors import FormatError
from lfads_torch.outputs.file_kind import first_bytes

__all__ = ["ORIGIN", "describe_arrays"]

Description = dict[str, Any]  # JSON values
ORIGIN = "what lfads-torch does not write; `lfads check` says what is unusual in its counts"
_UNREADABLE = (RuntimeError, NotImplementedError)  # what zipfile says of these


def describe_arrays(path: Path) -> Description | None:
    """Names, shapes and types of the arrays; of an export also its attributes. None: another kind.

    Headers alone are read, and nothing pickled.
    """
    start = first_bytes(path, 2**16)
    if start.startswith(b"PK\x03\x04"):
        return _npz(path)
    if start.startswith(b"MATLAB 5.0"):
        return _mat(path)
    if start.startswith(b"\x93NUMPY"):
        return _npy(path)
    return _csv(path, start)


def _npz(path: Path) -> Description | None:
    contents: dict[str, str] = {}
    attributes: dict[str, Any] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
            if not names:  # a zip archive of another kind, such as a PyTorch file
                return None
            for name in names:
                with archive.open(name) as member:
                    contents[name.removesuffix(".npy")] = _npy_header(member)
        if contents.get("attributes", "").endswith("text"):
            with np.load(path, allow_pickle=False) as opened:
                attributes = _parsed(str(opened["attributes"]))
    except _UNREADABLE as error:
        raise FormatError(
            f"{path}: a zip archive with a password or a compression not known here ({error}). "
            "Write it anew without (np.savez)."
        ) from error
    except (OSError, ValueError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise FormatError(f"{path}: a damaged zip archive ({error}). Copy it again.") from error
    is_ours = str(attributes.get("format", "")).startswith("lfads-torch ")
    if not is_ours:
        return {"what": "NumPy archive", **_of_others(contents, path)}
    contents.pop("attributes")
    return {"what": "NumPy export of rates", **attributes, **_rest(contents, path)}


def _npy(path: Path) -> Description:
    try:
        with path.open("rb") as file:
            contents = {"array": _npy_header(file)}
    except (OSError, ValueError, EOFError) as error:
        raise FormatError(f"{path}: a damaged npy file ({error}). Copy it again.") from error
    return {"what": "NumPy array", **_of_others(contents, path)}


def _npy_header(member: Any) -> str:  # a binary file
    version = np.lib.format.read_magic(member)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(member)
    if dtype.kind == "O":
        return f"{_shape(shape)} pickled objects, which are never loaded"
    return f"{_shape(shape)} {'text' if dtype.kind in 'SU' else dtype}"


def _mat(path: Path) -> Description:
    from scipy.io import loadmat, whosmat
    from scipy.io.matlab import MatReadError

    try:
        _need_whole_mat(path)
        found = {str(name): (shape, str(kind)) for name, shape, kind in whosmat(path)}
        is_ours = {"rates", "unit_id", "attributes"} <= found.keys()
        stored = (
            loadmat(path, variable_names=["attributes"], simplify_cells=True) if is_ours else {}
        )
    except (  # what scipy says of damaged files
        OSError, ValueError, TypeError, KeyError, NotImplementedError, MatReadError, zlib.error,
    ) as error:  # fmt: skip
        raise FormatError(f"{path}: a damaged MATLAB file ({error}). Copy it again.") from error
    contents = {
        name: f"{_shape(shape)} {'text' if kind == 'char' else kind}"
        for name, (shape, kind) in found.items()
    }
    if not is_ours:
        return {"what": "MATLAB file", **_of_others(contents, path)}
    contents.pop("attributes")
    attributes = {name: _plain(value) for name, value in dict(stored["attributes"]).items()}
    return {"what": "MATLAB export of rates", **attributes, **_rest(contents, path)}


def _need_whole_mat(path: Path) -> None:
    """Raise OSError where a variable is longer than the file: scipy lists it from its header."""
    size = path.stat().st_size
    with path.open("rb") as file:
        order: Literal["little", "big"] = "little" if file.read(128)[126:] == b"IM" else "big"
        place = 128
        while place < size:
            file.seek(place)
            tag = file.read(8)
            place += 8 + int.from_bytes(tag[4:], order)
            if len(tag) < 8 or place > size:
                raise OSError(f"it ends at byte {size}, in the middle of a variable")


def _csv(path: Path, start: bytes) -> Description | None:
    """Of `lfads export --to csv`: rates, or the factors beside them."""
    columns = start.split(b"\n", 1)[0].decode(errors="replace").strip().split(",")
    if "time" not in columns or not {"trial_id", "bin_set"} & set(columns):
        return None
    if not ({"unit_id", "rates"} <= set(columns) or "factor_0" in columns):
        return None
    with path.open("rb") as file:
        n_lines = sum(block.count(b"\n") for block in iter(lambda: file.read(2**20), b"")) - 1
    what = "rates" if "rates" in columns else "factors"
    return {
        "what": f"text export of {what}",
        "lines": n_lines,
        "columns": columns,
        "n_bytes": path.stat().st_size,
    }


def _of_others(contents: dict[str, str], path: Path) -> Description:
    return {"origin": ORIGIN, **_rest(contents, path), "a_fit_takes": outlook(path)}


def _rest(contents: dict[str, str], path: Path) -> Description:
    return {"contents": contents, "n_bytes": path.stat().st_size}


def _plain(value: Any) -> Any:  # as scipy gives it: text, a NumPy number or array
    return value.tolist() if hasattr(value, "tolist") else value


def _shape(shape: Any) -> str:  # of int
    return "[" + ", ".join(str(size) for size in shape) + "]"


def _parsed(text: str) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}
