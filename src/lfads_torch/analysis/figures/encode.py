"""A drawn figure as bytes: the same inputs give the same bytes, without date or random ids."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["as_data_uri", "as_png", "as_svg"]

_PNG_DOTS_PER_INCH = 200  # twice the 100 of the layout, for dense displays and print
_SMALL_BYTES = 300_000


def as_svg(figure: Figure) -> bytes:
    """Scalable, with text as outlines: it looks the same wherever it is opened."""
    return _saved(figure, format="svg", metadata={"Date": None, "Creator": None})


def as_png(figure: Figure) -> bytes:
    """At twice the size of the layout."""
    return _saved(
        figure, format="png", dpi=_PNG_DOTS_PER_INCH, metadata={"Software": None},
        pil_kwargs={"optimize": True},
    )  # fmt: skip


def as_data_uri(figure: Figure) -> str:
    """The figure as `data:image/...;base64,...`, to stand inside a page.

    SVG where that is small; where it is large, the smaller of SVG and PNG.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # laid out once, not for each of the two
    kind, image = "svg+xml", as_svg(figure)
    if len(image) > _SMALL_BYTES:
        png = as_png(figure)
        kind, image = ("png", png) if len(png) < len(image) else (kind, image)
    return f"data:image/{kind};base64,{base64.b64encode(image).decode('ascii')}"


def _saved(figure: Figure, **options: Any) -> bytes:  # options: those of matplotlib's savefig
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "lfads-torch", "svg.fonttype": "path"}):
        stream = io.BytesIO()
        figure.savefig(stream, facecolor="white", **options)
    return stream.getvalue()
