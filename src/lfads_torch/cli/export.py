"""`lfads export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lfads_torch.cli.streams import say
from lfads_torch.errors import SettingsError

__all__ = ["export"]


def export(
    rates: Annotated[
        Path,
        Parameter(help="run folder, whose rates.nc is taken; or a file of rates, merged or not"),
    ],
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
    """Write the rates of a run, or a file of rates, as .mat, .npz or .csv."""
    from lfads_torch.outputs.export import export_rates

    given, rates = rates, _file_of(rates)
    if given.is_dir() and (given / "merged.nc").is_file() and rates.name != "merged.nc":
        say(f"rates of each chop; those of the whole session: lfads export {given / 'merged.nc'}")
    target = out or rates.with_suffix(f".{to}")
    if not target.suffix and not target.is_dir():
        target = target.with_name(f"{target.name}.{to}")
    if target.is_dir():
        target = target / f"{rates.stem}.{to}"
    for path in export_rates(rates, target, to):
        print(path)


def _file_of(rates: Path) -> Path:
    """The file itself, or that of a run's folder.

    Raises SettingsError for a folder that has none, or those of several sessions.
    """
    if not rates.is_dir():
        return rates
    if (rates / "rates.nc").is_file():
        return rates / "rates.nc"
    found = sorted(
        path for pattern in ("merged.nc", "sessions/*/rates.nc", "sessions/*/merged.nc")
        for path in rates.glob(pattern)
    )  # fmt: skip
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(map(str, found))
        raise SettingsError(
            f"{rates}: is a folder with several files of rates; name one of them: {listed}."
        )
    raise SettingsError(
        f"{rates}: is a folder without rates; a rates file is needed, as `lfads fit` leaves it in "
        f"RUN/rates.nc. Write one with `lfads infer {rates} --out rates.nc`."
    )
