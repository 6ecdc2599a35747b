"""`lfads inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lfads_torch.cli.streams import aligned, print_json
from lfads_torch.errors import SettingsError

__all__ = ["inspect"]


def inspect(
    path: Annotated[Path | None, Parameter(help="file or folder")] = None,
    /,
    *,
    json: Annotated[bool, Parameter(help="as JSON")] = False,
    system: Annotated[
        bool, Parameter(help="instead: versions, device and kernels of this machine")
    ] = False,
) -> None:
    """Say what any file or run folder of ours contains."""
    from lfads_torch.outputs.inspect import describe, rows

    if system == (path is not None):
        raise SettingsError("inspect needs either a PATH or --system.")
    if path is None:
        from lfads_torch.workflows.system import describe_system

        description = describe_system()
    else:
        description = describe(path)
    if json:
        print_json(description)
    else:
        print(aligned(rows(description)))
