"""What a class of somebody's own is, and which settings it has: for `lfads inspect`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lfads_torch.errors import SettingsError

if TYPE_CHECKING:
    from lfads_torch.declared import Declaration

__all__ = ["describe_plugin", "is_class_name", "settings_lines"]

_READER = "lfads_torch.data.formats.base:Reader"
_FIGURE = "lfads_torch.analysis.figures.base:FigureRecipe"


def is_class_name(text: str) -> bool:
    """Whether a text is written as "package.module:Class"."""
    return re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", text) is not None


def describe_plugin(place: str) -> dict[str, Any]:  # JSON values
    """What the class "package.module:Class" can be, where it is named, and its own settings.

    Raises SettingsError where it cannot be imported or is of no kind that we know.
    """
    from lfads_torch.declared import checked_values, record_declarations
    from lfads_torch.plugins import load_plugin

    found = load_plugin(place, object, what="inspect")
    uses = [where for where, base in _kinds() if issubclass(found, base)]
    if not uses:
        raise SettingsError(
            f"{place}: is a class of no kind that lfads-torch uses; docs/plugins.md says from what "
            "to derive one."
        )
    kind = getattr(found, "settings_type", None)
    if kind is None:
        return {"what": "plug-in", "class": place, "named in": uses, "settings": "none of its own"}
    if uses[0].startswith(("--", "lfads")):
        checked_values(found, {}, what=place, error=SettingsError)
    declared = record_declarations(kind.section, kind)
    return {
        "what": "plug-in",
        "class": place,
        "named in": uses,
        "settings": {each.name: _told(each) for each in declared},
    }


def settings_lines(part: object) -> list[tuple[str, str]]:
    """Name and help of each own setting of a figure or a reader."""
    from lfads_torch.declared import record_declarations

    kind = getattr(part, "settings_type", None)
    declared = [] if kind is None else record_declarations(kind.section, kind)
    return [(each.name, _told(each)) for each in declared]


def _told(each: Declaration) -> str:
    text = f"{each.default}: {each.help}; {each.needed}"
    return f"{text}; every member's own, can be searched" if each.per_member else text


def _kinds() -> Iterator[tuple[str, type]]:
    """Where a class is named, and from what it must be derived."""
    from importlib import import_module

    from lfads_torch.config.plugin_settings import SLOTS

    bases = [(slot.setting, slot.base) for slot in SLOTS]
    for where, base in (*bases, ("--reader", _READER), ("lfads plot RUN FIGURE", _FIGURE)):
        module, _, name = base.partition(":")
        yield where, getattr(import_module(module), name)
