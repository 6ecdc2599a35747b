"""How a file is read, where settings have a say in it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lfads_torch.data.formats.base import ReadOptions
    from lfads_torch.data.settings import ChopSettings

__all__ = ["with_chops"]


def with_chops(options: ReadOptions | None, chop: ChopSettings) -> ReadOptions | None:
    """The options with the chops that the settings ask for. A run stores them with the rest."""
    from lfads_torch.data.formats.base import ReadOptions

    if chop.length_s == 0.0:
        return options
    return replace(options or ReadOptions(), chop_s=chop.length_s, chop_overlap_s=chop.overlap_s)
