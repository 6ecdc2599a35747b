"""Merged rates of a session as text: a line per bin and unit, and one per bin for the rest."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lfads_torch.atomic import atomic_path
from lfads_torch.outputs.text_columns import beside, blocks_of, texts

if TYPE_CHECKING:
    import xarray

__all__ = ["write_merged_csv"]

OF_UNITS = ("rates", "rate_posterior_std", "rate_member_std")


def write_merged_csv(merged: xarray.Dataset, path: Path) -> list[Path]:
    """Both files, in order; the session is read in stretches of bins."""
    factors_path = beside(path)
    with atomic_path(factors_path) as factors_part, atomic_path(path) as part:
        with part.open("w", encoding="utf-8", newline="") as file:
            _write_rates(csv.writer(file), merged)
        with factors_part.open("w", encoding="utf-8", newline="") as file:
            _write_rest(csv.writer(file), merged)
    return [path, factors_path]


def _write_rates(writer: Any, merged: xarray.Dataset) -> None:  # csv names no class for it
    signals = [name for name in OF_UNITS if name in merged]
    writer.writerow(["time", "bin_set", "unit_id", *signals])
    units = texts(merged["unit_id"].values)
    for bins in blocks_of(merged.sizes["time"], sum(merged[name].nbytes for name in signals)):
        part = merged.isel(time=bins)
        columns = [texts(part[name].values.reshape(-1)) for name in signals]
        times, sets = (
            np.repeat(texts(part[name].values), len(units)) for name in ("time", "bin_set")
        )
        writer.writerows(zip(times, sets, units * part.sizes["time"], *columns, strict=True))


def _write_rest(writer: Any, merged: xarray.Dataset) -> None:  # csv names no class for it
    signals = [
        str(name)
        for name, values in merged.data_vars.items()
        if values.dims[:1] == ("time",) and values.ndim == 2 and "unit" not in values.dims
    ]
    heads = [
        f"{name.removesuffix('s')}_{column}"
        for name in signals
        for column in range(merged[name].shape[1])
    ]
    writer.writerow(["time", "bin_set", *heads])
    for bins in blocks_of(merged.sizes["time"], sum(merged[name].nbytes for name in signals)):
        part = merged.isel(time=bins)
        columns = [texts(column) for name in signals for column in part[name].values.T]
        labels = (texts(part[name].values) for name in ("time", "bin_set"))
        writer.writerows(zip(*labels, *columns, strict=True))
