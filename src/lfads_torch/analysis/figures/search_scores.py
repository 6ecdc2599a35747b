"""The score of every member over the generations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lfads_torch.analysis.figures.base import FigureChoice, FigureInputs, FigureRecipe
from lfads_torch.analysis.figures.look import MODEL_COLOUR, new_figure
from lfads_torch.analysis.figures.search_look import (
    WINNER_COLOUR,
    generation_axis,
    history_of,
    why_not_drawn,
)
from lfads_torch.analysis.search_history import SearchHistory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["SearchScores", "score_limits"]

FEWEST_FOR_A_CLOSER_LOOK = 8  # generations


class SearchScores(FigureRecipe):
    """Points for members, lines for best and median, crosses for the frozen."""

    name = "search_scores"
    title = "Search: scores by generation"
    caption = (
        "The smoothed validation reconstruction (nats per entry, lower is better) of every member "
        "at the end of each generation, with the best and the median of the population; a search "
        "of some length shows its last half once more, closer. The orange line is the descent of "
        "the best state, the star where its score was found: it may stand below the line, for the "
        "best epoch need not be the last of its generation. Open circles: the ramps were not "
        "over, so the score could not be the best. Triangles at the top are scores above the "
        "axis, crosses members that were frozen because a number was not finite."
    )
    caveat = (
        "All of it was used for selection: the best of many noisy scores flatters the winner, the "
        "more so the larger the population and the fewer the validation trials. How good the "
        "model is shows on test trials alone."
    )
    is_of_a_search = True

    def needs(self, inputs: FigureInputs) -> str | None:
        reason = why_not_drawn(inputs)
        if reason is None and not np.isfinite(history_of(inputs).score).any():
            return "No member of any generation has a finite score."
        return reason

    def draw(self, inputs: FigureInputs, choice: FigureChoice) -> Figure:
        history = history_of(inputs)
        starts = [int(history.generations[0])]
        if history.generations[-1] >= FEWEST_FOR_A_CLOSER_LOOK:
            starts.append(int(history.generations[-1]) // 2)
        figure = new_figure(3.9)
        panels = figure.subplots(1, len(starts), squeeze=False)[0]
        for panel, start in zip(panels, starts, strict=True):
            bottom, top = score_limits(history, start)
            panel.set_ylim(bottom, top)
            _draw_members(panel, history, start=start, top=top)
            _draw_population(panel, history)
            _draw_best(panel, history)
            generation_axis(panel, history)
            panel.set_xlim(left=start - 0.5)
        panels[0].set_ylabel("score, nats per entry")
        if len(panels) > 1:
            panels[0].set_title("All generations")
            panels[1].set_title("The last half, closer")
        shown = {
            label: handle
            for panel in panels
            for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
        }
        figure.legend(shown.values(), shown.keys(), loc="outside upper left", ncols=5)
        return figure


def score_limits(history: SearchHistory, start: int) -> tuple[float, float]:
    """The axis from the best score to the ninth tenth of those from generation `start` on.

    So no member that went astray crushes the rest; at least the upper quartile of the first
    generation shown is on it.
    """
    score = history.score[history.generations >= start]
    known = score[np.isfinite(score)]
    if not known.size:
        known = history.score[np.isfinite(history.score)]
        score = history.score
    best = float(known.min() if history.best is None else min(known.min(), history.best.score))
    first = score[np.flatnonzero(np.isfinite(score).any(axis=1))[0]]
    top = float(max(np.quantile(known, 0.9), np.nanquantile(first, 0.75)))
    margin = 0.08 * (top - best) or 0.05 * abs(best) or 1.0
    return best - margin, top + margin


def _draw_members(panel: Axes, history: SearchHistory, *, start: int, top: float) -> None:
    rows, columns = np.nonzero(history.is_there & (history.generations >= start)[:, None])
    generation, score = history.generations[rows], history.score[rows, columns]
    counts = history.can_be_best[rows, columns]
    is_early = ~counts & np.isfinite(score)
    panel.plot(generation[counts], score[counts], ".", color="#9AA0A8", markersize=4.5,
               markeredgewidth=0, label="member")  # fmt: skip
    if is_early.any():
        panel.plot(generation[is_early], score[is_early], "o", color="#9AA0A8", markersize=3.2,
                   markerfacecolor="none", markeredgewidth=0.6,
                   label="before the ramps' end")  # fmt: skip
    is_above = score > top
    _at_the_top(panel, generation[is_above], "^", "#9AA0A8", "above the axis")
    frozen = history.is_frozen[rows, columns] | ~np.isfinite(score)
    _at_the_top(panel, generation[frozen], "x", "#A6478A", "frozen")


def _at_the_top(
    panel: Axes, generation: NDArray[np.int64], marker: str, colour: str, label: str
) -> None:
    """Marks side by side where a generation has several."""
    if not len(generation):
        return
    _, start, counts = np.unique(generation, return_index=True, return_counts=True)
    place = np.arange(len(generation)) - np.repeat(start, counts)
    shift = (place - np.repeat(counts - 1, counts) / 2) * 0.8 / np.repeat(counts.clip(4), counts)
    height = 0.985 if marker == "x" else 0.945
    panel.plot(generation + shift, np.full(len(generation), height), marker, color=colour,
               markersize=3.6, transform=panel.get_xaxis_transform(), label=label,
               linestyle="none")  # fmt: skip


def _draw_population(panel: Axes, history: SearchHistory) -> None:
    rows = np.flatnonzero(np.isfinite(history.score).any(axis=1))
    generation, score = history.generations[rows], history.score[rows]
    marker = "o" if len(rows) == 1 else ""
    panel.plot(generation, np.nanmedian(score, axis=1), color="#555555", linewidth=1.2,
               linestyle=(0, (4, 2)), marker=marker, markersize=4, label="median")  # fmt: skip
    panel.plot(generation, np.nanmin(score, axis=1), color=MODEL_COLOUR, linewidth=1.6,
               marker=marker, markersize=4, label="best of the generation")  # fmt: skip


def _draw_best(panel: Axes, history: SearchHistory) -> None:
    if history.best is None:
        return
    rows = np.flatnonzero(history.winner >= 0)
    own = history.score[rows, history.winner[rows]]
    panel.plot(history.generations[rows], own, color=WINNER_COLOUR, linewidth=1.6,
               label="descent of the best state")  # fmt: skip
    panel.plot(history.best.generation, history.best.score, "*", color=WINNER_COLOUR, markersize=13,
               markeredgecolor="white", linestyle="none", zorder=5,
               label=f"best: {history.best.score:.5g}")  # fmt: skip
