"""The arrays of an npz or npy file. Pickled objects in it are never loaded."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path

import numpy as np

from lfads_torch.data.formats.stored import StoredArray, StoredArrays, stored_numpy
from lfads_torch.errors import FormatError

__all__ = ["stored_npy", "stored_npz"]

PICKLED = "it holds pickled Python objects, which can run code when loaded and so never are"
BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError)


def stored_npz(path: Path) -> StoredArrays:
    """Every array of the archive; those with pickled objects are listed as unreadable."""
    arrays: dict[str, StoredArray] = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in archive.files:
                arrays[name] = _member(path, archive, name)
    except BROKEN as error:
        raise FormatError(
            f"{path}: the npz archive is damaged or cut short ({error}). Copy or write it again."
        ) from error
    return StoredArrays(path=path, arrays=arrays)


def stored_npy(path: Path) -> StoredArrays:
    """The one array of the file, under the name "array"."""
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        if "allow_pickle" in str(error):
            raise FormatError(
                f"{path}: {PICKLED}. Save an array of numbers [trial, bin, unit]."
            ) from None
        raise FormatError(
            f"{path}: the npy file is damaged or cut short ({error}). Copy or write it again."
        ) from error
    return StoredArrays(path=path, arrays={"array": stored_numpy("array", values)})


def _member(path: Path, archive: np.lib.npyio.NpzFile, name: str) -> StoredArray:
    try:
        values: object = archive[name]
    except ValueError as error:
        if "allow_pickle" not in str(error):
            raise FormatError(
                f"{path}: array {name!r} is damaged ({error}). Write the file again."
            ) from error
        return StoredArray(
            name=name,
            shape=(),
            kind="unreadable",
            type_name="object",
            load=lambda: [],
            note=f"{PICKLED}. Save one array of numbers or text; fill shorter "
            "trials with NaN, and give spike times as one list, spike_times, with the unit of each "
            "in spike_units",
        )
    if not isinstance(values, np.ndarray):  # a member of the zip that is no array comes as bytes
        return StoredArray(
            name=name,
            shape=(),
            kind="unreadable",
            type_name="bytes",
            load=lambda: [],
            note="it is no array",
        )
    return stored_numpy(name, values)
