"""A drawn figure as bytes or a file: the same inputs give the same bytes, with no date in them."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lfads_torch.analysis.figures.look import styled
from lfads_torch.atomic import atomic_path
from lfads_torch.errors import OutputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["as_data_uri", "as_png", "as_svg", "figure_kind", "write_figure"]

_PNG_DOTS_PER_INCH = 200  # twice the 100 of the layout, for dense displays and print
_SMALL_BYTES = 300_000
# What each format would otherwise say about time and program.
_NO_DATE: Mapping[str, Mapping[str, None]] = MappingProxyType(
    {
        "svg": {"Date": None, "Creator": None},
        "png": {"Software": None},
        "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    }
)


def write_figure(path: str | os.PathLike[str], figure: Figure) -> Path:
    """Write the figure as its name's ending says: .svg, .png or .pdf; whole or not at all."""
    target = Path(path)
    kind = figure_kind(target)
    image = _saved(figure, kind)
    with atomic_path(target) as part:
        part.write_bytes(image)
    return target


def figure_kind(target: Path) -> str:
    """svg, png or pdf by the name's ending; OutputError for any other, before anything is drawn."""
    kind = target.suffix.lower().removeprefix(".")
    if kind not in _NO_DATE:
        raise OutputError(
            f"{target}: a figure cannot be written as {target.suffix or 'no ending'!r}. "
            "Choose a name that ends in .svg, .png or .pdf."
        )
    return kind


def as_svg(figure: Figure) -> bytes:
    """Scalable, with text as outlines: it looks the same wherever it is opened."""
    return _saved(figure, "svg")


def as_png(figure: Figure) -> bytes:
    """At twice the size of the layout."""
    return _saved(figure, "png")


def as_data_uri(figure: Figure) -> str:
    """The figure as `data:image/...;base64,...`, to stand inside a page.

    SVG where that is small; where it is large, the smaller of SVG and PNG.
    """
    kind, image = "svg+xml", as_svg(figure)
    if len(image) > _SMALL_BYTES:
        png = as_png(figure)
        kind, image = ("png", png) if len(png) < len(image) else (kind, image)
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


def _saved(figure: Figure, kind: str) -> bytes:
    options: dict[str, Any] = {}  # those of matplotlib's savefig
    if kind == "png":
        options = {"dpi": _PNG_DOTS_PER_INCH}
    stream = io.BytesIO()
    with styled():
        figure.savefig(
            stream, format=kind, facecolor="white", metadata=dict(_NO_DATE[kind]), **options
        )
    return stream.getvalue()
