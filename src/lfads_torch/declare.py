"""How a setting is declared: a dataclass field that carries its help, unit and range.

Every folder's `settings.py` uses it. The command line, the settings file, the checks and the
reference page are generated from these declarations; nothing here validates anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Any, ClassVar, TypeVar

__all__ = [
    "OwnSettings",
    "PluginSettings",
    "is_per_member",
    "member_setting",
    "setting",
    "setting_fields",
]

Value = TypeVar("Value")
_PER_MEMBER = "per_member"


def setting(
    default: Value,
    help: str,
    *,
    unit: str | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> Value:
    """Declare one setting of a frozen, keyword-only dataclass.

    `at_least`/`at_most` bound a number inclusively, `above`/`below` exclusively. Allowed words of
    a text setting are its `Literal` annotation. A callable default is a factory (nested settings).
    """
    metadata: dict[str, Any] = {  # values are bounds (float), help and unit (str)
        "help": help,
        "unit": unit,
        "at_least": at_least,
        "above": above,
        "at_most": at_most,
        "below": below,
    }
    factory: Callable[[], Value] | Any = default if callable(default) else MISSING
    if factory is not MISSING:
        return field(default_factory=factory, metadata=metadata)
    return field(default=default, metadata=metadata)


def member_setting(
    default: float,
    help: str,
    *,
    unit: str | None = None,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    below: float | None = None,
) -> float:
    """As `setting`: a number of a plug-in that every member of a population has for itself.

    It may change no shapes. The plug-in gets it as a tensor [P] under its dotted name: a part of
    the model among its weights, an augmentation by `rates.value(name)`. A search can move it.
    """
    metadata: dict[str, Any] = {  # as in `setting`
        "help": help,
        "unit": unit,
        "at_least": at_least,
        "above": above,
        "at_most": at_most,
        "below": below,
        _PER_MEMBER: True,
    }
    declared: float = field(default=default, metadata=metadata)
    return declared


def is_per_member(part: Field[Any]) -> bool:
    """Whether this setting is a number of every member's own."""
    return _PER_MEMBER in part.metadata


def setting_fields(record: Any) -> tuple[Field[Any], ...]:  # Any: any record of settings
    """The settings of a record or of its class, in order; its other fields are none."""
    return tuple(each for each in fields(record) if "help" in each.metadata)


@dataclass(frozen=True, kw_only=True)
class PluginSettings:
    """A plug-in's own settings: derive a frozen dataclass from it whose fields are `setting(...)`.

    `section` is what stands before the dot: with `section = "low_rank"` a setting `rank` is
    `low_rank.rank` on the command line, in files and in Python. The plug-in names the dataclass as
    its `settings_type`.
    """

    section: ClassVar[str] = ""


Own = TypeVar("Own", bound=PluginSettings)


@dataclass(frozen=True)
class OwnSettings:
    """The own settings of all plug-ins that are in use, of each kind once."""

    records: tuple[PluginSettings, ...] = ()

    def of(self, kind: type[Own]) -> Own:
        """Those of this kind; the defaults where none are given."""
        return next((each for each in self.records if isinstance(each, kind)), None) or kind()

    def per_member(self) -> dict[str, float]:
        """What every member has for itself, by dotted name, where it begins."""
        return {
            f"{record.section}.{part.name}": float(getattr(record, part.name))
            for record in self.records
            for part in setting_fields(record)
            if is_per_member(part)
        }
