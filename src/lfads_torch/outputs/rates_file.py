"""`rates.nc`: rates and everything inferred with them, trial by trial, in netCDF4.

Axes: `B` trial, `T` generated bin, `N` unit, `F` factor, `U` inferred input, `Z` initial condition,
`H` generator unit. The file opens in xarray, in h5py and in MATLAB (`ncread`); docs/formats.md
fixes its schema.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lfads_torch.atomic import atomic_path
from lfads_torch.errors import FormatError, OutputError
from lfads_torch.outputs.file_kind import found_kind, hdf5_attributes
from lfads_torch.outputs.guarded_file import GuardedFile
from lfads_torch.outputs.rates_header import RatesChunk, RatesHeader, check_header
from lfads_torch.outputs.rates_variables import (
    attribute,
    chunk_shape,
    coordinates,
    declare_labels,
    describe,
    signals,
)

if TYPE_CHECKING:
    import h5netcdf
    import xarray

__all__ = ["FORMAT", "FORMAT_VERSION", "RatesChunk", "RatesHeader", "RatesWriter", "open_rates"]

FORMAT = "lfads-torch rates"
FORMAT_VERSION = 1


class RatesWriter:
    """Writes a rates file chunk by chunk of trials; use it as a context manager.

    The memory it takes does not grow with the number of trials. The file appears under its name
    when the block ends well and every trial was written; otherwise nothing is left, and an older
    file stays as it was.
    """

    def __init__(self, path: str | os.PathLike[str], header: RatesHeader) -> None:
        check_header(header)
        self._path = Path(path)
        self._header = header
        self._signals = signals(header)
        self._is_written = np.zeros(len(header.trial_ids), dtype=np.bool_)
        self._stack = ExitStack()

    def __enter__(self) -> RatesWriter:
        import h5netcdf

        with ExitStack() as stack:
            part = stack.enter_context(atomic_path(self._path))
            self._disk = GuardedFile(part)
            stack.callback(self._disk.close)
            self._file = h5netcdf.File(self._disk, "w")
            stack.callback(self._file.close)
            self._declare(self._file)
            self._disk.raise_failure()
            stack.push(self._finish)
            self._stack = stack.pop_all()
        return self

    def write(self, start_trial: int, chunk: RatesChunk) -> None:
        """Write the trials from position `start_trial` on, in the order of the header's ids."""
        stop = start_trial + len(chunk.rates)
        if start_trial < 0 or stop > len(self._is_written):
            raise ValueError(
                f"trials {start_trial} to {stop - 1} of a file with {len(self._is_written)} trials"
            )
        for name in (f.name for f in fields(chunk)):
            values = getattr(chunk, name)
            self._check_shape(name, values, n_trials=stop - start_trial)
            if values is not None:
                self._file.variables[name][start_trial:stop] = values.astype(np.float32, copy=False)
            self._disk.raise_failure()
        self._is_written[start_trial:stop] = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _finish(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            return
        missing = np.flatnonzero(~self._is_written)
        if len(missing):
            raise OutputError(
                f"{self._path}: {len(missing)} of {len(self._is_written)} trials were not given, "
                f"the first at position {missing[0]}. Write every trial before closing the file."
            )
        self._file.close()
        self._disk.raise_failure()

    def _declare(self, file: h5netcdf.File) -> None:
        header = self._header
        file.dimensions = header.sizes
        file.attrs["format"] = FORMAT
        file.attrs["format_version"] = np.int64(FORMAT_VERSION)
        for name, value in header.attributes.items():
            if value is not None:
                file.attrs[name] = attribute(value)
        declare_labels(file, header)
        for name, signal in self._signals.items():
            shape = tuple(header.sizes[dimension] for dimension in signal.dimensions)
            variable = file.create_variable(
                name, signal.dimensions, np.float32,
                chunks=chunk_shape(shape), compression="gzip", compression_opts=1, shuffle=True,
            )  # fmt: skip
            describe(variable, signal)
            variable.attrs["coordinates"] = coordinates(signal, header)

    def _check_shape(self, name: str, values: NDArray[Any] | None, *, n_trials: int) -> None:
        signal = self._signals.get(name)
        if signal is None and values is not None:
            raise ValueError(f"{name} was given; the header leaves it out")
        if signal is not None and values is None:
            raise ValueError(f"{name} is missing; the header announces it")
        if signal is not None and values is not None:
            sizes = self._header.sizes
            shape = (n_trials, *(sizes[dimension] for dimension in signal.dimensions[1:]))
            if values.shape != shape:
                raise ValueError(f"{name} has shape {values.shape}; {shape} is needed")


def open_rates(path: str | os.PathLike[str]) -> xarray.Dataset:
    """A rates file as an xarray.Dataset, read lazily; close it, or use it in a `with` statement.

    Ids, sets, conditions and masks are coordinates. Text is in arrays of `str`.
    """
    import xarray

    attributes = hdf5_attributes(Path(path))
    if attributes.get("format") != FORMAT:
        raise FormatError(
            f"{path}: {found_kind(Path(path))}; a rates file of lfads-torch is needed, as "
            "`lfads infer` writes it."
        )
    version = attributes.get("format_version")
    if version != FORMAT_VERSION:
        raise FormatError(
            f"{path}: format_version is {version}; this lfads-torch reads {FORMAT_VERSION}. "
            "Update lfads-torch to read a newer file."
        )
    try:
        return xarray.open_dataset(path, engine="h5netcdf")
    except (OSError, ValueError, KeyError) as error:
        raise FormatError(
            f"{path}: cannot be read ({error}). The file is damaged: run `lfads infer` again."
        ) from error
