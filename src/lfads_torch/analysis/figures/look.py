"""How every figure looks: colours that colour-blind readers can tell apart, sizes, time axes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "DATA_COLOUR",
    "HELD_OUT_COLOUR",
    "LAYOUT_DOTS_PER_INCH",
    "LOOK",
    "MODEL_COLOUR",
    "QUIET_COLOUR",
    "SET_COLOURS",
    "TRUTH_COLOUR",
    "WIDTH_IN",
    "condition_colours",
    "new_figure",
    "panel_grid",
    "styled",
    "time_axis",
]

WIDTH_IN = 9.6  # 960 px of the layout: the width of the report's column
LAYOUT_DOTS_PER_INCH = 100
# Okabe and Ito's palette without its yellow, which is too pale on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
MODEL_COLOUR = "#0072B2"
DATA_COLOUR = "#D55E00"
TRUTH_COLOUR = "#222222"
QUIET_COLOUR = "#8A8F98"
HELD_OUT_COLOUR = "#A6478A"
SET_COLOURS: Mapping[str, str] = MappingProxyType(
    {"train": "#8A8F98", "valid": "#D55E00", "test": "#A6478A", "new": "#009E73"}
)
# `Any`: matplotlib's settings are of many types.
LOOK: Mapping[str, Any] = MappingProxyType(
    {
        "font.family": "DejaVu Sans",
        "font.size": 9.0,
        "axes.titlesize": 9.5,
        "axes.titlelocation": "left",
        "axes.titlepad": 5.0,
        "axes.labelsize": 9.0,
        "axes.labelcolor": "#333333",
        "axes.edgecolor": "#555555",
        "axes.linewidth": 0.7,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.axisbelow": True,
        "xtick.labelsize": 8.0,
        "ytick.labelsize": 8.0,
        "xtick.color": "#555555",
        "ytick.color": "#555555",
        "xtick.major.width": 0.7,
        "ytick.major.width": 0.7,
        "xtick.major.size": 3.0,
        "ytick.major.size": 3.0,
        "legend.frameon": False,
        "legend.fontsize": 8.5,
        "legend.handlelength": 1.8,
        "lines.linewidth": 1.4,
        "lines.solid_capstyle": "round",
        "image.aspect": "auto",
        "image.interpolation": "nearest",
        "image.cmap": "viridis",
        "svg.hashsalt": "lfads-torch",
        "svg.fonttype": "path",
        "pdf.fonttype": 42,
    }
)


@contextmanager
def styled() -> Iterator[None]:
    """Matplotlib's own defaults and the look above, whatever the user has set, until the end.

    Saving needs it as much as drawing: ticks are made when a figure is rendered.
    """
    from matplotlib import style

    with style.context(["default", dict(LOOK)]):
        yield


def new_figure(height_in: float) -> Figure:
    """An empty figure of the report's width, outside pyplot's book-keeping."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.05, hspace=0.03, wspace=0.03)
    return Figure(figsize=(WIDTH_IN, height_in), dpi=LAYOUT_DOTS_PER_INCH, layout=layout)


def panel_grid(
    n_rows: int, n_columns: int, *, row_height_in: float, extra_in: float = 0.75, **grid: Any
) -> tuple[Figure, NDArray[Any]]:
    """A figure and its panels [row, column]; `grid` goes to matplotlib's `subplots` as it is."""
    figure = new_figure(n_rows * row_height_in + extra_in)
    return figure, figure.subplots(n_rows, n_columns, squeeze=False, **grid)


def condition_colours(names: Sequence[str]) -> list[Any]:
    """A colour per condition: the palette, or shades along viridis where that has too few."""
    if len(names) <= len(PALETTE):
        return list(PALETTE[: len(names)])
    from matplotlib import colormaps

    return list(colormaps["viridis"](np.linspace(0.0, 0.92, len(names))))


def time_axis(
    panel: Axes,
    time_s: NDArray[Any],
    *,
    is_encoded_bin: NDArray[Any] | None = None,
    event_colour: str = "#444444",
) -> None:
    """Limits at the bins' outer edges, the alignment event dotted, forward bins shaded."""
    half = float(time_s[1] - time_s[0]) / 2 if len(time_s) > 1 else 0.5
    start, stop = float(time_s[0]) - half, float(time_s[-1]) + half
    panel.set_xlim(start, stop)
    panel.locator_params(axis="x", nbins=5)
    if start < -half and stop > half:
        panel.axvline(0.0, color=event_colour, linewidth=0.9, linestyle=(0, (1, 2)), zorder=2.5)
    if is_encoded_bin is not None and not is_encoded_bin.all():
        first = float(time_s[int(np.argmin(is_encoded_bin))]) - half
        panel.axvspan(first, stop, color="#6B4FA0", alpha=0.10, linewidth=0, zorder=0)
