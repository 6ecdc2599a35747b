"""Settings of a synthetic system from loose values: known names, right types, within range."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import Field, fields
from difflib import get_close_matches
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from lfads_torch.errors import SettingsError

__all__ = ["checked_settings"]

Settings = TypeVar("Settings")


def checked_settings(kind: type[Settings], values: Mapping[str, Any], *, where: str) -> Settings:
    """A settings dataclass from values by name (any type: they come from a user).

    Text is converted to int, float or bool where the setting is one. `where` starts each message.
    """
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    types = get_type_hints(kind)
    checked = {}
    for name, value in values.items():
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise SettingsError(
                f"{where}: there is no setting {name!r}. Known: {', '.join(known)}.{hint}"
            )
        converted = _converted(value, types[name], f"{where}: {name}")
        _need_in_range(converted, known[name], f"{where}: {name}")
        checked[name] = converted
    return kind(**checked)


def _converted(
    value: Any, kind: Any, where: str
) -> Any:  # kind: int, float, bool, str or a Literal
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise SettingsError(
                f"{where} is {value!r}; one of {', '.join(get_args(kind))} is needed."
            )
        return value
    if kind is bool:
        words = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
        found = value if isinstance(value, bool) else words.get(str(value).lower())
        if found is None:
            raise SettingsError(f"{where} is {value!r}; true or false is needed.")
        return found
    needed = "a whole number" if kind is int else "a number"
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise SettingsError(f"{where} is {value!r}; {needed} is needed.") from None
    is_wrong = isinstance(value, bool) or number - number != 0 or (kind is int and number % 1)
    if is_wrong:
        raise SettingsError(f"{where} is {value!r}; {needed} is needed.")
    return int(number) if kind is int else number


def _need_in_range(value: Any, declared: Field[Any], where: str) -> None:
    if isinstance(value, bool | str):
        return
    unit = f" {declared.metadata['unit']}" if declared.metadata["unit"] else ""
    bounds = declared.metadata
    for words, bound, holds in (
        ("at least", bounds["at_least"], operator.ge),
        ("more than", bounds["above"], operator.gt),
        ("at most", bounds["at_most"], operator.le),
        ("less than", bounds["below"], operator.lt),
    ):
        if bound is not None and not holds(value, bound):
            raise SettingsError(f"{where} is {value:g}{unit}; {words} {bound:g}{unit} is needed.")
