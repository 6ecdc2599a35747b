"""`lfads export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lfads_torch.errors import SettingsError

__all__ = ["export"]


def export(
    rates: Annotated[Path, Parameter(help="rates file, such as RUN/rates.nc; or RUN/merged.nc")],
    /,
    *,
    to: Annotated[Literal["mat", "npz", "csv"], Parameter(help="format")],
    out: Annotated[
        Path | None,
        Parameter(
            help="file to write (a name without ending gets it); without it, beside the rates"
        ),
    ] = None,
) -> None:
    """Write a rates file as .mat, .npz or .csv."""
    from lfads_torch.outputs.export import export_rates

    _require_file(rates)
    target = out or rates.with_suffix(f".{to}")
    if not target.suffix and not target.is_dir():
        target = target.with_name(f"{target.name}.{to}")
    if target.is_dir():
        target = target / f"{rates.stem}.{to}"
    for path in export_rates(rates, target, to):
        print(path)


def _require_file(rates: Path) -> None:
    """Raise SettingsError for a folder, with the rates that lie in it."""
    if not rates.is_dir():
        return
    found = sorted(
        path for pattern in ("rates.nc", "merged.nc", "sessions/*/rates.nc", "sessions/*/merged.nc")
        for path in rates.glob(pattern)
    )  # fmt: skip
    if found:
        listed = ", ".join(map(str, found))
        raise SettingsError(f"{rates}: is a folder; name the rates file in it: {listed}.")
    raise SettingsError(
        f"{rates}: is a folder without rates; a rates file is needed, as `lfads fit` leaves it in "
        f"RUN/rates.nc. Write one with `lfads infer {rates} --out rates.nc`."
    )
