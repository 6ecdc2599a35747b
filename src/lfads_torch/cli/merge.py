"""`lfads merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

__all__ = ["merge"]


def merge(
    source: Annotated[Path, Parameter(help="folder of a run, or a rates file of `lfads infer`")],
    recording: Annotated[
        Path | None, Parameter(help="the chops that a rates file is of, for their behaviour")
    ] = None,
    /,
    *,
    out: Annotated[Path | None, Parameter(help="netCDF file to write")] = None,
    ramp: Annotated[
        Literal["linear", "smooth"], Parameter(help="weights where chops overlap")
    ] = "linear",
    overwrite: Annotated[
        bool, Parameter(help="replace merged rates of another recording or run in --out")
    ] = False,
) -> None:
    """Merge the rates of a session's chops to rates of the whole session.

    A fit and `lfads infer` do so by themselves; this does it anew, with other weights. Without
    --out the file lies in the run's folder, or beside the rates file.
    """
    from lfads_torch.workflows.merge import merge_source

    print(merge_source(source, recording, out, ramp=ramp, overwrite=overwrite))
