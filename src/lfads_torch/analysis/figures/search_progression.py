"""Every searched hyperparameter over the generations, with the winner's ancestors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs, FigureRecipe
from lfads_torch.analysis.figures.look import QUIET_COLOUR, panel_grid
from lfads_torch.analysis.figures.search_look import (
    WINNER_COLOUR,
    generation_axis,
    history_of,
    is_logarithmic,
    label_of,
    limits_of,
    why_not_drawn,
)
from lfads_torch.analysis.search_history import SearchHistory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SearchProgression", "descent_lines"]

N_COLUMNS = {1: 1, 2: 2, 3: 3, 4: 2, 5: 3, 6: 3, 9: 3}  # by the number of panels; else 4


class SearchProgression(FigureRecipe):
    """A panel per hyperparameter."""

    name = "search_progression"
    title = "Search: the hyperparameters over the generations"
    caption = (
        "Each thin line joins a member's value to its parent's in the generation before; those in "
        "darker grey lead to members of the last generation. The bold line is the best state's "
        "own descent, up to the generation in which it was found (star). Grey areas are outside "
        "the range of the search; where they are entered, the range only bounded the first draw. "
        "Generations below 0, shaded, are rounds of halving."
    )
    caveat = (
        "A value that most members share may have come along with good weights: whoever wins "
        "hands on all its hyperparameters. A drift shows what was selected, not that it helped "
        "(see the sensitivity), and what suits the last generations need not suit a fit from the "
        "start."
    )
    is_of_a_search = True

    def needs(self, inputs: FigureInputs) -> str | None:
        reason = why_not_drawn(inputs)
        if reason is None and not history_of(inputs).names:
            return "No hyperparameter was searched: history.csv has no column of a setting."
        return reason

    def draw(self, inputs: FigureInputs, choice: FigureChoice) -> Figure:
        history = history_of(inputs)
        n_columns = N_COLUMNS.get(len(history.names), 4)
        n_rows = -(-len(history.names) // n_columns)
        figure, panels = panel_grid(n_rows, n_columns, row_height_in=2.0, extra_in=0.6)
        for place, panel in enumerate(panels.flat):
            if place >= len(history.names):
                panel.remove()
                continue
            name = history.names[place]
            _draw_panel(panel, history, name, inputs=inputs)
            has_label = place + n_columns >= len(history.names)
            generation_axis(panel, history, has_label=has_label)
        handles, labels = panels.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=4)
        return figure


def descent_lines(
    history: SearchHistory, values: NDArray[np.float64], is_shown: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Lines [line, 2 points, (generation, value)] from the parent of every state shown to it."""
    rows, columns = np.nonzero(is_shown & (history.parent >= 0))
    origins = history.parent[rows, columns]
    before = np.stack([history.generations[rows - 1], values[rows - 1, origins]], axis=-1)
    after = np.stack([history.generations[rows], values[rows, columns]], axis=-1)
    lines: NDArray[np.float64] = np.stack([before, after], axis=1)
    return lines[np.isfinite(lines).all(axis=(1, 2))]


def _draw_panel(panel: Axes, history: SearchHistory, name: str, *, inputs: FigureInputs) -> None:
    from matplotlib.collections import LineCollection

    values = history.values[name]
    leads = history.leads_to_the_end()
    for shown, colour, width, label in (
        (history.is_there & ~leads, "#C9CDD3", 0.6, "members"),
        (leads, "#7C828B", 0.8, "ancestors of the last generation"),
    ):
        lines = descent_lines(history, values, shown)
        panel.add_collection(LineCollection(list(lines), colors=colour, linewidths=width), False)
        panel.plot([], [], color=colour, linewidth=width + 0.4, label=label)
    if len(history.generations) * history.is_there[-1].sum() <= 400:
        rows, columns = np.nonzero(history.is_there)
        panel.plot(history.generations[rows], values[rows, columns], ".", color="#9AA0A8",
                   markersize=3, zorder=1.9)  # fmt: skip
    _draw_winner(panel, history, values)
    panel.set_title(label_of(name))
    _scale(panel, inputs, name, values)


def _draw_winner(panel: Axes, history: SearchHistory, values: NDArray[np.float64]) -> None:
    rows = np.flatnonzero(history.winner >= 0)
    if not len(rows):
        return
    own = values[rows, history.winner[rows]]
    panel.plot(history.generations[rows], own, color="white", linewidth=3.4)
    panel.plot(history.generations[rows], own, color=WINNER_COLOUR, linewidth=1.9,
               label="descent of the best state")  # fmt: skip
    panel.plot(history.generations[rows[-1]], own[-1], "*", color=WINNER_COLOUR, markersize=11,
               markeredgecolor="white", label="where the best score was", clip_on=False,
               zorder=4)  # fmt: skip


def _scale(panel: Axes, inputs: FigureInputs, name: str, values: NDArray[np.float64]) -> None:
    """The axis holds the range and all values; what is outside the range is grey."""
    known = values[np.isfinite(values)]
    limits = limits_of(inputs.space, name)
    ends = [*(limits or ()), *((known.min(), known.max()) if known.size else ())]
    if not ends:
        return
    low, high = min(ends), max(ends)
    if is_logarithmic(inputs.space, name, values):
        panel.set_yscale("log")
        margin = (high / low) ** 0.06 if high > low else 1.5
        bottom, top = low / margin, high * margin
    else:
        margin = 0.06 * (high - low) or 0.5 * abs(high) or 1.0
        bottom, top = low - margin, high + margin
    panel.set_ylim(bottom, top)
    for start, stop in ((bottom, limits[0]), (limits[1], top)) if limits else ():
        panel.axhspan(start, stop, color=QUIET_COLOUR, alpha=0.16, linewidth=0, zorder=0)
