"""How a file is read, where settings have a say in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lfads_torch.config.tree import Settings
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.data.recording import Recording

__all__ = ["told_of_reading", "with_settings"]


def with_settings(options: ReadOptions | None, settings: Settings) -> ReadOptions | None:
    """The options with the chops and the way of reading that the settings ask for.

    A run stores them with the rest.
    """
    from lfads_torch.data.formats.base import ReadOptions

    chop = settings.chop
    asked: dict[str, Any] = {}  # fields of ReadOptions
    if chop.length_s != 0.0:
        asked |= {"chop_s": chop.length_s, "chop_overlap_s": chop.overlap_s}
    if settings.data.read_by != "auto":
        asked["read_by"] = settings.data.read_by
    if settings.run.memory_gb:
        asked["memory_gb"] = settings.run.memory_gb
    return replace(options or ReadOptions(), **asked) if asked else options


def told_of_reading(recording: Recording) -> str | None:
    """What to say of a recording whose counts stay in their file; None of others."""
    if recording.in_file is None:
        return None
    return f"counts are read from the file by trial: {recording.in_file.reason}"
