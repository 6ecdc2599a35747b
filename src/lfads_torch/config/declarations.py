"""What is known of every setting: its type, range, unit and help, by dotted name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin, get_type_hints

from lfads_torch.config.preset_choice import preset_names
from lfads_torch.config.tree import SettingValue, section_types
from lfads_torch.declare import PluginSettings, setting_fields

__all__ = ["Declaration", "declarations"]


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """One setting, as declared in its folder's `settings.py`."""

    section: str
    key: str
    kind: type  # bool, int, float or str
    words: tuple[str, ...]  # allowed words of a text setting; empty: any text
    default: SettingValue
    help: str
    unit: str | None
    at_least: float | None
    above: float | None
    at_most: float | None
    below: float | None
    per_member: bool = False  # of a plug-in: a number of every member's own

    @property
    def name(self) -> str:
        return f"{self.section}.{self.key}"

    @property
    def range(self) -> str:
        """The range in words, "" where there is none: `at least 0, below 1`."""
        bounds = {
            "above": self.above,
            "at least": self.at_least,
            "at most": self.at_most,
            "below": self.below,
        }
        return ", ".join(
            f"{word} {_number(bound)}" for word, bound in bounds.items() if bound is not None
        )

    @property
    def needed(self) -> str:
        """What a value must be, in words: `a whole number, at least 1 (bins)`."""
        if self.words:
            return "one of " + ", ".join(self.words)
        kinds = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
        text = kinds[self.kind]
        if self.range:
            text += f", {self.range}"
        return text + (f" ({self.unit})" if self.unit else "")


def declarations(own: tuple[type[PluginSettings], ...] = ()) -> dict[str, Declaration]:
    """Every setting by dotted name, in the order of the tree; then the plug-ins' `own` kinds."""
    found = (
        _declaration(section, part, hint)
        for section, record in section_types(own).items()
        for part, hint in zip(setting_fields(record), _hints(record), strict=True)
    )
    return {each.name: each for each in found}


def _hints(record: type) -> list[Any]:  # Any: an annotation may be a type or a Literal form
    hints = get_type_hints(record)
    return [hints[part.name] for part in setting_fields(record)]


def _declaration(section: str, part: Any, hint: Any) -> Declaration:  # Any: a field, an annotation
    words = get_args(hint) if get_origin(hint) is Literal else ()
    if (section, part.name) == ("run", "preset"):
        words = preset_names()  # the files of the folder decide, so no annotation can list them
    kind = str if words else hint
    if kind not in (bool, int, float, str):
        raise TypeError(f"{section}.{part.name}: a setting cannot be declared as {hint}")
    return Declaration(
        section=section,
        key=part.name,
        kind=kind,
        words=words,
        default=part.default,
        **part.metadata,
    )


def _number(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else f"{bound:g}"
