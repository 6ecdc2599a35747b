"""What is known of a declared setting, and values checked against it.

The whole tree of settings is checked in `config/`; the own settings of readers and figures, which
no tree holds, are checked here, with the same words.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from numbers import Integral, Real
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from lfads_torch.declare import PluginSettings, is_per_member, setting_fields
from lfads_torch.errors import LfadsError, SettingsError

__all__ = [
    "Declaration",
    "GivenSettings",
    "SettingValue",
    "checked_values",
    "found_text",
    "record_declarations",
]

SettingValue = bool | int | float | str
Own = TypeVar("Own", bound=PluginSettings)


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

    def is_outside(self, value: float) -> bool:
        """Whether the setting cannot have this value."""
        return (
            (self.at_least is not None and value < self.at_least)
            or (self.above is not None and value <= self.above)
            or (self.at_most is not None and value > self.at_most)
            or (self.below is not None and value >= self.below)
        )


@dataclass(frozen=True)
class GivenSettings:
    """Values by dotted name, of parts that no tree of settings names: readers and figures."""

    values: Mapping[str, SettingValue]

    def of(self, kind: type[Own]) -> Own:
        """Those of this kind as its record; the defaults where nothing is given."""
        own = {each.name for each in setting_fields(kind)}
        begin = f"{kind.section}."
        given = {
            name.removeprefix(begin): value
            for name, value in self.values.items()
            if name.startswith(begin)
        }
        return kind(**{name: value for name, value in given.items() if name in own})


def record_declarations(
    section: str, record: type, words: Mapping[str, tuple[str, ...]] | None = None
) -> list[Declaration]:
    """The settings of one record in order; `words` are allowed words that no annotation lists."""
    hints = get_type_hints(record)
    return [
        _declaration(section, part, hints[part.name], (words or {}).get(f"{section}.{part.name}"))
        for part in setting_fields(record)
    ]


def checked_values(
    part: object, values: Mapping[str, object], *, what: str, error: type[LfadsError]
) -> dict[str, SettingValue]:
    """The values, as the part's own settings declare them, by dotted name.

    `what` begins the message, such as "the reader 'my_lab:Blocks'". Raises `error` where the part
    has no such setting or a value cannot be its, with all mistakes in one message.
    """
    kind = getattr(part, "settings_type", None)
    if kind is None:
        if not values:
            return {}
        raise error(
            f"{what} has no settings of its own, and {', '.join(values)} was given. Leave it out, "
            "or name the part that it belongs to."
        )
    _require_record(kind, what)
    known = {each.name: each for each in record_declarations(kind.section, kind)}
    mistakes = list(_mistakes(values, known))
    if mistakes:
        told = "; ".join(mistakes)
        raise error(f"{what}: {told}{'' if told.endswith('?') else '.'}")
    return {name: known[name].kind(value) for name, value in values.items()}


def found_text(value: object) -> str:
    """A value in the words of a message."""
    if value is None:
        return "empty"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f"the text {value[:60]!r}"
    if isinstance(value, Real):
        return f"{value}"[:60]
    if isinstance(value, Mapping):
        return "a group of settings"
    return "a list" if isinstance(value, list | tuple) else f"a {type(value).__name__}"


def _require_record(kind: object, what: str) -> None:
    if not (isinstance(kind, type) and issubclass(kind, PluginSettings) and is_dataclass(kind)):
        raise SettingsError(
            f"{what}: its settings_type is no record of settings; needed is a frozen dataclass "
            "derived from lfads_torch.declare.PluginSettings."
        )
    if not kind.section.isidentifier():
        raise SettingsError(
            f"{what}: its settings_type has the section {kind.section!r}; needed is a word, such "
            "as blocks."
        )
    own = [each.name for each in fields(kind) if is_per_member(each)]
    if own:
        raise SettingsError(
            f"{what}: its settings_type declares {own[0]} by member_setting(...), and there are no "
            "members here; declare it by setting(...)."
        )


def _mistakes(values: Mapping[str, object], known: Mapping[str, Declaration]) -> Iterator[str]:
    for name, value in values.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
            meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            yield f"{name} is no setting of it; {meant}"
        elif not _fits(value, known[name]):
            yield f"{name} is {found_text(value)}; needed is {known[name].needed}"


def _fits(value: object, declared: Declaration) -> bool:
    if declared.words:
        return value in declared.words
    if declared.kind in (bool, str):
        return isinstance(value, declared.kind)
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        return False
    if declared.kind is int and not (isinstance(value, Integral) or float(value).is_integer()):
        return False
    return not declared.is_outside(float(value))


def _declaration(
    section: str,
    part: Any,
    hint: Any,
    words: tuple[str, ...] | None,  # Any: field, annotation
) -> Declaration:
    if words is None:
        words = get_args(hint) if get_origin(hint) is Literal else ()
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
