"""`lfads inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lfads_torch.cli.streams import aligned, print_json
from lfads_torch.errors import SettingsError

__all__ = ["inspect"]


def inspect(
    path: Annotated[
        Path | None, Parameter(help="file or folder; or a class of your own, package.module:Class")
    ] = None,
    /,
    *,
    json: Annotated[bool, Parameter(help="as JSON")] = False,
    system: Annotated[
        bool, Parameter(help="instead: versions, device and kernels of this machine")
    ] = False,
) -> None:
    """Say what any file or run folder of ours contains, or which settings a plug-in has."""
    from lfads_torch.outputs.inspect import describe, rows
    from lfads_torch.workflows.plugin_description import describe_plugin, is_class_name

    if system == (path is not None):
        raise SettingsError("inspect needs either a PATH or --system.")
    if path is None:
        from lfads_torch.workflows.system import describe_system

        description = describe_system()
    elif is_class_name(str(path)) and not path.exists():
        description = describe_plugin(str(path))
    else:
        description = describe(path)
    if json:
        print_json(description)
    else:
        print(aligned(rows(description)))
