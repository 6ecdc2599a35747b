"""`merged.nc`: what was inferred of the chops of a session, as signals of the whole session.

Axes: bin of the session, and unit, factor or whatever the signal has. It opens in xarray, h5py and
MATLAB; docs/formats.md fixes its schema.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from lfads_torch.atomic import atomic_path
from lfads_torch.data.chopping import Chops
from lfads_torch.data.merging import Merging, merge_blocks
from lfads_torch.errors import FormatError
from lfads_torch.outputs.file_kind import found_kind, hdf5_attributes
from lfads_torch.outputs.guarded_file import GuardedFile
from lfads_torch.outputs.rates_file import FORMAT as RATES_FORMAT

if TYPE_CHECKING:
    import h5netcdf
    import h5py
    import xarray

__all__ = ["FORMAT", "FORMAT_VERSION", "SessionBehaviour", "open_merged", "write_merged"]

FORMAT = "lfads-torch merged rates"
FORMAT_VERSION = 1
SIGNALS = (
    "rates", "rate_posterior_std", "rate_member_std", "factors", "inferred_input_mean",
    "inferred_input_std", "generator_states",
)  # fmt: skip
STD_COMMENT = " Merged as a weighted mean, which is an upper bound where chops overlap."
SET_COMMENT = (
    "Set of the chops that the bin comes from; where they differ, the first of train, valid, test, "
    "unused, new. Empty: no chop holds the bin."
)
SETS = ("train", "valid", "test", "unused", "new")  # what the model has seen most of comes first
CHUNK_BINS = 4096


@dataclass(frozen=True, kw_only=True)
class SessionBehaviour:
    """Behaviour of the chops, and of which of them it is."""

    signals: Mapping[str, NDArray[Any]] = field(default_factory=dict)  # name -> [B, L, D]
    units: Mapping[str, str] = field(default_factory=dict)
    first_bin: int = 0  # of a chop's behaviour, the bin at which its rates begin (`ic_bins`)


def write_merged(
    rates_path: Path,
    target: Path,
    *,
    ramp: Literal["linear", "smooth"] = "linear",
    behaviour: SessionBehaviour | None = None,
) -> Path:
    """Merge a rates file of chops; the file appears whole, or an older one stays as it was.

    Memory does not grow with the length of the session. Where chops overlap rates are weighted
    means of theirs, and so are factors, inputs and standard deviations. What is one per chop
    (initial conditions) stays in the rates file alone.
    """
    import h5netcdf
    import h5py

    _need_chops(rates_path)
    with h5py.File(rates_path, "r") as source, ExitStack() as stack:
        part = stack.enter_context(atomic_path(target))
        disk = GuardedFile(part)
        stack.callback(disk.close)
        with h5netcdf.File(disk, "w") as file:
            _write(file, source, ramp, behaviour or SessionBehaviour(), disk)
        disk.raise_failure()
    return target


def open_merged(path: str | os.PathLike[str]) -> xarray.Dataset:
    """A merged file as an xarray.Dataset, read lazily; close it, or use it in a `with` statement.

    `ds.rates` has the dimensions `time` (s on the session's clock) and `unit`.
    """
    import xarray

    attributes = hdf5_attributes(Path(path))
    if attributes.get("format") != FORMAT:
        raise FormatError(
            f"{path}: {found_kind(Path(path))}; a merged file of lfads-torch is needed, as "
            "`lfads merge` writes it."
        )
    if attributes.get("format_version") != FORMAT_VERSION:
        raise FormatError(
            f"{path}: format_version is {attributes.get('format_version')}; this lfads-torch reads "
            f"{FORMAT_VERSION}. Update lfads-torch to read a newer file."
        )
    return xarray.open_dataset(path, engine="h5netcdf")


def _need_chops(rates_path: Path) -> None:
    import h5py

    attributes = hdf5_attributes(rates_path)
    if attributes.get("format") != RATES_FORMAT:
        raise FormatError(
            f"{rates_path}: {found_kind(rates_path)}; a rates file of lfads-torch is needed, as "
            "`lfads infer` writes it."
        )
    with h5py.File(rates_path, "r") as file:
        if "session_bin" in file and "n_session_bins" in attributes:
            return
    raise FormatError(
        f"{rates_path}: its trials are not chops of a continuous session, so there is nothing to "
        "merge. `lfads prepare --chop SECONDS --overlap SECONDS` cuts a session into chops that "
        "remember where they come from."
    )


def _write(
    file: h5netcdf.File,
    source: h5py.File,
    ramp: Literal["linear", "smooth"],
    behaviour: SessionBehaviour,
    disk: GuardedFile,
) -> None:
    merging = _merging(source, ramp)
    n_bins = merging.chops.n_session_bins
    file.dimensions = {"time": n_bins, "unit": source["rates"].shape[2]}
    for name, value in source.attrs.items():
        if not name.startswith("_") and name not in ("format", "format_version"):
            file.attrs[name] = value
    file.attrs["format"], file.attrs["format_version"] = FORMAT, np.int64(FORMAT_VERSION)
    file.attrs["merged_with"] = ramp
    _write_labels(file, source, merging)
    for name in SIGNALS:
        if name not in source:
            continue
        stored = source[name]
        dimension = stored.dims[2][0].name.rsplit("/", 1)[-1]
        if dimension not in file.dimensions:
            file.dimensions[dimension] = stored.shape[2]
        attributes = {k: _text(stored.attrs[k]) for k in ("long_name", "units", "comment")
                      if k in stored.attrs}  # fmt: skip
        if name.endswith("_std"):
            attributes["comment"] = attributes.get("comment", "") + STD_COMMENT
        target = _declare(file, name, dimension, attributes)
        for first, block in merge_blocks(_reader(stored, merging), merging):
            target[first : first + len(block)] = block.astype(np.float32)
            disk.raise_failure()
    for name, values in behaviour.signals.items():
        file.dimensions[f"{name}_dimension"] = values.shape[2]
        units = {"units": behaviour.units[name]} if name in behaviour.units else {}
        target = _declare(file, f"behaviour_{name}", f"{name}_dimension", units)
        own = values[:, behaviour.first_bin :]
        for first, block in merge_blocks(_reader(own, merging), merging):
            target[first : first + len(block)] = block.astype(np.float32)
            disk.raise_failure()


def _merging(source: h5py.File, ramp: Literal["linear", "smooth"]) -> Merging:
    n_chops, n_time = source["rates"].shape[:2]
    chops = Chops(
        start_bins=source["session_bin"][()].astype(np.int64),
        n_session_bins=_whole(source, "n_session_bins"),
        session_start_s=float(np.ravel(source.attrs["session_start_s"])[0]),
        overlap_bins=_whole(source, "chop_overlap_bins"),
    )
    n_bins = np.full(n_chops, n_time, dtype=np.int64)
    if "n_trial_bins" in source:
        n_bins = source["n_trial_bins"][()].astype(np.int64)
    return Merging(chops=chops, n_chop_bins=n_bins, ramp=ramp)


def _reader(values: Any, merging: Merging) -> Any:  # an array or h5py.Dataset; chop -> [T, D]
    return lambda chop: values[chop, : merging.n_chop_bins[chop]]


def _write_labels(file: h5netcdf.File, source: h5py.File, merging: Merging) -> None:
    import h5py

    width = float(np.ravel(source.attrs["bin_width_s"])[0])
    chops = merging.chops
    time_s = chops.session_start_s + (np.arange(chops.n_session_bins) + 0.5) * width
    variable = file.create_variable("time", ("time",), np.float64, data=time_s)
    variable.attrs["long_name"] = "centre of the bin on the session's clock"
    variable.attrs["units"] = "s"
    for name in _unit_labels(source):
        values = source[name][()]
        dtype = h5py.string_dtype() if values.dtype.kind == "O" else values.dtype
        variable = file.create_variable(name, ("unit",), dtype, data=values)
        variable.attrs["long_name"] = _text(source[name].attrs["long_name"])
    variable = file.create_variable("bin_set", ("time",), h5py.string_dtype())
    variable[...] = _sets_of_bins(source, merging)
    variable.attrs["long_name"], variable.attrs["comment"] = "set of the bin", SET_COMMENT


def _unit_labels(file: h5py.File | h5netcdf.File) -> list[str]:
    """What is said of units; family and unit of measure not in older files."""
    known = ("unit_id", "is_encoded", "observation", "rate_unit")
    return [name for name in known if name in file]


def _sets_of_bins(source: h5py.File, merging: Merging) -> NDArray[np.object_]:
    rank = np.full(merging.chops.n_session_bins, len(SETS), dtype=np.int8)
    of_chop = [SETS.index(_text(each)) for each in source["trial_set"][()]]
    starts, stops = merging.spans()
    for start, stop, own in zip(starts, stops, of_chop, strict=True):
        rank[start:stop] = np.minimum(rank[start:stop], own)
    return np.array([*SETS, ""], dtype=object)[rank]


def _declare(
    file: h5netcdf.File, name: str, dimension: str, attributes: Mapping[str, str]
) -> h5netcdf.Variable:
    size = file.dimensions[dimension].size
    n_bins = file.dimensions["time"].size
    variable = file.create_variable(
        name, ("time", dimension), np.float32,
        chunks=(min(CHUNK_BINS, n_bins), size), compression="gzip", compression_opts=1,
        shuffle=True, fillvalue=np.float32(np.nan),
    )  # fmt: skip
    for key, value in attributes.items():
        variable.attrs[key] = value
    labels = ["bin_set", *(_unit_labels(file) if dimension == "unit" else ())]
    variable.attrs["coordinates"] = " ".join(labels)
    return variable


def _whole(source: h5py.File, name: str) -> int:
    return int(np.ravel(source.attrs[name])[0])


def _text(value: Any) -> str:  # text or bytes, as h5py gives them
    return value.decode() if isinstance(value, bytes) else str(value)
