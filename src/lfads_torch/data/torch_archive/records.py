"""What a pickle can hold here: plain values, and inert records of everything that has a name."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["Name", "PersistentId", "Record"]


@dataclass(frozen=True)
class Name:
    """What the pickle calls `module.qualname`: the text alone. Nothing is looked up or imported."""

    text: str


@dataclass(frozen=True)
class PersistentId:
    """What the pickle leaves to the file around it; `torch.save` keeps numbers there."""

    value: Any  # any value of a pickle


@dataclass(eq=False)
class Record:
    """An object as the pickle describes it: what was to be called, with what, and its content.

    It is compared by identity and holds what it was given; nothing of it is ever called.
    """

    name: str  # "" where something without a name was to be called
    arguments: tuple[Any, ...] = ()  # values of a pickle, here and below
    named_arguments: Any = None
    states: list[Any] = field(default_factory=list)  # what `__setstate__` was to get
    entries: list[tuple[Any, Any]] = field(default_factory=list)  # as of a mapping
    elements: list[Any] = field(default_factory=list)  # as of a list or set
    callee: Any = None  # where it is no name
