"""How a setting is declared: a dataclass field that carries its help, unit and range.

Every folder's `settings.py` uses it. The command line, the settings file, the checks and the
reference page are generated from these declarations; nothing here validates anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, field
from typing import Any, TypeVar

__all__ = ["setting"]

Value = TypeVar("Value")


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
