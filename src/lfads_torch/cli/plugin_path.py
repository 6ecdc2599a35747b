"""`--plugin-path FOLDER`, which every command takes: where a user's own modules are."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

__all__ = ["importable", "plugin_folders"]

_OPTION = "--plugin-path"


def plugin_folders(tokens: Sequence[str]) -> tuple[list[str], list[str]]:
    """The other words of a command line, and the folders; the option may be repeated."""
    others: list[str] = []
    folders: list[str] = []
    words = iter(tokens)
    for word in words:
        if word == _OPTION:
            folders.append(next(words, ""))
        elif word.startswith(f"{_OPTION}="):
            folders.append(word.partition("=")[2])
        else:
            others.append(word)
    return others, folders


@contextmanager
def importable(folders: Sequence[str]) -> Iterator[None]:
    """Modules of these folders can be imported, after all that is installed."""
    added = [os.path.abspath(folder) for folder in folders]
    sys.path.extend(added)
    try:
        yield
    finally:
        for folder in added:
            sys.path.remove(folder)
