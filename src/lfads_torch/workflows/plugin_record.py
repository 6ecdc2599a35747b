"""Where the plug-ins of a run came from: stored with it, compared and told when it is read."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings

__all__ = ["came_from", "changed_plugins", "plugin_record"]


def plugin_record(settings: Settings) -> dict[str, dict[str, Any]]:  # JSON values
    """By the name in the settings: file, its SHA-256 and the package's version, as far as known.

    The classes are loaded already: checking settings does that.
    """
    from lfads_torch.config.plugin_settings import named_plugins
    from lfads_torch.config.tree import to_dict

    names = dict.fromkeys(name for _, name in named_plugins(to_dict(settings)))
    return {name: _origin(name) for name in names}


def changed_plugins(
    before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Names of plug-ins whose file is another one than it was; what is not known is no change."""
    return [
        name
        for name, origin in now.items()
        if origin.get("sha256") != before.get(name, origin).get("sha256")
    ]


def came_from(plugins: Mapping[str, Mapping[str, Any]], told: str) -> str:
    """Where the plug-ins that a message tells of came from when the run was made; "" if none."""
    parts = [
        f" When the run was made, {name} came from {origin.get('file') or 'an unknown place'}"
        + (f" ({origin['package']})" if origin.get("package") else "")
        + "; say where that folder is now with --plugin-path (or PYTHONPATH), or install it again."
        for name, origin in plugins.items()
        if repr(name) in told
    ]
    return "".join(parts)


def _origin(name: str) -> dict[str, Any]:
    module = name.partition(":")[0] if ":" in name else _module_of_entry_point(name)
    file = getattr(sys.modules.get(module), "__file__", None)
    content = Path(file).read_bytes() if file and Path(file).is_file() else None
    return {
        "file": file,
        "sha256": None if content is None else hashlib.sha256(content).hexdigest(),
        "package": _package(module),
    }


def _module_of_entry_point(name: str) -> str:
    found = (
        point.module
        for group, points in _our_entry_points().items()
        if group.startswith("lfads_torch.")
        for point in points
        if point.name == name
    )
    return next(found, "")


def _our_entry_points() -> dict[str, metadata.EntryPoints]:
    points = metadata.entry_points()
    return {group: points.select(group=group) for group in points.groups}


def _package(module: str) -> str | None:
    names = metadata.packages_distributions().get(module.partition(".")[0], [])
    return f"{names[0]} {metadata.version(names[0])}" if names else None
