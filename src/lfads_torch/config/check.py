"""Checks a whole tree of settings at once: types, ranges, words and names, by pydantic."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from numbers import Integral, Real
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic_core import ErrorDetails

from lfads_torch.config.declarations import Declaration, declarations
from lfads_torch.config.layers import laid_over, nested
from lfads_torch.config.nearest import nearest_setting, nearest_word
from lfads_torch.config.plugin_settings import plugin_settings
from lfads_torch.config.rules import conflicts
from lfads_torch.config.tree import Settings, SettingValue, section_types, to_dict
from lfads_torch.declare import OwnSettings, PluginSettings
from lfads_torch.declared import found_text
from lfads_torch.errors import SettingsError

__all__ = ["check_settings", "replace_values", "settings_from_values", "settings_model"]


def settings_from_values(
    values: Mapping[str, object],
    *,
    chosen: Iterable[str] = (),
    origins: Mapping[str, str] | None = None,
    mistakes: Iterable[str] = (),
) -> Settings:
    """The tree of settings with these values (section -> setting -> value) and else defaults.

    Every mistake is told in one SettingsError, with `mistakes` that the caller found already.
    `origins` says where the value of a dotted name stands, e.g. "settings.yaml, line 3".
    """
    origins = origins or {}
    kinds, not_loaded = plugin_settings(values)
    found = [*mistakes, *not_loaded]
    tree: dict[str, dict[str, SettingValue]] = {}
    try:
        tree = settings_model(kinds).model_validate(values).model_dump()
    except ValidationError as error:
        known = declarations(kinds)
        # A section that we do not know may be that of a plug-in that could not be loaded.
        found += [
            _mistake(each, origins, known)
            for each in error.errors(include_url=False)
            if not (not_loaded and _is_strange_section(each, known))
        ]
    if found:
        raise _error(found)
    settings = replace(_from_tree(tree, kinds), chosen=frozenset(chosen))
    if found := conflicts(settings):
        raise _error(found)
    return settings


def _from_tree(
    tree: Mapping[str, Mapping[str, SettingValue]], kinds: tuple[type[PluginSettings], ...]
) -> Settings:
    """Records of checked values; every section that can name a plug-in gets their settings."""
    own = OwnSettings(tuple(kind(**tree[kind.section]) for kind in kinds))
    records = {name: record(**tree[name]) for name, record in section_types().items()}
    return Settings(
        **{
            name: replace(record, own=own) if hasattr(record, "own") else record
            for name, record in records.items()
        }
    )


def check_settings(settings: Settings) -> Settings:
    """The same settings, checked; needed where the records were made in Python by hand."""
    return settings_from_values(to_dict(settings), chosen=settings.chosen)


def replace_values(settings: Settings, values: Mapping[str, object]) -> Settings:
    """The settings with these dotted names given new values, checked and counted as chosen."""
    return settings_from_values(
        laid_over(to_dict(settings), nested(values)), chosen=settings.chosen | set(values)
    )


@cache  # the declarations never change, and pydantic takes 20 ms to compile them
def settings_model(own: tuple[type[PluginSettings], ...] = ()) -> type[BaseModel]:
    """The pydantic model of the whole tree, made from the declarations."""
    parts: dict[str, dict[str, Any]] = {}  # Any: create_model's own (annotation, Field) pairs
    for each in declarations(own).values():
        parts.setdefault(each.section, {})[each.key] = (_annotation(each), _field(each))
    rules = ConfigDict(extra="forbid", strict=True, protected_namespaces=())
    sections: dict[str, Any] = {}
    for section, members in parts.items():
        record = section_types(own)[section]
        model = create_model(record.__name__, __config__=rules, __doc__=record.__doc__, **members)
        sections[section] = (model, Field(default_factory=model))
    return create_model("Settings", __config__=rules, **sections)


def _field(declaration: Declaration) -> Any:  # Any: pydantic's Field() is typed so
    return Field(
        default=declaration.default,
        description=declaration.help,
        json_schema_extra={"unit": declaration.unit} if declaration.unit else None,
    )


def _annotation(declaration: Declaration) -> Any:  # Any: a type form, made at run time
    if declaration.words:
        return Literal[declaration.words]
    if declaration.kind not in (int, float):
        return declaration.kind
    bounds = Field(
        ge=declaration.at_least,
        gt=declaration.above,
        le=declaration.at_most,
        lt=declaration.below,
        allow_inf_nan=False if declaration.kind is float else None,
    )
    read = BeforeValidator(_whole_number if declaration.kind is int else _number)
    return Annotated[declaration.kind, bounds, read]


def _number(value: object) -> object:
    """Number types of other libraries as Python's own, and `1e-3` that PyYAML read as a text."""
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value, re.ASCII):
        return float(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    return float(value) if isinstance(value, Real) else value


def _whole_number(value: object) -> object:
    """As `_number`; a whole number written as 1e3 or 8.0 counts as one."""
    number = _number(value)
    return int(number) if isinstance(number, float) and number.is_integer() else number


def _error(mistakes: list[str]) -> SettingsError:
    if len(mistakes) == 1:
        only = mistakes[0]
        return SettingsError(f"settings: {only}" + ("" if only.endswith("?") else "."))
    listed = "".join(f"\n  - {mistake}" for mistake in mistakes)
    return SettingsError(f"settings: {len(mistakes)} mistakes.{listed}")


def _mistake(
    error: ErrorDetails, origins: Mapping[str, str], known: Mapping[str, Declaration]
) -> str:
    name = ".".join(str(part) for part in error["loc"])
    where, value = _where(name, origins), error["input"]
    if error["type"] == "extra_forbidden":
        return f"{name}{where} is no setting{_meant(name, known)}"
    if name in known:
        declaration = known[name]
        text = f"{name}{where} is {found_text(value)}; needed is {declaration.needed}"
        return text + _hint(value, declaration)
    return f"{name}{where} is {found_text(value)}; needed are settings, indented below `{name}:`"


def _is_strange_section(error: ErrorDetails, known: Mapping[str, Declaration]) -> bool:
    """Whether a section is none of ours, and not one of ours mistyped."""
    sections = list(dict.fromkeys(each.section for each in known.values()))
    return (
        error["type"] == "extra_forbidden"
        and len(error["loc"]) == 1
        and isinstance(error["input"], Mapping)
        and not nearest_word(str(error["loc"][0]), sections)
    )


def _meant(name: str, known: Mapping[str, Declaration]) -> str:
    section, _, key = name.rpartition(".")
    if name in known:  # written with its dot in the file
        return f"; write it indented below `{section}:`"
    sections = list(dict.fromkeys(each.section for each in known.values()))
    is_key = any(key == each.key for each in known.values())
    if not section and not is_key and (meant := nearest_word(key, sections)):
        return f"; did you mean the section {meant}?"
    if meant := nearest_setting(name, known):
        return f"; did you mean {meant}?"
    if section:
        keys = [each.key for each in known.values() if each.section == section]
        return f"; the settings of {section} are {', '.join(keys)}"
    return (
        f"; the sections are {', '.join(sections)} (that of a plug-in is there where a setting "
        "names the plug-in)"
    )


def _hint(value: object, declaration: Declaration) -> str:
    if not isinstance(value, str):
        return ""
    if declaration.words:
        meant = nearest_word(value, declaration.words)
        return f"; did you mean {meant}?" if meant else ""
    if declaration.kind in (int, float) and value.strip("-+").replace(".", "", 1).isdecimal():
        return "; leave out the quotes"
    return ""


def _where(name: str, origins: Mapping[str, str]) -> str:
    return f" ({origins[name]})" if name in origins else ""
