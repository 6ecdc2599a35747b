"""Parts by name: ours, those of installed packages, or anybody's as "package.module:Class".

A class is imported only when it is asked for, so a part that nobody uses costs nothing.
"""

from __future__ import annotations

import difflib
import inspect
import os
import sys
from collections.abc import Mapping
from importlib import import_module, metadata
from importlib.machinery import PathFinder
from types import MappingProxyType
from typing import TypeVar

from lfads_torch.errors import LfadsError, SettingsError

__all__ = ["load_plugin", "need_known", "plugin_names", "plugin_places", "unnamed_file"]

T = TypeVar("T")
_NOTHING: Mapping[str, str] = MappingProxyType({})


def plugin_places(entry_points: str) -> dict[str, str]:
    """What installed packages offer in this group of entry points: name to "package.module:Class".

    In the order of the names; which package was installed first does not matter.
    """
    found = metadata.entry_points(group=entry_points)
    return dict(sorted((point.name, point.value) for point in found))


def plugin_names(ours: Mapping[str, str], entry_points: str | None = None) -> list[str]:
    """Every name that `load_plugin` knows: ours in their order, then those of installed packages.

    A name of ours cannot be taken by another package.
    """
    plugged = plugin_places(entry_points) if entry_points else {}
    return [*ours, *(name for name in plugged if name not in ours)]


def load_plugin(
    where: str,
    base: type[T],
    *,
    what: str,
    ours: Mapping[str, str] = _NOTHING,
    entry_points: str | None = None,
    error: type[LfadsError] = SettingsError,
) -> type[T]:
    """The class that `where` names; it is derived from `base` and has all that `base` asks for.

    `where` is a name in `ours` (name to "package.module:Class"), the name of an entry point of the
    group `entry_points`, or "package.module:Class". `what` begins every message: a setting's name
    ("search.selection") or a word ("reader"). Raises `error` where nothing is known by that name,
    it cannot be imported, or it is of another kind.
    """
    place = _place(where, ours, entry_points)
    if place is None:
        raise error(f"{what}: {_unknown(where, plugin_names(ours, entry_points))}")
    title = repr(where) if place == where else f"{where!r} ({place})"
    try:
        found = _import(place)
    except Exception as reason:
        raise error(
            f"{what}: {title} could not be loaded: {_told(reason)}. Install the package with all "
            "it imports or name the folder of your file (--plugin-path FOLDER, or PYTHONPATH), and "
            'spell the class as its file does: "package.module:Class".'
        ) from reason
    if not (isinstance(found, type) and issubclass(found, base)):
        raise error(
            f"{what}: {title} is of another kind; derive the class from "
            f"{base.__module__}.{base.__qualname__}."
        )
    if inspect.isabstract(found):
        missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
        raise error(f"{what}: {title} is incomplete; write its {missing}.")
    return found


def need_known(
    where: str, *, what: str, ours: Mapping[str, str] = _NOTHING, entry_points: str | None = None
) -> None:
    """SettingsError, as `load_plugin` gives it, where nothing is known by this name.

    Nothing is imported; "package.module:Class" is not looked for.
    """
    if _place(where, ours, entry_points) is None:
        raise SettingsError(f"{what}: {_unknown(where, plugin_names(ours, entry_points))}")


def unnamed_file(place: str) -> str | None:
    """The file that importing this class would run only because of where Python was started.

    None for what is installed, already imported, or in a folder that somebody named (PYTHONPATH,
    --plugin-path). Python also looks in the current folder, where files may lie that came with
    the data; a name read from a file must not run those.
    """
    top = place.partition(":")[0].partition(".")[0]
    here = os.path.realpath(os.curdir)
    if top in sys.modules:
        return None
    named = [
        entry
        for position, entry in enumerate(sys.path)
        if entry and not (position == 0 and os.path.realpath(entry) == here)
    ]
    if PathFinder.find_spec(top, named) is not None:
        return None
    found = PathFinder.find_spec(top, [here])
    if found is None:
        return None
    return found.origin or os.path.join(here, top)


def _place(where: str, ours: Mapping[str, str], entry_points: str | None) -> str | None:
    if where in ours:
        return ours[where]
    if ":" in where:
        return where
    return plugin_places(entry_points).get(where) if entry_points else None


def _import(place: str) -> object:
    module, _, class_name = place.partition(":")
    found: object = getattr(import_module(module), class_name)
    return found


def _told(reason: Exception) -> str:
    """What a file's own code raised is told with its kind; what was not found needs none."""
    text = str(reason).rstrip(".")
    if isinstance(reason, ImportError | AttributeError):
        return text
    return f"{type(reason).__name__}: {text}"


def _unknown(where: str, known: list[str]) -> str:
    near = difflib.get_close_matches(where, known, n=1, cutoff=0.4)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    listed = f"Known are {', '.join(known)}, or name" if known else "Name"
    return f'there is no {where!r}.{hint} {listed} a class of your own as "package.module:Class".'
