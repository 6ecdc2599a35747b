"""`lfads export`: a rates file, or merged rates, as MATLAB, NumPy or text files.

Only one variable (mat) or a few trials (npz, csv) are in memory at a time.
"""

from __future__ import annotations

import csv
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from lfads_torch.atomic import atomic_path
from lfads_torch.errors import OutputError, SettingsError
from lfads_torch.outputs.export_merged import write_merged_csv
from lfads_torch.outputs.file_kind import hdf5_attributes
from lfads_torch.outputs.json_text import json_text
from lfads_torch.outputs.merged_file import FORMAT as MERGED
from lfads_torch.outputs.merged_file import open_merged
from lfads_torch.outputs.rates_file import open_rates
from lfads_torch.outputs.target_file import EXPORTS, prepare_target
from lfads_torch.outputs.text_columns import beside, blocks_of, texts

if TYPE_CHECKING:
    import xarray

__all__ = ["ExportKind", "export_rates"]

ExportKind = Literal["mat", "npz", "csv"]

MAT_LIMIT_BYTES = 2**31  # of one variable in MATLAB's format 5, which scipy writes


def export_rates(
    rates_path: str | os.PathLike[str], target: str | os.PathLike[str], kind: ExportKind
) -> list[Path]:
    """Write a rates file in another format; the paths written, each whole or not at all.

    mat: every variable under its name, text as cell arrays, axes in the order of the rates file
    ([trial, time, unit]), file attributes in the struct `attributes`.
    npz: every variable under its name, text as Unicode arrays, attributes as JSON text in
    `attributes`; nothing is pickled.
    csv: one line per trial, bin and unit, and a second file `..._factors.csv` with one line per
    trial and bin: factors and, where there are any, inferred inputs. Of merged rates, one line per
    bin of the session and unit, or per bin.
    """
    if kind not in get_args(ExportKind):
        raise SettingsError(
            f"cannot export to {kind!r}; one of {', '.join(get_args(ExportKind))} is needed."
        )
    path = Path(target)
    for each in (path, beside(path)) if kind == "csv" else (path,):
        prepare_target(each, EXPORTS[kind], inputs=[Path(rates_path)])
    is_merged = hdf5_attributes(Path(rates_path)).get("format") == MERGED
    with open_merged(rates_path) if is_merged else open_rates(rates_path) as rates:
        if kind == "csv":
            return write_merged_csv(rates, path) if is_merged else _write_csv(rates, path)
        (_write_mat if kind == "mat" else _write_npz)(rates, path)
    return [path]


def _write_mat(rates: xarray.Dataset, path: Path) -> None:
    from scipy.io import savemat

    for name, variable in rates.variables.items():
        if variable.nbytes >= MAT_LIMIT_BYTES:
            raise OutputError(
                f"{path}: {name} takes {variable.nbytes / 2**30:.1f} GiB; a MATLAB file of "
                "version 5 holds less than 2 GiB per variable. MATLAB reads the rates file itself "
                f"(`ncread(file, '{name}')`), or export to npz."
            )
    attributes = {name: _matlab_value(value) for name, value in rates.attrs.items()}
    with atomic_path(path) as part, part.open("wb") as file:
        for name, variable in rates.variables.items():
            content = {str(name): _matlab_array(variable.values)}
            savemat(file, content, oned_as="column", do_compression=True)
        savemat(file, {"attributes": attributes}, oned_as="column", long_field_names=True)


def _matlab_array(values: NDArray[Any]) -> NDArray[Any]:
    """Text as an array of objects, which becomes a cell array."""
    if values.dtype.kind not in "OUST":
        return values
    cells = np.empty(len(values), dtype=object)
    cells[:] = [str(value) for value in values]
    return cells


def _matlab_value(value: object) -> object:
    return value if isinstance(value, str) else np.asarray(value)


def _write_npz(rates: xarray.Dataset, path: Path) -> None:
    attributes = np.array(json_text(dict(rates.attrs)))
    with (
        atomic_path(path) as part,
        zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        for name, variable in rates.variables.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                _write_npy(file, variable)
        with archive.open("attributes.npy", "w") as file:
            np.lib.format.write_array(file, attributes, allow_pickle=False)


def _write_npy(file: IO[bytes], variable: xarray.Variable) -> None:
    if variable.dtype.kind in "OUST":
        text = np.array([str(value) for value in variable.values], dtype=np.str_)
        np.lib.format.write_array(file, text, allow_pickle=False)
        return
    header = {
        "descr": np.lib.format.dtype_to_descr(variable.dtype),
        "fortran_order": False,
        "shape": variable.shape,
    }
    np.lib.format.write_array_header_2_0(file, header)
    for block in blocks_of(variable.shape[0], variable.nbytes):
        file.write(np.ascontiguousarray(variable[block].values).tobytes())


def _write_csv(rates: xarray.Dataset, path: Path) -> list[Path]:
    factors_path = beside(path)
    with atomic_path(factors_path) as factors_part, atomic_path(path) as part:
        with part.open("w", encoding="utf-8", newline="") as file:
            _write_rate_lines(csv.writer(file), rates)
        with factors_part.open("w", encoding="utf-8", newline="") as file:
            _write_factor_lines(csv.writer(file), rates)
    return [path, factors_path]


def _write_rate_lines(writer: Any, rates: xarray.Dataset) -> None:  # csv names no class for it
    signals = [name for name in ("rates", "rate_posterior_std", "rate_member_std") if name in rates]
    labels = _label_names(rates)
    writer.writerow([*labels, "time", "unit_id", *signals])
    n_bins, n_units = rates.sizes["time"], rates.sizes["unit"]
    times = np.repeat(texts(rates["time"].values), n_units)
    units = np.tile(texts(rates["unit_id"].values), n_bins)
    for label, trial in _trials(rates, labels, signals):
        columns = [texts(trial[name].reshape(-1)) for name in signals]
        repeated = ([value] * (n_bins * n_units) for value in label)
        writer.writerows(zip(*repeated, times, units, *columns, strict=True))


def _write_factor_lines(writer: Any, rates: xarray.Dataset) -> None:  # csv names no class for it
    signals = [
        name for name in ("factors", "inferred_input_mean", "inferred_input_std") if name in rates
    ]
    labels = _label_names(rates)
    heads = [
        f"{name.removesuffix('s')}_{column}"
        for name in signals
        for column in range(rates[name].shape[2])
    ]
    writer.writerow([*labels, "time", *heads])
    times = texts(rates["time"].values)
    for label, trial in _trials(rates, labels, signals):
        columns = [texts(column) for name in signals for column in trial[name].T]
        repeated = ([value] * len(times) for value in label)
        writer.writerows(zip(*repeated, times, *columns, strict=True))


def _label_names(rates: xarray.Dataset) -> list[str]:
    return [name for name in ("trial_id", "trial_set", "condition") if name in rates.variables]


def _trials(
    rates: xarray.Dataset, labels: list[str], signals: list[str]
) -> Iterator[tuple[list[str], dict[str, NDArray[Any]]]]:
    """Each trial's labels and signals; the file is read in blocks of trials."""
    n_bytes = sum(rates[name].nbytes for name in signals)
    columns = [texts(rates[name].values) for name in labels]
    for block in blocks_of(rates.sizes["trial"], n_bytes):
        values = {name: rates[name].isel(trial=block).values for name in signals}
        for position in range(block.stop - block.start):
            label = [column[block.start + position] for column in columns]
            yield label, {name: values[name][position] for name in signals}
