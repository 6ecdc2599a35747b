"""`lfads export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

__all__ = ["export"]


def export(
    rates: Annotated[Path, Parameter(help="rates file, such as RUN/rates.nc; or RUN/merged.nc")],
    /,
    *,
    to: Annotated[Literal["mat", "npz", "csv"], Parameter(help="format")],
    out: Annotated[
        Path | None, Parameter(help="file to write; without it, beside the rates file")
    ] = None,
) -> None:
    """Write a rates file as .mat, .npz or .csv."""
    from lfads_torch.outputs.export import export_rates

    for path in export_rates(rates, out or rates.with_suffix(f".{to}"), to):
        print(path)
