"""Strict JSON from our records: no NaN, no infinity, arrays and NumPy numbers as plain values."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

__all__ = ["json_text", "plain"]


def json_text(value: object, *, indent: int | None = None) -> str:
    """JSON text of a value. Non-finite numbers are `null`, for JSON has no word for them."""
    return json.dumps(plain(value), allow_nan=False, ensure_ascii=False, indent=indent)


def plain(value: object) -> Any:  # a JSON value: dict, list, str, int, float, bool or None
    """The same value made of dict, list, str, int, float, bool and None only.

    Arrays and tensors become nested lists (through their `tolist`), records become dicts.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, PurePath):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
