"""From what a JSON file holds to a record of ours, each value of the type that its field says."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

__all__ = ["typed_record"]

Record = TypeVar("Record")
PLAIN: dict[Any, tuple[type, ...]] = {
    str: (str,), bool: (bool,), int: (int,), float: (int, float),
}  # fmt: skip


def typed_record(kind: type[Record], content: Mapping[str, Any], *, where: str = "") -> Record:
    """The record of these JSON values; fields that are not there get their defaults.

    Lists become tuples. Raises TypeError or KeyError that say which value is wrong, and what is
    needed; what is no field of the record is left out.
    """
    if not isinstance(content, Mapping):
        raise TypeError(f"{where or 'it'} is {_shown(content)}; a dictionary is needed")
    types_of = get_type_hints(kind)
    values = {}
    assert is_dataclass(kind)  # the caller names one
    for field in fields(kind):
        place = f"{where}.{field.name}" if where else field.name
        if field.name in content:
            values[field.name] = _typed(types_of[field.name], content[field.name], place)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise KeyError(f"{place} is missing")
    return kind(**values)


def _typed(kind: Any, value: Any, where: str) -> Any:  # any type, any JSON value
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, where)
    if origin is tuple:
        return _tuple(arguments, value, where)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise TypeError(f"{where} is {_shown(value)}; a dictionary is needed")
        return {key: _typed(arguments[1], each, f"{where}.{key}") for key, each in value.items()}
    if is_dataclass(kind) and isinstance(kind, type):
        return typed_record(kind, value, where=where)
    fits = isinstance(value, PLAIN[kind]) and (kind is bool or not isinstance(value, bool))
    if not fits:
        raise TypeError(f"{where} is {_shown(value)}; {kind.__name__} is needed")
    return value


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    (kind,) = [each for each in kinds if each is not type(None)]
    return _typed(kind, value, where)


def _tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{where} is {_shown(value)}; a list is needed")
    if kinds[-1:] == (Ellipsis,):
        kinds = (kinds[0],) * len(value)
    if len(kinds) != len(value):
        raise TypeError(f"{where} has {len(value)} entries; {len(kinds)} are needed")
    return tuple(
        _typed(kind, each, f"{where}[{n}]")
        for n, (kind, each) in enumerate(zip(kinds, value, strict=True))
    )


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 40 else f"{text[:37]}..."
